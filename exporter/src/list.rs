//! `families`: the catalogue for people, documents and programs.

use kube_state_metrics::BuiltIn;
use kube_state_metrics::families::catalogue::{self, families};

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
        ListFormat::Table => catalogue::table(&entries),
        ListFormat::Markdown => catalogue::markdown(&entries),
        ListFormat::Json => catalogue::json(&entries),
    })
}
