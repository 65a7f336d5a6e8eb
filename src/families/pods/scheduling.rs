//! Families of the part of a pod's spec that the scheduler reads.

use k8s_openapi::api::core::v1::Pod;

use super::access::spec;
use crate::Family;
use crate::families::common;
use crate::family::Samples;

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_nodeselectors",
            "Always 1 for each pod; `nodeselector_*` are the node labels that its node selector \
             requires.",
        )
        .opt_in()
        .labels(["nodeselector_*"])
        .reads(["spec.nodeSelector"])
        .generate(|pod, s| {
            let selector = spec(pod).and_then(|spec| spec.node_selector.as_ref());
            s.sample()
                .map_labels("nodeselector", common::pairs(selector))
                .value(1);
        }),
        F::gauge(
            "kube_pod_scheduler",
            "Always 1 for each pod; `name` is the scheduler that assigns it to a node.",
        )
        .labels(["name"])
        .reads(["spec.schedulerName"])
        .generate(|pod, s| {
            let scheduler = spec(pod).and_then(|spec| spec.scheduler_name.as_ref());
            s.label("name", scheduler).value(1);
        }),
        F::gauge(
            "kube_pod_tolerations",
            "Always 1 for each distinct toleration of the pod; an empty `toleration_seconds` \
             means no time limit.",
        )
        .labels(["key", "operator", "value", "effect", "toleration_seconds"])
        .reads([
            "spec.tolerations.key",
            "spec.tolerations.operator",
            "spec.tolerations.value",
            "spec.tolerations.effect",
            "spec.tolerations.tolerationSeconds",
        ])
        .generate(tolerations),
    ]
}

fn tolerations(pod: &Pod, s: &mut Samples<'_>) {
    let tolerations = spec(pod).and_then(|spec| spec.tolerations.as_ref());
    for toleration in tolerations.into_iter().flatten() {
        s.label("key", toleration.key.as_ref())
            .label("operator", toleration.operator.as_ref())
            .label("value", toleration.value.as_ref())
            .label("effect", toleration.effect.as_ref())
            .label("toleration_seconds", toleration.toleration_seconds)
            .value(1);
    }
}
