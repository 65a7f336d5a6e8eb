//! Tests that each expression in the dashboards of public projects has results over the example cluster
//! (examples/cluster). This repository does not contain the dashboards, so `.ci/run dashboards` downloads them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::promtool::has_promtool;
use super::support::Directory;
use super::well_known::{expect, judge, series, with_job};

/// An environment variable that names a directory. The directory contains dashboards: JSON files, or YAML files with a
/// `ConfigMapList`. A YAML file in the directory can also be a `PrometheusRule` with recording rules that the
/// dashboards read.
const DASHBOARDS: &str = "PUBLISHED_DASHBOARDS";

/// Expressions that have no results over the example cluster. Each pair has a part of such an expression, and the
/// reason why there are no results.
const SILENT: [(&str, &str); 7] = [
    (
        "kube_hpa_labels",
        "kube-state-metrics 2.x has never had this family",
    ),
    ("windows", "no node of the example runs Windows"),
    (
        "kube_job_status_completion_time",
        "the clock of promtool starts in 1970",
    ),
    ("}>1", "each failed job of the example has one failed pod"),
    (
        "\"Ready\",status=\"false\"",
        "the Ready condition of the lost node is unknown",
    ),
    ("Pressure\"", "no node of the example has pressure"),
    ("\"limits.", "the quota of the example limits only requests"),
];

/// Returns recording rules. They create metrics that a real cluster gets from the kubelet. Some expressions combine
/// such a metric with a metric of the exporter. Without the rules, these expressions would have no results.
fn kubelet() -> Value {
    let containers = [
        "cpu_usage_seconds_total",
        "memory_cache",
        "memory_rss",
        "memory_swap",
        "memory_working_set_bytes",
    ];
    let pods = ["bytes", "packets", "packets_dropped"];
    let pods = pods.iter().flat_map(|own| {
        ["receive", "transmit"].map(|way| format!("container_network_{way}_{own}_total"))
    });
    let machine = |resource: &str| format!("kube_node_status_capacity{{resource=\"{resource}\"}}");
    let containers = containers.map(|own| format!("container_{own}"));
    let containers = containers.into_iter();
    let rules = containers
        .map(|name| (name, "kube_pod_container_info".to_owned()))
        .chain(pods.map(|name| (name, "kube_pod_info".to_owned())))
        .chain([
            ("machine_cpu_cores".to_owned(), machine("cpu")),
            ("machine_memory_bytes".to_owned(), machine("memory")),
        ]);
    // In a real cluster, the metrics of the kubelet about containers have these labels.
    let labels = json!({ "job": "kubelet", "metrics_path": "/metrics/cadvisor" });
    let rules =
        rules.map(|(name, query)| json!({ "record": name, "expr": query, "labels": labels }));
    json!({ "name": "kubelet", "rules": rules.collect::<Vec<_>>() })
}

/// Collects the expressions of a dashboard that use metrics of the exporter, directly or through recording rules.
fn collect(dashboard: &Value, expressions: &mut BTreeSet<String>) {
    match dashboard {
        Value::Object(fields) => {
            let query = dashboard["expr"].as_str();
            expressions.extend(query.filter(|own| own.contains("kube_")).map(str::to_owned));
            fields.values().for_each(|own| collect(own, expressions));
        }
        Value::Array(values) => values.iter().for_each(|own| collect(own, expressions)),
        _ => {}
    }
}

/// Replaces the variables in an expression. `cluster` becomes an empty text, and `__rate_interval` becomes `5m`. Most
/// other variables become a pattern that matches all values.
fn with_values(expression: &str) -> String {
    let (mut query, mut rest) = (String::new(), expression);
    while let Some((before, after)) = rest.split_once('$') {
        query.push_str(before);
        let (name, after) = variable(after);
        match name {
            "__rate_interval" => query.push_str("5m"),
            "cluster" => {}
            _ if query.ends_with("=\"") => {
                query.pop();
                query.push_str("~\".+");
            }
            _ if query.ends_with("=~\"") && after.starts_with('"') => query.push_str(".+"),
            // The variable is a part of a longer pattern. The function removes only the variable, and the rest of the
            // pattern still matches series.
            _ => {}
        }
        rest = after;
    }
    query + rest
}

/// Splits the text after a `$` into the name of the variable and the text after the name.
fn variable(text: &str) -> (&str, &str) {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|own| own.split_once('}')) {
        return (name, after);
    }
    let is_other = |own: char| !own.is_ascii_alphanumeric() && own != '_';
    text.split_at(text.find(is_other).unwrap_or(text.len()))
}

/// Returns the groups in a `PrometheusRule`, without their alerts.
fn recording_rules(document: &mut Value) -> Vec<Value> {
    let Value::Array(mut groups) = document["spec"]["groups"].take() else {
        return Vec::new();
    };
    for group in &mut groups {
        let rules = group["rules"].as_array_mut().unwrap();
        rules.retain(|rule| rule["record"].is_string());
    }
    groups
}

/// Changes the values of series: each container restarts once a minute.
fn restarting(series: &str) -> String {
    let mut is_restarts = false;
    let lines = series.lines().map(|line| {
        if line.contains("- series: ") {
            is_restarts = line.contains("'kube_pod_container_status_restarts_total{");
        }
        match is_restarts {
            true => line.replace("+0x30", "+1x30") + "\n",
            false => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[test]
fn variables_have_values() {
    for (expression, expected) in [
        (r#"a{cluster="$cluster"}"#, r#"a{cluster=""}"#),
        (
            r#"a{b="$b",c=~"${c}",cluster=~"$cluster"}"#,
            r#"a{b=~".+",c=~".+",cluster=~""}"#,
        ),
        (
            r#"rate(a{b=~"${b}.*"}[$__rate_interval])"#,
            r#"rate(a{b=~".*"}[5m])"#,
        ),
        ("a", "a"),
    ] {
        assert_eq!(with_values(expression), expected);
    }
}

#[test]
fn the_expressions_of_published_dashboards_have_results_over_the_example() {
    let Some(directory) = std::env::var_os(DASHBOARDS) else {
        eprintln!(
            "SKIPPED: {DASHBOARDS} names no directory; `.ci/run dashboards` fetches dashboards"
        );
        return;
    };
    assert!(has_promtool(), "promtool evaluates the expressions");
    let (mut expressions, mut groups) = (BTreeSet::new(), vec![kubelet()]);
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = || std::fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|own| own.to_str()) {
            Some("json") => collect(&json(&text()), &mut expressions),
            Some("yaml") => {
                let mut document: Value = serde_saphyr::from_str(&text()).unwrap();
                let items = document["items"].as_array().into_iter().flatten();
                let files = items.flat_map(|own| own["data"].as_object().unwrap().values());
                files.for_each(|own| collect(&json(own.as_str().unwrap()), &mut expressions));
                groups.extend(recording_rules(&mut document));
            }
            _ => {}
        }
    }
    assert!(expressions.len() > 200, "{}", expressions.len());
    for (part, reason) in SILENT {
        let is_used = expressions.iter().any(|own| own.contains(part));
        assert!(is_used, "no expression has {part}: {reason}");
    }
    let is_silent = |own: &str| SILENT.iter().any(|(part, _)| own.contains(part));
    let tests = expressions.iter().map(|own| {
        let query = with_values(own);
        // `scalar(...)` always has a value, even if its argument has no value. So the test evaluates only the argument.
        expect(
            query.strip_prefix("scalar").unwrap_or(&query),
            !is_silent(own),
        )
    });
    let tests: Vec<_> = tests.collect();
    let rules = Directory::new("published");
    let rules = rules.write("rules.yaml", &json!({ "groups": groups }).to_string());
    let names = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mixin/v1-names.yaml");
    let labels = "--metric-labels-allowlist=daemonsets=[*],deployments=[*],namespaces=[*],networkpolicies=[*],\
                  pods=[*],statefulsets=[*]";
    let series = series(&[labels]) + &series(&["--resources=endpoints"]);
    let series = restarting(&with_job(&series));
    judge(&series, &[&names, Path::new(&rules)], &tests);
    println!("{} expressions", tests.len());
}
