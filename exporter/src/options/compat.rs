//! Keeps the table of options in `docs/compat.md` equal to the table here.

use super::row::{Compat, DefaultValue, Row};
use super::table::TABLE;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compat.md");
const BEGIN: &str = "<!-- begin of options; `UPDATE_GOLDEN=1 cargo test -p kube-state-metrics-exporter compat` writes them -->\n\n";
const END: &str = "\n<!-- end of options -->\n";

/// The rows of some options as a Markdown table.
fn table(
    title: &str,
    rows: impl Iterator<Item = &'static Row>,
    last: fn(&Row) -> String,
) -> String {
    let mut lines = vec![
        format!("| flag | options file | default | a change takes effect | {title} |"),
        "|---|---|---|---|---|".to_owned(),
    ];
    let mut flags = String::new();
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        let separator = if flags.is_empty() { "" } else { ", " };
        flags += &format!("{separator}`{}`", row.flag);
        // Flags without effect that have the same reason share a line.
        let is_alike = |next: &&Row| {
            let has_no_effect = matches!(row.compat, Compat::NoEffect(_));
            has_no_effect && row.key.or(next.key).is_none() && row.compat == next.compat
        };
        if rows.peek().is_some_and(is_alike) {
            continue;
        }
        let key = row.keys().map(|key| format!("`{key}`"));
        let key = key.collect::<Vec<_>>().join(", formerly ");
        let default = match row.default {
            DefaultValue::Value(text) => format!("`{text}`"),
            _ => row.default_shown().unwrap_or_default(),
        };
        let reload = match row.compat {
            Compat::NoEffect(_) => "",
            _ => row.reload.describe(),
        };
        let last = last(row);
        lines.push(format!(
            "| {flags} | {key} | {default} | {reload} | {last} |"
        ));
        flags.clear();
    }
    lines.join("\n") + "\n"
}

/// The section of the document.
fn section() -> String {
    let is_added = |row: &&Row| row.compat == Compat::Added;
    let ours = table(
        "here",
        TABLE.iter().filter(|row| !is_added(row)),
        |row| match row.compat {
            Compat::Differs(how) => how.to_owned(),
            Compat::NoEffect(why) => format!("no effect: {why}"),
            Compat::Same | Compat::Added => "same".to_owned(),
        },
    );
    let added = table("meaning", TABLE.iter().filter(is_added), |row| {
        row.help.to_owned()
    });
    format!("{ours}\nOptions that the Go program does not have:\n\n{added}")
}

#[test]
fn the_documented_options_are_those_of_the_table() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a marker in docs/compat.md");
    let (documented, after) = rest.split_once(END).expect("a marker in docs/compat.md");
    let section = section();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, format!("{before}{BEGIN}{section}{END}{after}")).unwrap();
        return;
    }
    assert!(
        documented == section,
        "docs/compat.md differs from exporter/src/options/table.rs; run with UPDATE_GOLDEN=1:\n{section}"
    );
}
