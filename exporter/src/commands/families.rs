//! `families`: the catalogue of built-in families as a table, Markdown or JSON.

use clap::{Args, ValueEnum};
use kube_state_metrics::BuiltIn;
use kube_state_metrics::families::catalogue::{self, catalogue};

#[derive(Args, Debug)]
pub(crate) struct FamiliesArgs {
    /// Format of the list
    #[arg(long, value_enum, allow_hyphen_values = true, default_value_t = ListFormat::Table)]
    format: ListFormat,
    /// List only the families of this resource, such as `pods`
    #[arg(long, value_name = "RESOURCE", allow_hyphen_values = true)]
    resource: Option<String>,
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
/// If the resource does not exist.
pub(super) fn text(args: &FamiliesArgs) -> Result<String, String> {
    let resource = args.resource.as_deref().map(str::parse::<BuiltIn>);
    let resource = resource
        .transpose()
        .map_err(|error| format!("--resource: {error}"))?;
    let mut entries = catalogue();
    entries.retain(|entry| resource.is_none_or(|resource| entry.resource == resource));
    Ok(match args.format {
        ListFormat::Table => catalogue::table(&entries),
        ListFormat::Markdown => catalogue::markdown(&entries),
        ListFormat::Json => catalogue::json(&entries),
    })
}
