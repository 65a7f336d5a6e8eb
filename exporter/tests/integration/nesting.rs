//! Tests that inputs with a million nested levels cause an error, not a crash. The recursion depth of the exporter must
//! have a limit.
//!
//! The tests run the exporter as a separate process for each input, because a stack overflow would end the test
//! process.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Directory, PROGRAM};

const LEVELS: usize = 1_000_000;

/// The maximum time for one input. A release build takes a fraction of a second.
const TIME: Duration = Duration::from_secs(60);

/// Runs the exporter with one input. Returns the text on standard error, and whether the exporter succeeded.
fn run(what: &str, arguments: &[&str]) -> (bool, String) {
    let directory = Directory::new("nesting-output");
    let path = directory.path().join("stderr");
    let stderr = std::fs::File::create(&path).unwrap();
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what}: not within {TIME:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    println!("{what}: {:.2?}", start.elapsed());
    let stderr = std::fs::read_to_string(path).unwrap();
    assert!(status.code().is_some(), "{what}: {status}: {stderr}");
    (status.success(), stderr)
}

/// Nests `inner` in a million levels. Each level adds `open` before the text and `close` after it.
fn nested(open: &str, inner: &str, close: &str) -> String {
    [&open.repeat(LEVELS), inner, &close.repeat(LEVELS)].concat()
}

/// Returns the start of an output, because the output may quote the long input.
fn start_of(text: &str) -> String {
    text.chars().take(400).collect()
}

#[test]
fn manifests_end_in_an_error_that_names_the_document() {
    let directory = Directory::new("nesting");
    let config_map = |field: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a","namespace":"b"}},{field}}}"#
        )
    };
    for (what, file, text) in [
        ("lists of JSON", "a.json", nested("[", "", "]")),
        (
            "lists of JSON without an end",
            "a.json",
            nested("[", "", ""),
        ),
        ("maps of JSON", "a.json", nested("{\"a\":", "1", "}")),
        (
            "lists of objects",
            "a.json",
            nested(
                r#"{"apiVersion":"v1","kind":"List","items":["#,
                &config_map("\"data\":{}"),
                "]}",
            ),
        ),
        (
            "a field that is skipped",
            "a.json",
            config_map(&format!("\"x\":{}", nested("[", "", "]"))),
        ),
        (
            "flow lists of YAML",
            "a.yaml",
            format!("a: {}", nested("[", "", "]")),
        ),
        (
            "flow maps of YAML",
            "a.yaml",
            format!("x: {}", nested("{a: ", "1", "}")),
        ),
        ("block lists of YAML", "a.yaml", nested("- ", "1", "")),
        ("keys of YAML", "a.yaml", nested("? ", "1", "")),
        (
            "tags of YAML",
            "a.yaml",
            format!("a: {}", nested("!x ", "1", "")),
        ),
        (
            "anchors of YAML",
            "a.yaml",
            format!("a: {}", nested("&x [", "*x", "]")),
        ),
    ] {
        let path = directory.write(file, &text);
        let (_, stderr) = run(what, &["render", "--resources=configmaps", &path]);
        // The exporter skips this field, so it reports no error.
        let is_named = stderr.contains(&path) || what == "a field that is skipped";
        assert!(is_named, "{what}: {}", start_of(&stderr));
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn configurations_end_in_an_error() {
    let directory = Directory::new("nesting-config");
    let config = |each: &str| {
        format!(
            "spec:\n  resources:\n  - groupVersionKind: {{ group: acme.dev, version: v1, kind: Widget }}\n    \
             metrics:\n    - {{ name: m, help: Help., each: {{ type: Gauge, gauge: {{ {each} }} }} }}\n"
        )
    };
    let expression = |text: String| config(&format!("expr: '{text}'"));
    for (what, text) in [
        ("flow lists", format!("spec: {}", nested("[", "", "]"))),
        ("block lists", nested("- ", "1", "")),
        (
            "brackets of an expression",
            expression(nested("(", "1", ")")),
        ),
        ("lists of an expression", expression(nested("[", "1", "]"))),
        ("maps of an expression", expression(nested("{1:", "1", "}"))),
        (
            "negations of an expression",
            expression(nested("!", "true", "")),
        ),
        ("signs of an expression", expression(nested("-", "1", ""))),
        ("sums of an expression", expression(nested("1+", "1", ""))),
        (
            "fields of an expression",
            expression(nested("object.", "a", "")),
        ),
        (
            "indices of an expression",
            expression(format!("object{}", nested("[0]", "", ""))),
        ),
        (
            "calls of an expression",
            expression(format!("object{}", nested(".size()", "", ""))),
        ),
        (
            "choices of an expression",
            expression(nested("true?1:", "1", "")),
        ),
        (
            "alternatives of an expression",
            expression(nested("true||", "true", "")),
        ),
    ] {
        let path = directory.write("config.yaml", &text);
        let (is_fine, stderr) = run(what, &["check", &path]);
        assert!(
            !is_fine && !stderr.is_empty(),
            "{what}: {}",
            start_of(&stderr)
        );
    }
    // A long path is valid, but the path finds no value.
    let path = config(&format!("path: [{}a]", "a,".repeat(LEVELS / 10)));
    let path = directory.write("config.yaml", &path);
    run("a path", &["check", &path]);
}

#[test]
fn options_end_in_an_error() {
    let directory = Directory::new("nesting-options");
    let pattern = |text: String| format!("metric_allowlist: {{ '{text}': {{}} }}\n");
    for (what, text) in [
        ("flow lists", format!("resources: {}", nested("[", "", "]"))),
        ("block lists", nested("- ", "1", "")),
        ("groups of a pattern", pattern(nested("(", "a", ")"))),
        ("open groups of a pattern", pattern(nested("(?:", "a", ""))),
        ("classes of a pattern", pattern(nested("[", "a", "]"))),
        (
            "repetitions of a pattern",
            pattern(format!("a{}", nested("*", "", ""))),
        ),
    ] {
        let path = directory.write("options.yaml", &text);
        let (is_fine, stderr) = run(what, &["render", "--config", &path, "-"]);
        assert!(
            !is_fine && !stderr.is_empty(),
            "{what}: {}",
            start_of(&stderr)
        );
    }
    for (what, text) in [
        ("alternatives of a pattern", pattern(nested("a|", "a", ""))),
        (
            "wildcards of an allowlist",
            format!(
                "labels_allow_list: {{ pods: ['{}'] }}\n",
                nested("*a", "", "")
            ),
        ),
    ] {
        let path = directory.write("options.yaml", &text);
        run(what, &["render", "--config", &path, "-"]);
    }
}
