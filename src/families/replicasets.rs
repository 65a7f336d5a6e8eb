//! The resource `replicasets`: its families show desired and current replicas, and owners.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of ReplicaSets.
///
/// ```
/// use kube_state_metrics::families::replicasets;
///
/// assert!(replicasets().iter().any(|family| family.descriptor().name() == "kube_replicaset_created"));
/// ```
#[must_use]
pub fn replicasets() -> Collector<ReplicaSet> {
    type F = Family<ReplicaSet>;
    Collector::new().families([
        F::gauge(
            "kube_replicaset_created",
            "Unix time when the ReplicaSet was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_replicaset_status_replicas",
            "Number of pods of the ReplicaSet.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_replicaset_status_fully_labeled_replicas",
            "Number of pods of the ReplicaSet that have all labels of its pod template.",
        )
        .stable()
        .reads(["status.fullyLabeledReplicas"])
        .generate(or_zero(status, |status| status.fully_labeled_replicas)),
        F::gauge(
            "kube_replicaset_status_ready_replicas",
            "Number of ready pods of the ReplicaSet.",
        )
        .stable()
        .reads(["status.readyReplicas"])
        .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_replicaset_status_terminating_replicas",
            "Number of terminating pods of the ReplicaSet; absent if the cluster does not report \
             this number.",
        )
        .reads(["status.terminatingReplicas"])
        .generate(if_present(status, |status| status.terminating_replicas)),
        F::gauge(
            "kube_replicaset_status_observed_generation",
            "Latest generation of the ReplicaSet that its controller has observed.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_replicaset_spec_replicas",
            "Desired number of pods of the ReplicaSet; absent if not set.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_replicaset_metadata_generation",
            "Generation of the ReplicaSet, a number that increases when its spec changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_replicaset_owner",
            "Always 1 for each owner of the ReplicaSet, or once with empty labels if it has no \
             owner.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
        common::annotations(
            "kube_replicaset_annotations",
            "ReplicaSet",
            Stability::Alpha,
        ),
        common::labels("kube_replicaset_labels", "ReplicaSet", Stability::Stable),
    ])
}

fn spec(set: &ReplicaSet) -> Option<&ReplicaSetSpec> {
    optional(&set.spec)
}

fn status(set: &ReplicaSet) -> Option<&ReplicaSetStatus> {
    optional(&set.status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::replicasets;
    use crate::families::testing::samples;

    #[test]
    fn numbers_are_zero_without_a_status_but_optional_ones_are_absent() {
        let object = json!({ "metadata": { "namespace": "shop", "name": "web" }, "status": null });
        let base = r#"{namespace="shop",replicaset="web"} 0"#;
        assert_eq!(
            samples(replicasets(), &object),
            [
                format!("kube_replicaset_status_replicas{base}"),
                format!("kube_replicaset_status_fully_labeled_replicas{base}"),
                format!("kube_replicaset_status_ready_replicas{base}"),
                format!("kube_replicaset_status_observed_generation{base}"),
                format!("kube_replicaset_metadata_generation{base}"),
                String::from(
                    "kube_replicaset_owner{namespace=\"shop\",replicaset=\"web\",\
                     owner_kind=\"\",owner_name=\"\",owner_is_controller=\"\"} 1"
                ),
            ]
        );
    }

    #[test]
    fn optional_numbers_show_where_they_are_zero() {
        let object = json!({ "spec": { "replicas": 0 }, "status": { "terminatingReplicas": 0 } });
        let lines = samples(replicasets(), &object);
        for name in ["spec_replicas", "status_terminating_replicas"] {
            let line = format!("kube_replicaset_{name}{{namespace=\"\",replicaset=\"\"}} 0");
            assert!(lines.contains(&line), "{line}");
        }
    }
}
