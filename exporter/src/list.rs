//! `families`: the catalogue for people, documents and programs.

use std::fmt::Write;

use kube_state_metrics::{BuiltIn, CatalogueEntry, families};

use crate::cli::ListFormat;

/// The text of the subcommand `families`.
///
/// # Errors
///
/// Names a resource that does not exist.
pub(crate) fn text(format: ListFormat, resource: Option<&str>) -> Result<String, String> {
    let resource = resource.map(str::parse::<BuiltIn>).transpose();
    let resource = resource.map_err(|error| format!("--resource: {error}"))?;
    let mut entries = families();
    entries.retain(|entry| resource.is_none_or(|resource| entry.resource == resource));
    Ok(match format {
        ListFormat::Table => table(&entries),
        ListFormat::Markdown => markdown(&entries),
        ListFormat::Json => json(&entries),
    })
}

fn table(entries: &[CatalogueEntry]) -> String {
    let width =
        |text: &dyn Fn(&CatalogueEntry) -> usize| entries.iter().map(text).max().unwrap_or(0);
    let names = width(&|entry| entry.descriptor.name().len());
    let resources = width(&|entry| entry.resource.name().len());
    let mut text = String::new();
    for entry in entries {
        let (family, resource) = (&entry.descriptor, entry.resource.name());
        let (name, kind) = (family.name(), family.metric_type().as_str());
        let stability = family.stability().as_str();
        let opt_in = if family.opt_in() { "opt-in" } else { "" };
        let _ = writeln!(
            text,
            "{resource:resources$}  {name:names$}  {kind:8}  {stability:6}  {opt_in:6}  {}",
            family.help()
        );
    }
    text
}

fn markdown(entries: &[CatalogueEntry]) -> String {
    let mut text = String::new();
    let mut resource = None;
    for entry in entries {
        if resource != Some(entry.resource) {
            resource = Some(entry.resource);
            let gap = if text.is_empty() { "" } else { "\n" };
            let default = if entry.resource.is_default() {
                "On by default."
            } else {
                "Off by default."
            };
            let base: Vec<_> = entry
                .base_labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let _ = write!(
                text,
                "{gap}# {}\n\n{} of `{}`. {default} Every sample has the labels {}.\n\n\
                 | family | type | stability | further labels | what it tells |\n|---|---|---|---|---|\n",
                entry.resource,
                entry.info.kind(),
                entry.info.api_version(),
                base.join(", "),
            );
        }
        let family = &entry.descriptor;
        let labels: Vec<_> = family.labels().map(|label| format!("`{label}`")).collect();
        let mut notes = String::new();
        if let Some(version) = family.deprecated_since() {
            let _ = write!(notes, " Deprecated since {version}.");
        }
        if family.opt_in() {
            notes.push_str(" Only with `--metric-opt-in-list`.");
        }
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {}{notes} |",
            family.name(),
            family.metric_type().as_str(),
            family.stability().as_str(),
            labels.join(", "),
            family.help().replace('|', "\\|"),
        );
    }
    text
}

fn json(entries: &[CatalogueEntry]) -> String {
    let entries = entries.iter().map(|entry| {
        let family = &entry.descriptor;
        serde_json::json!({
            "resource": entry.resource.name(),
            "default": entry.resource.is_default(),
            "apiVersion": entry.info.api_version(),
            "kind": entry.info.kind(),
            "name": family.name(),
            "type": family.metric_type().as_str(),
            "stability": family.stability().as_str(),
            "deprecatedSince": family.deprecated_since(),
            "optIn": family.opt_in(),
            "baseLabels": entry.base_labels,
            "labels": family.labels().collect::<Vec<_>>(),
            "help": family.help(),
        })
    });
    let mut text = serde_json::to_string_pretty(&entries.collect::<Vec<_>>()).unwrap_or_default();
    text.push('\n');
    text
}
