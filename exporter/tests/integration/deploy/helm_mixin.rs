//! Tests that the rules and dashboards in the Helm chart are equal to those in deploy/mixin.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::helm::{chart, has_helm, objects};
use super::{assert_golden, deploy};
use crate::support::{Directory, run_program};
use crate::tools::promtool;

/// The names of the files in deploy/mixin that contain rules.
const RULES: [&str; 3] = ["alerts", "rules", "v1-names"];

const DASHBOARDS: [&str; 2] = ["cluster", "exporter"];

fn source(file: &str) -> String {
    fs::read_to_string(deploy().join("mixin").join(file)).unwrap()
}

/// Compares the copies in the chart with the files in deploy/mixin. The chart needs copies, because a template can read
/// only files of its chart.
pub(super) fn assert_copies() {
    let rules = RULES.map(|name| format!("{name}.yaml"));
    let dashboards = DASHBOARDS.map(|name| format!("dashboards/{name}.json"));
    for file in rules.iter().chain(&dashboards) {
        assert_golden(&chart().join("files/mixin").join(file), &source(file));
    }
}

/// Returns the output of helm without the long text of dashboards. If a dashboard is equal to its file, a remark
/// replaces its text.
pub(super) fn without_dashboards(mut text: String) -> String {
    for name in DASHBOARDS {
        let file = format!("dashboards/{name}.json");
        let lines = source(&file);
        let lines = lines.trim().lines().map(|line| match line.is_empty() {
            true => "\n".to_owned(),
            false => format!("    {line}\n"),
        });
        let short = format!("    (the content of deploy/mixin/{file})\n");
        text = text.replace(&lines.collect::<String>(), &short);
    }
    text
}

/// Renders the chart with rules and dashboards, and with `settings` as further values. Returns the objects of one kind.
fn rendered(kind: &str, settings: &str) -> Vec<Value> {
    let values = chart().join("ci/mixin-values.yaml");
    let mut objects = objects(&values, &["--set", settings]);
    objects.retain(|object| object["kind"] == kind);
    objects
}

#[test]
fn the_rules_of_the_chart_are_those_of_the_mixin() {
    if !has_helm() {
        return;
    }
    let objects = rendered("PrometheusRule", "prometheusRule.v1Names=true");
    assert_eq!(objects.len(), RULES.len());
    for (object, name) in objects.iter().zip(RULES) {
        let own = format!("ksm-kube-state-metrics-{name}");
        assert_eq!(object["metadata"]["name"], own);
        let file: Value = serde_saphyr::from_str(&source(&format!("{name}.yaml"))).unwrap();
        assert_eq!(object["spec"], file, "{name}");
    }
    for (setting, expected) in [
        (
            "prometheusRule.alerts=false",
            "ksm-kube-state-metrics-rules",
        ),
        (
            "prometheusRule.recordingRules=false",
            "ksm-kube-state-metrics-alerts",
        ),
    ] {
        let objects = rendered("PrometheusRule", setting);
        let names: Vec<_> = objects.iter().map(|own| &own["metadata"]["name"]).collect();
        assert_eq!(names, [expected], "{setting}");
    }
}

#[test]
fn the_rules_of_the_chart_select_the_job_of_the_monitor() {
    if !has_helm() {
        return;
    }
    for (settings, job) in [
        ("nameOverride=other", "other"),
        ("prometheusRule.job=ksm,nameOverride=other", "ksm"),
    ] {
        for object in rendered("PrometheusRule", settings) {
            let text = object["spec"].to_string();
            let jobs = text.split("job=\\\"").skip(1);
            let jobs: BTreeSet<_> = jobs.map(|rest| rest.split('\\').next().unwrap()).collect();
            assert_eq!(jobs, BTreeSet::from([job]), "{settings}");
            let Some(_) = promtool() else { continue };
            let directory = Directory::new("rules");
            let file = directory.write("rules.yaml", &text);
            let output = run_program("promtool", &["check", "rules", &file], "");
            assert!(output.status.success(), "{}", output.stderr);
        }
    }
    // Prometheus uses the value of this label as the job name.
    let monitor = &rendered("ServiceMonitor", "nameOverride=other")[0];
    assert_eq!(monitor["spec"]["jobLabel"], "app.kubernetes.io/name");
    let service = &rendered("Service", "nameOverride=other")[0];
    let labels = &service["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "other");
}

#[test]
fn the_dashboards_of_the_chart_are_those_of_the_mixin() {
    if !has_helm() {
        return;
    }
    let objects = rendered("ConfigMap", "dashboards.labels.mine=too");
    assert_eq!(objects.len(), DASHBOARDS.len());
    for (object, name) in objects.iter().zip(DASHBOARDS) {
        let metadata = &object["metadata"];
        assert_eq!(metadata["namespace"], "grafana");
        assert_eq!(metadata["annotations"]["grafana_folder"], "ksm");
        assert_eq!(metadata["labels"]["grafana_dashboard"], "1");
        assert_eq!(metadata["labels"]["mine"], "too");
        let key = format!("kube-state-metrics-{name}.json");
        let text = object["data"][&key].as_str().unwrap();
        let file = source(&format!("dashboards/{name}.json"));
        assert_eq!(text.trim(), file.trim(), "{name}");
    }
}
