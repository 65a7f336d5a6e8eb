//! Writes the report as tables for a terminal.

use std::fmt::Write;

use crate::humanize::{counted, size, thousands};
use crate::report::Report;

/// A row: the name, the text of the second column (which may be empty), series and bytes.
type Row<'a> = (&'a str, String, u64, u64);

/// Returns the tables of a report. Each table has at most `limit` rows.
pub(super) fn text(report: &Report, limit: usize) -> String {
    let (series, bytes) = (report.series(), report.bytes());
    let families = counted(report.families.len() as u64, "family", "families");
    let mut text = format!(
        "{} series of {families}, {} of sample lines\n",
        thousands(series),
        size(bytes)
    );
    let resources = report.resources.iter();
    let resources = resources.map(|row| (&*row.name, String::new(), row.series, row.bytes));
    write("RESOURCE", "", resources.collect(), limit, bytes, &mut text);
    let families = report.families.iter().map(|row| {
        let resource = row.resource_name().to_owned();
        (&*row.name, resource, row.series, row.bytes)
    });
    write(
        "FAMILY",
        "RESOURCE",
        families.collect(),
        limit,
        bytes,
        &mut text,
    );
    let namespaces = report.namespaces.iter();
    let namespaces = namespaces.map(|row| (row.shown_name(), String::new(), row.series, row.bytes));
    write(
        "NAMESPACE",
        "",
        namespaces.collect(),
        limit,
        bytes,
        &mut text,
    );
    let labels = report.labels.iter();
    let labels = labels.map(|row| (&*row.name, thousands(row.values), row.series, row.bytes));
    write("LABEL", "VALUES", labels.collect(), limit, bytes, &mut text);
    text
}

fn write(name: &str, more: &str, rows: Vec<Row<'_>>, limit: usize, total: u64, text: &mut String) {
    if rows.is_empty() {
        return;
    }
    let shown = rows.get(..limit).unwrap_or(&rows);
    // Names of labels and namespaces may come from a file that the user gave, so they may contain control characters.
    let names: Vec<_> = shown
        .iter()
        .map(|row| row.0.escape_debug().to_string())
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max(name.len());
    let further = shown.iter().map(|row| row.1.len()).max();
    let further = further.unwrap_or(0).max(more.len());
    let gap = if more.is_empty() { "" } else { "  " };
    let head = format!("{name:width$}{gap}{more:further$}");
    let _ = writeln!(
        text,
        "\n{head}  {:>12}  {:>9}  {:>6}",
        "SERIES", "BYTES", "SHARE"
    );
    for ((_, more, series, bytes), name) in shown.iter().zip(names) {
        let share = *bytes as f64 / total.max(1) as f64 * 100.0;
        let row = format!("{name:width$}{gap}{more:further$}");
        let (series, bytes) = (thousands(*series), size(*bytes));
        let _ = writeln!(text, "{row}  {series:>12}  {bytes:>9}  {share:>5.1}%");
    }
    if shown.len() < rows.len() {
        let rest = (rows.len() - shown.len()) as u64;
        let _ = writeln!(text, "({} more)", thousands(rest));
    }
}
