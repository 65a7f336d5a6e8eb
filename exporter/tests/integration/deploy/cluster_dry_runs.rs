//! Tests that a cluster accepts the objects of the Helm chart, of Kustomize and of the mixin (the rules and dashboards
//! in deploy/mixin). The tests use dry runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cluster::{Applied, kubectl, namespaces};
use super::kustomize::{COMPONENTS, kustomize, with_components};
use super::{ADDITIONS, VARIANTS, deploy, documents, helm};
use crate::support::eventually_or;

/// A CustomResourceDefinition: its group, version, plural name and kind.
pub(super) type Definition = (&'static str, &'static str, &'static str, &'static str);

/// The custom resources that the chart can create.
const OPTIONAL: [Definition; 4] = [
    (
        "autoscaling.k8s.io",
        "v1",
        "verticalpodautoscalers",
        "VerticalPodAutoscaler",
    ),
    (
        "monitoring.coreos.com",
        "v1",
        "prometheusrules",
        "PrometheusRule",
    ),
    (
        "monitoring.coreos.com",
        "v1alpha1",
        "scrapeconfigs",
        "ScrapeConfig",
    ),
    (
        "monitoring.coreos.com",
        "v1",
        "servicemonitors",
        "ServiceMonitor",
    ),
];

const POD_MONITOR: Definition = ("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor");

/// Creates a CustomResourceDefinition for each of these kinds that does not exist in the cluster. The definitions
/// accept every object.
pub(super) fn missing_definitions(kinds: &[Definition]) -> Vec<Applied> {
    let is_missing = |name: &String| kubectl(&["get", "crd", name], "").is_err();
    let missing = kinds.iter().filter_map(|(group, version, plural, kind)| {
        let name = format!("{plural}.{group}");
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": name,
                // The API server requires this annotation for API groups of the Kubernetes community.
                "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" },
            },
            "spec": {
                "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": schema },
                }],
            },
        });
        is_missing(&name).then(|| (name, Applied::new(definition.to_string())))
    });
    missing
        .map(|(name, applied)| {
            let established = [
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                "crd",
                &name,
            ];
            kubectl(&established, "").unwrap();
            applied
        })
        .collect()
}

#[test]
#[ignore = "needs kubectl, helm, and KUBECONFIG of a cluster where it may create namespaces and definitions"]
fn a_cluster_takes_what_the_chart_renders() {
    let names = ["shop", "payments", "monitoring", "other", "grafana"];
    let _namespaces = namespaces(&names);
    let _definitions = missing_definitions(&OPTIONAL);
    let mut kinds = BTreeSet::new();
    for (name, values) in helm::cases() {
        let objects = helm::objects(&values, &["--api-versions=autoscaling.k8s.io/v1"]);
        kinds.extend(
            objects
                .iter()
                .map(|own| own["kind"].as_str().unwrap().to_owned()),
        );
        accepts(&name, &objects);
    }
    for (_, _, _, kind) in OPTIONAL {
        assert!(kinds.contains(kind), "{kind}");
    }
}

/// Asserts that the cluster accepts objects. The test uses a dry run, so it creates no objects.
fn accepts(name: &str, objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let args = [
        "apply",
        "--server-side",
        "--validate=strict",
        "--dry-run=server",
        "-f",
        "-",
    ];
    // The API server may need some time until its discovery lists a new definition.
    eventually_or(
        "the cluster takes the objects",
        || kubectl(&args, &list).ok(),
        || format!("{name}: {}", kubectl(&args, &list).unwrap_err()),
    );
    println!("{name}: {} objects accepted", objects.len());
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may create namespaces and definitions"]
fn a_cluster_takes_every_overlay_with_every_component_and_the_mixin() {
    let _namespaces = namespaces(&["shop", "payments", "monitoring"]);
    let _definitions = missing_definitions(&[&OPTIONAL[..], &[POD_MONITOR]].concat());
    let mut kinds = BTreeSet::new();
    for (_, overlay) in VARIANTS {
        // The overlays `auth-filter` and `custom-resources` already contain the component of the same name. So the test
        // adds these two components only to the other overlays.
        let has_more = matches!(overlay, "auth-filter" | "custom-resources");
        let more = if has_more {
            &[][..]
        } else {
            &["auth-filter", "custom-resources"][..]
        };
        let objects = with_components(overlay, &[&COMPONENTS[..], more].concat());
        kinds.extend(objects.iter().map(|own| own["kind"].to_string()));
        accepts(overlay, &objects);
    }
    for kind in ["NetworkPolicy", "PodMonitor", "ServiceMonitor"] {
        assert!(kinds.contains(&format!("\"{kind}\"")), "{kind}");
    }
    for (file, _) in ADDITIONS {
        accepts(file, &super::objects(file));
    }
    let mut mixin = documents(&kustomize(&deploy().join("mixin")));
    mixin.extend(super::objects("mixin/prometheusrules/v1-names.yaml"));
    for object in &mut mixin {
        object["metadata"]["namespace"] = "monitoring".into();
    }
    accepts("mixin", &mixin);
}
