//! Keeps the table of options in `docs/reference/compat.md` equal to the table in `table.rs`. The documentation
//! compares the options with those of the Go program kube-state-metrics.

use super::row::{Compat, DefaultValue, Row};
use super::table::TABLE;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/compat.md");
const BEGIN: &str = "<!-- begin of options; `UPDATE_GOLDEN=1 cargo test --workspace --all-features --bins -- options::compat` writes them -->\n\n";
const END: &str = "\n<!-- end of options -->\n";
/// The maximum length of a text in a cell of the table. Longer texts are in lists below the table.
const MAX_CELL: usize = 60;

/// Returns the options in `rows` as a Markdown table. `last` returns the text in the last column of a row.
fn table(
    title: &str,
    rows: impl Iterator<Item = &'static Row>,
    last: impl Fn(&Row) -> String,
) -> String {
    let mut text = format!(
        "| flag | options file | default | a change takes effect | {title} |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let (key, default, last) = (keys(row), default(row), last(row));
        let (flag, reload) = (row.flag, row.reload.describe());
        text += &format!("| `{flag}` | {key} | {default} | {reload} | {last} |\n");
    }
    text
}

fn keys(row: &Row) -> String {
    let keys = row.keys().map(|key| format!("`{key}`"));
    keys.collect::<Vec<_>>().join(", formerly ")
}

fn default(row: &Row) -> String {
    match row.default {
        DefaultValue::Value(text) => format!("`{text}`"),
        _ => row.default_shown().unwrap_or_default(),
    }
}

/// The text about the difference from the Go program, if the text is too long for a cell of the table.
fn long_difference(row: &Row) -> Option<&'static str> {
    match row.compat {
        Compat::Differs(how) if how.len() > MAX_CELL => Some(how),
        _ => None,
    }
}

/// Returns a list of the flags without effect. The list has one item for each reason.
fn without_effect() -> String {
    let mut items: Vec<(&str, Vec<String>)> = Vec::new();
    for row in TABLE {
        let Compat::NoEffect(why) = row.compat else {
            continue;
        };
        let flag = match row.key {
            Some(key) => format!("`{}` (options file: `{key}`)", row.flag),
            None => format!("`{}`", row.flag),
        };
        match items.iter_mut().find(|(own, _)| *own == why) {
            Some((_, flags)) => flags.push(flag),
            None => items.push((why, vec![flag])),
        }
    }
    let items = items.iter().map(|(why, flags)| {
        let flags = flags.iter().map(|flag| format!("  - {flag}\n"));
        format!("- {why}:\n{}", flags.collect::<String>())
    });
    items.collect()
}

/// The generated section of `docs/reference/compat.md`.
fn section() -> String {
    let has_effect = |row: &&Row| !matches!(row.compat, Compat::Added | Compat::NoEffect(_));
    let ours = TABLE.iter().filter(has_effect);
    let cell = |row: &Row| match (row.compat, long_difference(row)) {
        (_, Some(_)) => "see below".to_owned(),
        (Compat::Differs(how), None) => how.to_owned(),
        _ => "same".to_owned(),
    };
    let ours = table("here", ours, cell);
    let differences = TABLE.iter().filter_map(|row| {
        let parts = long_difference(row)?.split("; ");
        let parts: String = parts.map(|part| format!("  - {part}\n")).collect();
        Some(format!("- `{}`\n{parts}", row.flag))
    });
    let differences: String = differences.collect();
    let added = TABLE.iter().filter(|row| row.compat == Compat::Added);
    let added = table("meaning", added, |row| row.help.to_owned());
    let without_effect = without_effect();
    format!(
        "{ours}\nDifferences in detail:\n\n{differences}\n\
         Accepted without effect:\n\n{without_effect}\n\
         Options that the Go program does not have:\n\n{added}"
    )
}

#[test]
fn the_documented_options_are_those_of_the_table() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("a marker in docs/reference/compat.md");
    let (documented, after) = rest
        .split_once(END)
        .expect("a marker in docs/reference/compat.md");
    let section = section();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, format!("{before}{BEGIN}{section}{END}{after}")).unwrap();
        return;
    }
    assert!(
        documented == section,
        "docs/reference/compat.md differs from exporter/src/options/table.rs; run with UPDATE_GOLDEN=1:\n{section}"
    );
}
