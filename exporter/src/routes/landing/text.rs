//! The landing page as text.

use std::fmt::Write;

use super::page::{Data, Page, last_event};
use crate::humanize::{counted, size, thousands};
use crate::version::VERSION;

/// The page for a terminal.
pub(super) fn render(page: &Page) -> String {
    let mut text = format!("kube-state-metrics {VERSION}, up {}\n", page.uptime);
    if let Some(data) = &page.data {
        write_summary(data, &mut text);
    }
    text.push('\n');
    for link in page.links() {
        let _ = writeln!(text, "  {:20}{}", link.path, link.about);
    }
    match &page.data {
        None => text.push_str("\nA bearer token is needed to see more.\n"),
        Some(data) if data.search.is_empty() => write_resources(data, &mut text),
        Some(data) => write_families(data, &mut text),
    }
    text
}

fn write_summary(data: &Data, text: &mut String) {
    let status = &data.status;
    let _ = writeln!(
        text,
        "{}, {}: {} series of {} in {}",
        data.readiness(),
        status.source,
        thousands(status.series()),
        counted(status.objects(), "object", "objects"),
        size(status.memory_bytes()),
    );
    for remark in &status.remarks {
        let _ = writeln!(text, "! {remark}");
    }
}

fn write_resources(data: &Data, text: &mut String) {
    let resources = &data.status.resources;
    let names = resources.iter().map(|resource| resource.plural().len());
    let states = resources.iter().map(|resource| resource.state.len());
    let (names, states) = (
        names.max().unwrap_or(0).max(8),
        states.max().unwrap_or(0).max(5),
    );
    let _ = writeln!(
        text,
        "\n  {:names$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>10}  {:>6}",
        "RESOURCE", "STATE", "OBJECTS", "SERIES", "BYTES", "LAST EVENT", "ERRORS"
    );
    for resource in resources {
        let _ = writeln!(
            text,
            "  {:names$}  {:states$}  {:>9}  {:>10}  {:>9}  {:>10}  {:>6}",
            resource.plural(),
            resource.state,
            thousands(resource.objects),
            thousands(resource.series),
            size(resource.memory_bytes),
            last_event(resource),
            thousands(resource.errors),
        );
        if let Some(error) = data.status.own_error(resource) {
            let _ = writeln!(text, "    {error}");
        }
    }
    let families = counted(data.report.families.len() as u64, "family", "families");
    let _ = writeln!(text, "\n{families}; search them with /?q=WORDS");
}

fn write_families(data: &Data, text: &mut String) {
    for family in data.matching_families() {
        let (name, metric_type, help) = (&family.name, &family.metric_type, &family.help);
        let _ = writeln!(text, "\n{name} ({metric_type})\n  {help}");
        if let Some(sample) = &family.sample {
            let _ = writeln!(text, "  {sample}");
        }
    }
    let (count, search) = (data.matching_families().count(), &data.search);
    let matching = counted(count as u64, "family matches", "families match");
    let _ = writeln!(text, "\n{matching} `{search}`");
}
