use std::path::PathBuf;

use super::*;
use crate::{Format, Selection};

/// A directory of files that goes when it is dropped.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("ksm-manifests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        Self(directory)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .allow_metrics(["_info$", "namespace_status_phase"])
        .build()
        .unwrap()
}

/// The samples and the problems of some files, the directory's name left out.
fn load(name: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let directory = Files::new(name, files);
    let metrics = metrics();
    let report = ManifestSource::new([&directory.0]).open(&metrics).reload();
    let prefix = format!("{}/", directory.0.display());
    let problems = report
        .problems
        .iter()
        .map(|problem| problem.to_string().replace(&prefix, ""));
    (samples(&metrics), problems.collect())
}

fn samples(metrics: &StateMetrics) -> Vec<String> {
    let text = metrics
        .exposition(Format::Text, Selection::default())
        .to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(String::from)
        .collect()
}

fn info(name: &str) -> String {
    format!("kube_configmap_info{{namespace=\"n\",configmap=\"{name}\"}} 1")
}

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good, namespace: n}\n";

#[test]
fn documents_lists_and_json_lines_are_all_read() {
    let (samples, problems) = load(
        "forms",
        &[
            (
                "a.yaml",
                &format!("# comment\n---\n{GOOD}---\n{}", GOOD.replace("good", "two")),
            ),
            (
                "b.json",
                r#"{"apiVersion":"v1","kind":"List","items":[
                    {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"listed","namespace":"n"}}]}"#,
            ),
            (
                "c.jsonl",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l1\",\"namespace\":\"n\"}}\n\
                 {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l2\",\"namespace\":\"n\"}}\n",
            ),
            (
                "d.yml",
                "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: typed, namespace: n}\n",
            ),
            ("ignored.txt", "not a manifest"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let expected = ["good", "l1", "l2", "listed", "two", "typed"].map(info);
    let sorted: std::collections::BTreeSet<_> = samples.into_iter().collect();
    assert_eq!(sorted, expected.into_iter().collect());
}

#[test]
fn a_broken_document_is_named_with_its_line_and_the_others_count() {
    let broken = format!(
        "{GOOD}---\napiVersion: v1\nkind: [\n---\n{}",
        GOOD.replace("good", "two")
    );
    let (samples, problems) = load("broken", &[("a.yaml", &broken)]);
    assert_eq!(samples, [info("good"), info("two")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("a.yaml:"), "{problems:?}");
    assert!(problems[0].contains("not valid YAML"), "{problems:?}");
}

#[test]
fn a_broken_json_line_does_not_hide_the_next() {
    let line = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"n\"}}}}\n"
        )
    };
    let text = format!("{}{{\"apiVersion\": oops}}\n{}", line("a"), line("b"));
    let (samples, problems) = load("line", &[("a.jsonl", &text)]);
    assert_eq!(samples, [info("a"), info("b")]);
    assert_eq!(
        problems,
        ["a.jsonl:2: not valid JSON at column 16; the document is skipped"]
    );
}

#[test]
fn unknown_kinds_and_undecodable_objects_are_reported_and_unregistered_ones_counted() {
    let (samples, problems) = load(
        "kinds",
        &[(
            "a.yaml",
            &format!(
                "kind: Widget\napiVersion: acme.dev/v1\n---\napiVersion: v1\nkind: Secret\n---\n\
                 metadata: {{}}\n---\n\
                 apiVersion: v1\nkind: Namespace\nmetadata: {{name: odd}}\nstatus: {{phase: 7}}\n---\n{GOOD}"
            ),
        )],
    );
    assert_eq!(samples, [info("good")]);
    assert_eq!(
        problems,
        [
            "a.yaml:1: no metrics for acme.dev/v1 Widget; the object is skipped",
            "a.yaml:7: not a Kubernetes object: apiVersion is missing; the document is skipped",
            "a.yaml:9: cannot decode Namespace odd: expected a string at status.phase; the object \
             yields no metrics until it is corrected",
        ]
    );
}

#[test]
fn a_reload_takes_changes_and_deletions() {
    let files = Files::new(
        "reload",
        &[("a.yaml", GOOD), ("b.yaml", &GOOD.replace("good", "b"))],
    );
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    assert_eq!(feed.reload().objects, 2);
    std::fs::write(files.0.join("a.yaml"), GOOD.replace("good", "new")).unwrap();
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    assert_eq!(feed.reload().objects, 1);
    assert_eq!(samples(&metrics), [info("new")]);
}

#[test]
fn a_missing_file_is_a_problem_not_a_panic() {
    let report = ManifestSource::new(["/nonexistent/file.yaml"])
        .open(&metrics())
        .reload();
    assert_eq!(report.objects, 0);
    let problem = report.problems[0].to_string();
    assert!(
        problem.starts_with("cannot read /nonexistent/file.yaml: "),
        "{problem}"
    );
}
