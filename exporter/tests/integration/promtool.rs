//! Tests `render --format promtool` and its page in the documentation. YAML parsers and promtool must accept the
//! output.

use std::fs;
use std::process::Command;

use serde::Deserialize;

use super::support::{CLUSTER, Directory, Exporter, PROGRAM, get, run};
use super::tools;

const PAGE: &str = include_str!("../../../docs/how-to/test-alerts.md");
const JOINS: &str = include_str!("../../../docs/how-to/join-labels.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    series: String,
    values: String,
}

/// Returns a file that the page contains. A comment before the file contains its name. If the file is in a list item of
/// the page, its lines are indented.
fn documented(name: &str) -> String {
    documented_in(PAGE, name)
}

fn documented_in(page: &str, name: &str) -> String {
    let (before, rest) = page
        .split_once(&format!("<!-- file: {name} -->\n"))
        .unwrap_or_else(|| panic!("the page has no {name}"));
    let indent = before.len() - before.trim_end_matches(' ').len();
    let lines = rest
        .lines()
        .map(|line| line.get(indent..).unwrap_or_default());
    let lines = lines.skip(1).take_while(|line| !line.starts_with("```"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whether promtool is installed. If promtool is missing, the function prints that the test is skipped.
pub(super) fn has_promtool() -> bool {
    tools::promtool().is_some()
}

/// Runs promtool on a test file. Returns whether the tests in the file pass, and the output of promtool.
pub(super) fn promtool(directory: &Directory, file: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    let command = command.current_dir(directory.path());
    let output = command.args(["test", "rules", file]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Renders objects as input series for tests with promtool.
fn rendered(args: &[&str], objects: &str) -> String {
    let args = [&["render", "--format=promtool", "-"], args].concat();
    let output = run(&args, objects);
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout
}

/// Runs shell commands from the documentation, with `directory` as the working directory. The commands use the exporter
/// that was built.
#[track_caller]
fn run_commands(directory: &Directory, commands: &str) {
    let commands = commands.replace("kube-state-metrics", PROGRAM);
    let shell = Command::new("sh")
        .args(["-ec", &commands])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{shell:?}");
}

#[test]
fn each_sample_is_a_series_of_a_yaml_list() {
    let text = run(&["render", CLUSTER], "").stdout;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<_> = samples.map(|line| line.rsplit_once(' ').unwrap()).collect();
    let output = run(&["render", "--format", "promtool", CLUSTER], "");
    assert!(output.status.success(), "{}", output.stderr);
    let series: Vec<Series> = serde_saphyr::from_str(&output.stdout).unwrap();
    assert!(series.len() > 1500 && series.len() == samples.len());
    for (own, (series, value)) in series.iter().zip(&samples) {
        assert_eq!(own.series, *series);
        let (first, rest) = own.values.split_once("+0x").unwrap();
        assert_eq!(first.parse::<f64>().unwrap(), value.parse::<f64>().unwrap());
        assert_eq!(rest, "1440");
    }
}

#[test]
fn promtool_reads_label_values_as_they_are() {
    let value = "it's \"x\" \\\\ \\n\\t \\u0001\\u0085 é🚀";
    let objects = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a","namespace":"b","annotations":{{"odd":"{}"}}}}}}"#,
        value.replace('"', "\\\"")
    );
    let args = [
        "--metric-annotations-allowlist=configmaps=[odd]",
        "--resources=configmaps",
    ];
    let series = rendered(&args, &objects);
    let list: Vec<Series> = serde_saphyr::from_str(&series).unwrap();
    let odd = list
        .iter()
        .find(|own| own.series.contains("annotation_odd"));
    let odd = odd.unwrap_or_else(|| panic!("{series}"));
    let selector = odd.series.split_once('{').unwrap().1;
    assert!(!selector.contains(|c: char| c.is_control()), "{selector:?}");
    if !has_promtool() {
        return;
    }
    let directory = Directory::new("promtool");
    let selected = r#"it's \"x\" \\ \n\t \u0001\u0085 é🚀"#;
    let test = serde_json::json!([{
        "expr": format!("count(kube_configmap_annotations{{annotation_odd=\"{selected}\"}})"),
        "eval_time": "24h",
        "exp_samples": [{ "labels": "{}", "value": 1 }],
    }]);
    let head = format!("tests:\n- interval: 1m\n  promql_expr_test: {test}\n  input_series:\n");
    directory.write("odd.yaml", &(head + &series));
    let (passes, said) = promtool(&directory, "odd.yaml");
    assert!(passes, "{said}");
}

#[test]
fn the_how_to_about_alerts_holds() {
    let directory = Directory::new("test-alerts");
    for file in [
        "objects.yaml",
        "alerts.yaml",
        "alerts.test.yaml",
        "age.test.yaml",
    ] {
        directory.write(file, &documented(file));
    }
    let path = |name: &str| directory.path().join(name);
    let series = rendered(&[], &documented("objects.yaml"));
    let (_, block) = PAGE.split_once("## The series").unwrap();
    let shown = block
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert!(series.contains(shown), "{shown} is not in\n{series}");
    let all = documented("alerts.test.yaml") + &series;
    let parsed: serde_json::Value = serde_saphyr::from_str(&all).unwrap();
    let count = parsed["tests"][0]["input_series"].as_array().unwrap().len();
    assert_eq!(count, series.matches("  - series: ").count());
    if !has_promtool() {
        return;
    }
    run_commands(&directory, &documented("test.sh"));
    assert!(path("all.test.yaml").exists());

    // If all replicas are available, the alert does not fire. So the test in the documentation must fail.
    let healthy =
        documented("objects.yaml").replace("availableReplicas: 1", "availableReplicas: 3");
    let all = documented("alerts.test.yaml") + &rendered(&[], &healthy);
    directory.write("healthy.test.yaml", &all);
    let (passes, said) = promtool(&directory, "healthy.test.yaml");
    assert!(!passes && said.contains("ReplicasMissing"), "{said}");

    let started = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"old\",\"namespace\":\"shop\",\
                   \"uid\":\"u1\"},\"status\":{\"startTime\":\"2026-03-17T07:42:00Z\"}}";
    let all = documented("age.test.yaml") + &rendered(&[], started);
    fs::write(path("age.all.yaml"), all).unwrap();
    let (passes, said) = promtool(&directory, "age.all.yaml");
    assert!(passes, "{said}");
}

#[test]
fn the_how_to_about_joined_labels_holds() {
    let directory = Directory::new("join-labels");
    for file in ["objects.yaml", "alerts.yaml", "join.test.yaml"] {
        directory.write(file, &documented_in(JOINS, file));
    }
    let shown = "sum by (cost) (kube_pod_container_resource_requests{resource=\"cpu\"})";
    assert_eq!(
        JOINS.matches(shown).count(),
        2,
        "the query is shown and tested"
    );
    if !has_promtool() {
        return;
    }
    run_commands(&directory, &documented_in(JOINS, "test.sh"));
}

#[test]
fn queries_of_the_landing_page_are_promql() {
    let Some(mut promtool) = tools::promtool() else {
        return;
    };
    let exporter = Exporter::start(&["--metric-labels-allowlist=pods=[*],nodes=[*]"]);
    let page = get(&exporter.main, "/", &[("accept", "text/html")]).text();
    let queries = page.split("<pre class=\"copy\">").skip(1);
    let queries = queries.filter_map(|rest| Some(rest.split_once("</pre>")?.0));
    let rules: Vec<_> = queries
        .enumerate()
        .map(|(number, query)| {
            let escapes = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&amp;", "&"),
            ];
            let plain = |query: String, (from, to): (&str, &str)| query.replace(from, to);
            let query = escapes.into_iter().fold(query.to_owned(), plain);
            serde_json::json!({ "record": format!("query:{number}"), "expr": query })
        })
        .collect();
    assert!(rules.len() > 400, "{}", rules.len());
    let directory = Directory::new("queries");
    let groups = serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] });
    let file = directory.write("rules.yaml", &groups.to_string());
    let output = promtool.args(["check", "rules", &file]).output().unwrap();
    assert!(output.status.success(), "{}", tools::said(&output));
}
