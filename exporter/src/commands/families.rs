//! `families`: the catalogue of built-in families as a table, Markdown or JSON.

use clap::{Args, ValueEnum};
use kube_state_metrics::families::catalogue::{self, CatalogueEntry, catalogue};
use kube_state_metrics::registry::JoinConfig;
use kube_state_metrics::{BuiltIn, StateMetrics};

#[derive(Args, Debug)]
pub(crate) struct FamiliesArgs {
    /// Format of the list
    #[arg(long, value_enum, allow_hyphen_values = true, default_value_t = ListFormat::Table)]
    format: ListFormat,
    /// List only the families of this resource, such as `pods`
    #[arg(long, value_name = "RESOURCE", allow_hyphen_values = true)]
    resource: Option<String>,
    /// Also list the labels that this value of the exporter's flag --join-labels adds to the families
    #[arg(long, value_name = "JOINS", allow_hyphen_values = true)]
    join_labels: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ListFormat {
    Table,
    Markdown,
    Json,
}

/// The list of families.
///
/// # Errors
///
/// The function fails if the resource does not exist, or if the joined labels (`--join-labels`) are invalid.
pub(super) fn text(args: &FamiliesArgs) -> Result<String, String> {
    let resource = args.resource.as_deref().map(str::parse::<BuiltIn>);
    let resource = resource
        .transpose()
        .map_err(|error| format!("--resource: {error}"))?;
    let mut entries = catalogue();
    entries.retain(|entry| resource.is_none_or(|resource| entry.resource == resource));
    if let Some(joins) = &args.join_labels {
        let joins = checked(joins, &entries).map_err(|error| format!("--join-labels: {error}"))?;
        for entry in &mut entries {
            let labels = joins.of_resource(&entry.info).into_iter();
            entry.joined_labels = labels.map(|join| join.label_name().to_owned()).collect();
        }
    }
    Ok(match args.format {
        ListFormat::Table => catalogue::table(&entries),
        ListFormat::Markdown => catalogue::markdown(&entries),
        ListFormat::Json => catalogue::json(&entries),
    })
}

/// Parses the joined labels, which are added to the samples of resources. Fails if a family of the resources already
/// declares a label with the same name.
fn checked(text: &str, entries: &[CatalogueEntry]) -> Result<JoinConfig, String> {
    let joins = text.parse::<JoinConfig>();
    let joins = joins.map_err(|error| error.to_string())?;
    let resources = entries.iter().map(|entry| entry.resource);
    let builder = StateMetrics::builder().built_in(resources);
    let built = builder.join_labels(joins.clone()).build();
    built.map_err(|error| error.to_string())?;
    Ok(joins)
}
