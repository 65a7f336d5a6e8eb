//! Tests the alerts, recording rules and dashboards in deploy/mixin. The files must be valid, and must use only
//! existing metrics.
//!
//! `exporter/tests/integration/dashboards.rs` evaluates the rules and dashboards over the example cluster.

mod growth;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kube_state_metrics::families::catalogue::catalogue;
use serde_json::Value;

use crate::support::golden;
use crate::support::tools::{Directory, promtool, run, said};

/// Pairs of names: a file with rules, and the `PrometheusRule` with the same rules.
const RULES: [(&str, &str); 3] = [
    ("alerts", "kube-state-metrics-alerts"),
    ("rules", "kube-state-metrics-rules"),
    ("v1-names", "kube-state-metrics-v1-names"),
];

const DASHBOARDS: [&str; 2] = ["cluster", "exporter"];

/// The metrics that scrapers add for each target. The scrapers are Prometheus by default, Prometheus with
/// `extra-scrape-metrics`, and VictoriaMetrics.
const OF_SCRAPERS: [&str; 8] = [
    "scrape_body_size_bytes",
    "scrape_duration_seconds",
    "scrape_response_size_bytes",
    "scrape_sample_limit",
    "scrape_samples_limit",
    "scrape_samples_scraped",
    "scrape_timeout_seconds",
    "up",
];

/// The page with a heading for each alert.
const PAGE: &str = "docs/how-to/alerts.md";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mixin")
}

fn rules(name: &str) -> String {
    golden::read(&format!("deploy/mixin/{name}.yaml"))
}

/// Returns the values of `key` in a YAML file of rules: one value per rule.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        .collect()
}

/// Returns the queries of rules. A query is the value of `expr`, or the indented lines after `expr`.
fn queries(text: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<_> = text.lines().collect();
    let mut queries = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(query) = line.trim_start().strip_prefix("expr: ") {
            let rest = lines[at + 1..].iter();
            let more: Vec<_> = rest.take_while(|own| depth(own) > depth(line)).collect();
            queries.push(if query == "|" {
                more.into_iter().map(|line| format!("{line}\n")).collect()
            } else {
                query.to_owned()
            });
        }
    }
    queries
}

/// Returns the scenarios in the tests of alerts. Each scenario begins with a comment.
fn scenarios(tests: &str) -> Vec<&str> {
    let (_, tests) = tests.split_once("\ntests:\n").unwrap();
    let starts = tests.match_indices("# ").map(|(at, _)| at);
    let starts = starts.filter(|at| *at == 0 || tests[..*at].ends_with('\n'));
    let starts: Vec<_> = starts.chain([tests.len()]).collect();
    let scenarios = starts.windows(2).map(|pair| &tests[pair[0]..pair[1]]);
    scenarios.collect()
}

/// Whether the test `case` expects that the alert does not fire.
fn silent(case: &str) -> bool {
    case.contains("exp_alerts: []")
}

fn dashboard(name: &str) -> Value {
    let text = golden::read(&format!("deploy/mixin/dashboards/{name}.json"));
    serde_json::from_str(&text).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the titles of the panels with their queries.
fn panels(dashboard: &Value) -> Vec<(&str, &str)> {
    let panels = array(&dashboard["panels"]).iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = array(&panel["targets"]).iter();
        targets.map(move |target| (title, target["expr"].as_str().unwrap()))
    });
    panels.collect()
}

/// Returns a query in the form in which Grafana sends the query.
fn interpolated(query: &str) -> String {
    query
        .replace("$__rate_interval", "5m")
        .replace("$__range", "6h")
}

/// Returns the names of the metrics in a query. Label values are ignored.
fn metrics(query: &str) -> BTreeSet<String> {
    let outside = query.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let words = outside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let prefixes = ["http_", "kube_", "process_", "scrape_"];
    let is_metric = |word: &&str| {
        *word == "up"
            || word.contains(':') && word.len() > 1
            || prefixes.iter().any(|own| word.starts_with(own))
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Returns the metrics that rules and dashboards may use.
fn known() -> BTreeSet<String> {
    let families = catalogue();
    let of_objects = families
        .iter()
        .map(|entry| entry.descriptor.name().to_owned());
    let recorded = rules("rules");
    let recorded = values(&recorded, "record").into_iter().map(str::to_owned);
    let page = golden::read("docs/reference/self-metrics.md");
    let mut known: BTreeSet<String> = of_objects.chain(recorded).collect();
    known.extend(OF_SCRAPERS.map(str::to_owned));
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once("` | ").unwrap();
        known.insert(name.to_owned());
        if rest.starts_with("histogram") {
            known.extend(["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")));
        }
    }
    known
}

#[test]
fn queries_ask_only_for_metrics_that_exist() {
    let known = known();
    let mut queries: Vec<(String, String)> = Vec::new();
    for (name, _) in RULES {
        let text = rules(name);
        queries.extend(
            self::queries(&text)
                .into_iter()
                .map(|own| (name.to_owned(), own)),
        );
    }
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        let own = panels(&dashboard).into_iter();
        queries.extend(own.map(|(title, query)| (format!("{name}: {title}"), query.to_owned())));
        for variable in array(&dashboard["templating"]["list"]) {
            let query = variable["query"]["query"].as_str().unwrap_or_default();
            queries.push((format!("{name}: {}", variable["name"]), query.to_owned()));
        }
    }
    let mut unknown = Vec::new();
    let mut found = 0;
    for (place, query) in &queries {
        for metric in metrics(query) {
            found += 1;
            if !known.contains(&metric) {
                unknown.push(format!("{place}: {metric}"));
            }
        }
    }
    assert!(found > 150, "{found}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn each_alert_has_a_test_that_fires_one_that_is_silent_and_a_section_of_the_guide() {
    let (text, tests) = (rules("alerts"), rules("tests/alerts.test"));
    let alerts: BTreeSet<_> = values(&text, "alert").into_iter().collect();
    // For each alert, the expected results in its tests: `true` means that the alert fires, and `false` means that it
    // does not fire.
    let mut tested: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for case in tests.split("  - alertname: ").skip(1) {
        let name = case.lines().next().unwrap();
        tested.entry(name).or_default().insert(!silent(case));
    }
    let both = BTreeSet::from([false, true]);
    let scenarios = scenarios(&tests);
    for alert in &alerts {
        assert_eq!(tested.get(alert), Some(&both), "{alert}");
        // Each alert needs a scenario in which the alert never fires.
        let case = format!("  - alertname: {alert}\n");
        let is_quiet = |scenario: &str| {
            let mut cases = scenario.split(&case).skip(1).peekable();
            cases.peek().is_some() && cases.all(silent)
        };
        assert!(scenarios.iter().any(|own| is_quiet(own)), "{alert}");
    }
    assert_eq!(tested.len(), alerts.len());
    let page = golden::read(PAGE);
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(headings.collect::<BTreeSet<_>>(), alerts);
    let address = concat!(
        env!("CARGO_PKG_REPOSITORY"),
        "/blob/main/docs/how-to/alerts.md#"
    );
    let names = values(&text, "alert").into_iter().map(str::to_lowercase);
    let expected: Vec<_> = names.map(|name| format!("{address}{name}")).collect();
    assert_eq!(values(&text, "runbook_url"), expected);
    for severity in values(&text, "severity") {
        assert!(["critical", "warning"].contains(&severity), "{severity}");
    }
}

#[test]
fn without_its_duration_an_alert_fires_in_each_scenario_that_is_too_short_for_it() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let tests = rules("tests/alerts.test");
    let short: Vec<_> = scenarios(&tests)
        .into_iter()
        .filter(|own| own.contains("The alert does not fire."))
        .collect();
    assert!(short.len() >= 7, "{}", short.len());
    let directory = Directory::new("durations");
    let lines = rules("alerts");
    let lines = lines.lines().filter(|line| !line.starts_with("    for: "));
    let lines: Vec<_> = lines.collect();
    fs::write(directory.path().join("alerts.yaml"), lines.join("\n")).unwrap();
    let cases = format!(
        "rule_files: [alerts.yaml]\nevaluation_interval: 1m\ntests:\n{}",
        short.concat()
    );
    fs::write(directory.path().join("short.yaml"), cases).unwrap();
    promtool.current_dir(directory.path());
    let output = run(promtool.args(["test", "rules", "short.yaml"]), b"");
    let output = said(&output);
    // The rules have no `for` here, so an alert fires in each of these scenarios. The scenarios expect no alert, so
    // promtool must report an error for each scenario.
    let wrong = output.matches("exp:[]").count();
    assert_eq!(wrong, short.len(), "{output}");
}

#[test]
fn the_tests_of_all_rules_pass() {
    for (name, _) in RULES {
        let Some(mut promtool) = promtool() else {
            return;
        };
        promtool.current_dir(directory().join("tests"));
        let output = run(
            promtool.args(["test", "rules", &format!("{name}.test.yaml")]),
            b"",
        );
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn each_recording_rule_has_a_test() {
    for name in ["rules", "v1-names"] {
        let (text, tests) = (rules(name), rules(&format!("tests/{name}.test")));
        let records: BTreeSet<_> = values(&text, "record").into_iter().collect();
        let tested: BTreeSet<_> = values(&tests, "expr").into_iter().collect();
        assert_eq!(tested, records, "{name}");
    }
}

#[test]
fn the_objects_of_the_operator_have_the_rules() {
    for (name, object) in RULES {
        let text = rules(name);
        let (comment, groups) = text.split_once("groups:\n").unwrap();
        let mut expected = format!(
            "{comment}# A test generates this file from {name}.yaml.\napiVersion: monitoring.coreos.com/v1\n\
             kind: PrometheusRule\nmetadata:\n  name: {object}\n  labels:\n    \
             app.kubernetes.io/name: kube-state-metrics\n    app.kubernetes.io/component: exporter\nspec:\n  groups:\n"
        );
        for line in groups.lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            expected.push_str(&format!("{indent}{line}\n"));
        }
        golden::check(
            &format!("deploy/mixin/prometheusrules/{name}.yaml"),
            &expected,
        );
    }
}

#[test]
fn the_names_of_version_1_are_those_of_version_2_by_rules() {
    let text = rules("v1-names");
    let catalogue = catalogue();
    let names = catalogue.iter().map(|entry| entry.descriptor.name());
    let ours: BTreeSet<_> = names.collect();
    let records = values(&text, "record");
    for record in &records {
        assert!(!ours.contains(record), "{record} is a name of version 2");
    }
    for query in queries(&text) {
        let metrics = metrics(&query);
        assert!(
            metrics.iter().any(|name| ours.contains(&**name)),
            "no metric of version 2: {query}"
        );
    }
    assert_eq!(records.len(), 18);
}

#[test]
fn the_queries_of_the_dashboards_are_valid() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let mut rules = String::from("groups:\n- name: dashboards\n  rules:\n");
    for name in DASHBOARDS {
        for (title, query) in panels(&dashboard(name)) {
            let query = Value::from(interpolated(query));
            rules.push_str(&format!(
                "  # {name}: {title}\n  - alert: Panel\n    expr: {query}\n"
            ));
        }
    }
    let directory = Directory::new("dashboards");
    let file = directory.path().join("queries.yaml");
    fs::write(&file, rules).unwrap();
    let output = run(
        promtool.args(["check", "rules", "--lint=none"]).arg(&file),
        b"",
    );
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn dashboards_can_be_imported_and_select_clusters() {
    let mut uids = BTreeSet::new();
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        // The file must contain no id, because Grafana assigns the id at the import.
        assert!(dashboard["id"].is_null(), "{name}");
        let variables = array(&dashboard["templating"]["list"]);
        let cluster = variables
            .iter()
            .find(|own| own["name"] == "cluster")
            .unwrap();
        // The option for all clusters must have the value `.*`, because this value also selects series without the
        // label `cluster`.
        assert_eq!(
            (&cluster["includeAll"], &cluster["allValue"]),
            (&true.into(), &".*".into())
        );
        assert_eq!(cluster["current"]["value"], "$__all");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in array(&dashboard["panels"]) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(x < 24 && cells.insert((x, y)), "{name}: {title}: {x}, {y}");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            let text = panel["description"].as_str().unwrap();
            assert!(text.ends_with('.'), "{name}: {title}: {text}");
            assert!(!array(&panel["targets"]).is_empty(), "{name}: {title}");
            for target in array(&panel["targets"]) {
                assert_eq!(
                    target["datasource"]["uid"], "${datasource}",
                    "{name}: {title}"
                );
                let query = target["expr"].as_str().unwrap();
                // Each selector in a query has exactly one opening brace, so the number of braces is the number of
                // selectors.
                let selectors = query.matches('{').count();
                assert!(selectors > 0, "{name}: {title}: {query}");
                let selected = query.matches(r#"cluster=~"$cluster""#).count();
                assert_eq!(selected, selectors, "{name}: {title}: {query}");
            }
        }
        assert!(ids.len() > 20, "{name}");
    }
}
