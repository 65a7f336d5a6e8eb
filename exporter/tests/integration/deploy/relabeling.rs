//! Tests the relabeling rules for Prometheus. With these rules, the series continue when a new pod of the exporter
//! replaces an old pod.

use serde_json::Value;

use super::helm::{chart, has_helm, objects as rendered};
use super::{objects, workloads};
use crate::prometheus::block;

const SCRAPING: &str = include_str!("../../../../docs/how-to/scrape.md");

/// Returns the relabeling rules of the scrape job in docs/how-to/scrape.md, for targets or for samples. The fields have
/// the same names as in the Prometheus Operator.
fn documented(rules: &str, instance: &str) -> Value {
    let text = block(SCRAPING, "stable-series", "yaml");
    let text = text.replace("target_label:", "targetLabel:");
    let text = text.replace("source_labels:", "sourceLabels:");
    let text = text.replace(
        "replacement: kube-state-metrics",
        &format!("replacement: {instance}"),
    );
    let job: Value = serde_saphyr::from_str(&text).unwrap();
    job["scrape_configs"][0][rules].clone()
}

#[track_caller]
fn assert_rules(endpoint: &Value, instance: &str) {
    let samples = documented("metric_relabel_configs", instance);
    assert_eq!(endpoint["metricRelabelings"], samples);
    // The Prometheus Operator itself selects the targets and sets their labels. So a ServiceMonitor needs only the last
    // four of the rules for targets.
    let of_targets = documented("relabel_configs", "kube-state-metrics");
    let of_targets = of_targets.as_array().unwrap();
    let (_, defaults) = of_targets.split_last_chunk::<4>().unwrap();
    assert!(
        endpoint["relabelings"]
            .as_array()
            .unwrap()
            .ends_with(defaults)
    );
}

#[test]
fn monitors_have_the_rules_of_the_documented_job() {
    for (file, endpoints) in [
        ("service-monitor.yaml", "endpoints"),
        ("pod-monitor.yaml", "podMetricsEndpoints"),
    ] {
        let monitor = &objects(file)[0];
        let endpoints = &monitor["spec"][endpoints];
        assert_rules(&endpoints[0], "kube-state-metrics");
        assert!(endpoints[1]["metricRelabelings"].is_null(), "{file}");
    }
}

#[test]
fn the_chart_has_the_rules_with_high_availability() {
    if !has_helm() {
        return;
    }
    let values = chart().join("ci/high-availability-values.yaml");
    let endpoints = |more: &[&str]| {
        let objects = rendered(&values, more);
        assert_eq!(workloads(&objects).len(), 1);
        let monitor = objects.iter().find(|own| own["kind"] == "ServiceMonitor");
        monitor.unwrap()["spec"]["endpoints"].clone()
    };
    let with_rules = endpoints(&[]);
    assert_rules(&with_rules[0], "ksm-kube-state-metrics");
    assert!(with_rules[0]["honorLabels"].is_null());
    assert!(with_rules[1]["metricRelabelings"].is_null());
    // Rules that the user adds come after the rules of the chart.
    let more = "prometheus.monitor.http.metricRelabelings[0].action=keep";
    let rules = endpoints(&["--set", more])[0]["metricRelabelings"].clone();
    assert_eq!(rules.as_array().unwrap().last().unwrap()["action"], "keep");
    for off in [
        "highAvailability.enabled=false",
        "highAvailability.stableSeries=false",
    ] {
        let without = endpoints(&["--set", off]);
        assert!(without[0]["metricRelabelings"].is_null(), "{off}");
        assert_eq!(without[0]["honorLabels"], true, "{off}");
    }
}
