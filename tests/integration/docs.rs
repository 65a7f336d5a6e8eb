//! The book: its links lead somewhere, and what it promises holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::tools::{Directory, promtool, run, said};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the book and those at the root.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "docs/how-to", "examples/cluster"] {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        let entries = entries.map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|own| own == "md")));
    }
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// The code blocks of a page with the file or language they are for: `(file, language, code)`.
fn blocks(page: &str) -> Vec<(String, String, String)> {
    let mut blocks = Vec::new();
    let (mut file, mut open): (String, Option<String>) = Default::default();
    let mut code = String::new();
    for line in page.lines() {
        match (line.strip_prefix("```"), &open) {
            (Some(language), None) => open = Some(language.to_owned()),
            (Some(_), Some(language)) => {
                blocks.push((
                    std::mem::take(&mut file),
                    language.clone(),
                    std::mem::take(&mut code),
                ));
                open = None;
            }
            (None, Some(_)) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {
                if let Some(name) = line.strip_prefix("<!-- file: ") {
                    file = name.trim_end_matches(" -->").to_owned();
                }
            }
        }
    }
    blocks
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let inline = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let references = text.lines().filter(|line| line.starts_with('['));
        let references = references.filter_map(|line| line.split_once("]: ").map(|(_, to)| to));
        for link in inline.chain(references) {
            let path = link.split(['#', ' ']).next().unwrap_or_default();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            followed += 1;
            if !page.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(followed > 50, "{followed}");
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

#[test]
fn a_family_for_a_custom_resource_and_its_test_take_at_most_thirty_lines() {
    let page = fs::read_to_string(root().join("docs/how-to/test-a-family.md")).unwrap();
    let blocks = blocks(&page);
    let (.., code) = blocks
        .iter()
        .find(|(file, ..)| file == "src/lib.rs")
        .unwrap();
    for part in ["CustomResource", "Family::gauge", "#[test]", "assert_eq"] {
        assert!(code.contains(part), "{part} is not in\n{code}");
    }
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 30, "{lines} lines");
}

#[test]
fn the_names_of_version_1_are_those_of_version_2_by_rules() {
    let directory = root().join("docs/how-to");
    let rules = fs::read_to_string(directory.join("v1-names.rules.yaml")).unwrap();
    let catalogue = kube_state_metrics::families::catalogue::catalogue();
    let ours: BTreeSet<_> = catalogue
        .iter()
        .map(|entry| entry.descriptor.name())
        .collect();
    let mut records = 0;
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- record: ") {
            assert!(!ours.contains(name), "{name} is a name of version 2");
            records += 1;
        } else if let Some(query) = line.strip_prefix("expr: ") {
            let mut names = query.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            assert!(
                names.any(|name| ours.contains(name)),
                "no metric of ours: {query}"
            );
        }
    }
    assert_eq!(records, 18);
    let Some(mut promtool) = promtool() else {
        return;
    };
    let output = run(
        promtool
            .current_dir(&directory)
            .args(["test", "rules", "v1-names.test.yaml"]),
        b"",
    );
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_queries_of_the_pages_are_valid() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let directory = Directory::new("pages");
    let mut files = vec![directory.path().join("queries.yaml")];
    let mut rules = String::from("groups:\n- name: pages\n  rules:\n");
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, _, query) in blocks(&text)
            .iter()
            .filter(|(_, language, _)| language == "promql")
        {
            rules.push_str("  - alert: Query\n    expr: |\n");
            for line in query.lines() {
                rules.push_str(&format!("      {line}\n"));
            }
        }
        for (_, _, whole) in blocks(&text)
            .iter()
            .filter(|(_, _, code)| code.starts_with("groups:\n"))
        {
            files.push(directory.path().join(format!("{}.yaml", files.len())));
            fs::write(&files[files.len() - 1], whole).unwrap();
        }
    }
    fs::write(&files[0], rules).unwrap();
    let output = run(
        promtool
            .args(["check", "rules", "--lint=none"])
            .args(&files),
        b"",
    );
    assert!(output.status.success(), "{}", said(&output));
}
