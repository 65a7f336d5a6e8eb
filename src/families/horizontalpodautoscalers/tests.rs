//! Tests of the families of HorizontalPodAutoscalers: metrics, quantities, and fields that may be absent.

use serde_json::{Value, json};

use super::horizontalpodautoscalers;
use crate::families::testing::family;

/// Returns the samples of an autoscaler in the family `kube_horizontalpodautoscaler_<name>`. The base labels are
/// removed from the samples.
fn samples(name: &str, autoscaler: &Value) -> Vec<String> {
    let name = format!("kube_horizontalpodautoscaler_{name}");
    let start = format!("{name}{{namespace=\"\",horizontalpodautoscaler=\"\"");
    let lines = family(horizontalpodautoscalers(), &name, autoscaler);
    lines
        .into_iter()
        .map(|line| line.replace(&start, ""))
        .collect()
}

fn targets(metrics: &Value) -> Vec<String> {
    samples(
        "spec_target_metric",
        &json!({ "spec": { "metrics": metrics } }),
    )
}

#[test]
fn a_metric_is_read_from_the_source_that_its_type_names() {
    let target = json!({ "type": "Value", "averageUtilization": 0 });
    let named = json!({ "metric": { "name": "qps" }, "target": target });
    let resource = json!({ "name": "cpu", "container": "app", "target": target });
    for (type_, shown) in [
        (
            "Object",
            r#",metric_name="qps",metric_target_type="utilization",container=""} 0"#,
        ),
        (
            "Pods",
            r#",metric_name="qps",metric_target_type="utilization",container=""} 0"#,
        ),
        (
            "External",
            r#",metric_name="qps",metric_target_type="utilization",container=""} 0"#,
        ),
        (
            "Resource",
            r#",metric_name="cpu",metric_target_type="utilization",container=""} 0"#,
        ),
        (
            "ContainerResource",
            r#",metric_name="cpu",metric_target_type="utilization",container="app"} 0"#,
        ),
    ] {
        let metric = json!({
            "type": type_, "object": named, "pods": named, "external": named,
            "resource": resource, "containerResource": resource,
        });
        assert_eq!(targets(&json!([metric])), [shown]);
    }
}

#[test]
fn a_metric_of_an_unknown_type_or_without_its_source_is_skipped() {
    let source = json!({ "name": "cpu", "target": { "value": "1" } });
    let metrics = json!([
        { "type": "resource", "resource": source },
        { "type": "", "resource": source },
        { "type": "Pods", "resource": source },
        { "type": "Resource", "resource": null },
        null,
        { "type": "Resource", "resource": source },
    ]);
    let line = r#",metric_name="cpu",metric_target_type="value",container=""} 1"#;
    assert_eq!(targets(&metrics), [line]);
}

#[test]
fn a_metric_has_value_average_and_utilization_in_this_order() {
    let reading = json!({ "averageUtilization": 80, "averageValue": "250m", "value": "1Ki" });
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "current": reading } });
    assert_eq!(
        samples(
            "status_target_metric",
            &json!({ "status": { "currentMetrics": [metric] } })
        ),
        [
            ("value", "1024"),
            ("average", "0.25"),
            ("utilization", "80")
        ]
        .map(|(kind, value)| {
            format!(",metric_name=\"cpu\",metric_target_type=\"{kind}\",container=\"\"}} {value}")
        })
    );
}

#[test]
fn a_quantity_that_does_not_parse_leaves_the_other_numbers_alone() {
    let target = json!({ "value": "1 Gi", "averageValue": 0.5 });
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
    let line = r#",metric_name="cpu",metric_target_type="average",container=""} 0.5"#;
    assert_eq!(targets(&json!([metric])), [line]);
}

#[test]
fn external_metrics_that_differ_in_their_selector_only_are_one_series() {
    let metric = |app: &str, value: &str| {
        let selector = json!({ "matchLabels": { "app": app } });
        let source = json!({
            "metric": { "name": "queue", "selector": selector }, "target": { "value": value },
        });
        json!({ "type": "External", "external": source })
    };
    assert_eq!(
        targets(&json!([metric("a", "1"), metric("b", "2")])),
        [r#",metric_name="queue",metric_target_type="value",container=""} 1"#]
    );
}

#[test]
fn an_absent_minimum_is_one_and_an_explicit_zero_stays() {
    for (spec, value) in [
        (json!(null), 1),
        (json!({ "minReplicas": null }), 1),
        (json!({ "minReplicas": 0 }), 0),
    ] {
        let minimum = samples("spec_min_replicas", &json!({ "spec": spec }));
        assert_eq!(minimum, [format!("}} {value}")]);
    }
}

#[test]
fn the_scaled_object_has_no_version_label_where_it_has_no_version() {
    for (target, shown) in [
        (
            json!({ "apiVersion": "", "kind": "Web" }),
            r#",scaletargetref_kind="Web","#,
        ),
        (json!({ "kind": "Web" }), r#",scaletargetref_kind="Web","#),
        (
            json!({ "apiVersion": "v1", "kind": "Web" }),
            r#",scaletargetref_api_version="v1",scaletargetref_kind="Web","#,
        ),
    ] {
        let autoscaler = json!({ "spec": { "scaleTargetRef": target } });
        assert_eq!(
            samples("info", &autoscaler),
            [format!("{shown}scaletargetref_name=\"\"}} 1")]
        );
    }
}

#[test]
fn each_direction_has_a_tolerance_of_its_own() {
    let behavior = json!({ "scaleUp": { "tolerance": "700m" }, "scaleDown": {} });
    let autoscaler = json!({ "spec": { "behavior": behavior } });
    assert_eq!(
        samples("spec_behavior_scale_up_tolerance", &autoscaler),
        ["} 0.7"]
    );
    assert!(samples("spec_behavior_scale_down_tolerance", &autoscaler).is_empty());
}
