//! `replicasets`: replicas wanted and reached, and who owns the set.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of replica sets.
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
            "Unix time of creation, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_replicaset_status_replicas",
            "Number of pods the replica set has.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_replicaset_status_fully_labeled_replicas",
            "Number of its pods that have all labels of the pod template.",
        )
        .stable()
        .reads(["status.fullyLabeledReplicas"])
        .generate(or_zero(status, |status| status.fully_labeled_replicas)),
        F::gauge(
            "kube_replicaset_status_ready_replicas",
            "Number of its pods that are ready.",
        )
        .stable()
        .reads(["status.readyReplicas"])
        .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_replicaset_status_terminating_replicas",
            "Number of its pods that are shutting down; absent where the cluster does not count \
             them.",
        )
        .reads(["status.terminatingReplicas"])
        .generate(if_present(status, |status| status.terminating_replicas)),
        F::gauge(
            "kube_replicaset_status_observed_generation",
            "Newest generation of the replica set that its controller has acted on.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_replicaset_spec_replicas",
            "Number of pods the replica set should have; absent where it does not say.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_replicaset_metadata_generation",
            "Generation of the replica set, which grows with every change of its spec.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_replicaset_owner",
            "Always 1, one sample per owner of the replica set; one with empty labels where it has \
             none.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
        common::annotations(
            "kube_replicaset_annotations",
            "replica set",
            Stability::Alpha,
        ),
        common::labels("kube_replicaset_labels", "replica set", Stability::Stable),
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
