//! Tests a script of the migration guide. The script compares two responses of `/metrics` family by family.

use super::support::{CLUSTER, Directory, Output, run, run_program};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/how-to/compare-metrics.sh"
);

fn compare(arguments: &[&str]) -> Output {
    run_program("sh", &[&[SCRIPT], arguments].concat(), "")
}

#[test]
fn a_response_differs_from_itself_in_nothing() {
    let directory = Directory::new("compare");
    let metrics = run(&["render", CLUSTER], "").stdout;
    let file = directory.write("metrics", &metrics);
    let compared = compare(&[&file, &file]);
    assert_eq!(
        (compared.status.code(), &*compared.stdout),
        (Some(0), ""),
        "{}",
        compared.stderr
    );
    // The order of lines must not matter to the script.
    let mut lines: Vec<_> = metrics.lines().collect();
    lines.sort_unstable();
    lines.reverse();
    let other = directory.write("other", &lines.join("\n"));
    assert!(compare(&[&file, &other]).status.success());
}

#[test]
fn families_that_differ_are_counted_and_their_series_listed() {
    let directory = Directory::new("compare");
    let old = "# HELP a Help.\na{x=\"1\",y=\"b,}c\"} 1\na{x=\"2\"} 2\nb 3\nsame{} 4\n";
    let new = "a{y=\"b,}c\",x=\"1\"} 1\na{x=\"2\"} 5\na{x=\"\\\"q\"} 3\nsame{} 4\n";
    let (old, new) = (directory.write("old", old), directory.write("new", new));
    let compared = compare(&[&old, &new]);
    let a = "a: 0 only old, 1 only new, 1 with another value\n";
    let b = "b: 1 only old, 0 only new, 0 with another value\n";
    assert_eq!(compared.stdout, format!("{a}{b}"), "{}", compared.stderr);
    assert_eq!(compared.status.code(), Some(1));
    let listed = compare(&["--series", &old, &new]);
    let series = "  < a{x=\"2\"} 2\n  > a{x=\"2\"} 5\n  > a{x=\"\\\"q\"} 3\n";
    assert_eq!(listed.stdout, format!("{a}{series}{b}  < b 3\n"));
    let missing = compare(&[&old, "missing"]);
    assert_eq!(missing.status.code(), Some(2), "{}", missing.stdout);
    assert_eq!(compare(&[&old]).status.code(), Some(2));
}
