//! The resource `statefulsets`: its families show desired and current replicas, revisions, and whether the claims of
//! deleted pods are kept.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of StatefulSets.
///
/// ```
/// use kube_state_metrics::families::statefulsets;
///
/// assert!(statefulsets().iter().any(|family| family.descriptor().name() == "kube_statefulset_created"));
/// ```
#[must_use]
pub fn statefulsets() -> Collector<StatefulSet> {
    type F = Family<StatefulSet>;
    Collector::new().families([
        F::gauge(
            "kube_statefulset_created",
            "Unix time when the StatefulSet was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_statefulset_status_replicas",
            "Number of pods that the controller of the StatefulSet has created.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_available",
            "Number of available pods of the StatefulSet (ready for at least minReadySeconds).",
        )
        .stable()
        .reads(["status.availableReplicas"])
        .generate(or_zero(status, |status| status.available_replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_current",
            "Number of pods of the StatefulSet that have the current revision (during an update, \
             the old revision).",
        )
        .stable()
        .reads(["status.currentReplicas"])
        .generate(or_zero(status, |status| status.current_replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_ready",
            "Number of ready pods of the StatefulSet.",
        )
        .stable()
        .reads(["status.readyReplicas"])
        .search_words(["degraded", "down"])
        .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_updated",
            "Number of pods of the StatefulSet that have the update revision (during an update, \
             the new revision).",
        )
        .stable()
        .reads(["status.updatedReplicas"])
        .generate(or_zero(status, |status| status.updated_replicas)),
        F::gauge(
            "kube_statefulset_status_observed_generation",
            "Latest generation of the StatefulSet that its controller has observed.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_statefulset_replicas",
            "Desired number of pods of the StatefulSet; absent if not set.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_statefulset_ordinals_start",
            "First ordinal in the pod names of the StatefulSet; absent if not set (the first \
             ordinal is then 0).",
        )
        .stable()
        .reads(["spec.ordinals.start"])
        .generate(if_present(spec, |spec| {
            let ordinals = spec.ordinals.as_ref()?;
            Some(ordinals.start.unwrap_or(0))
        })),
        F::gauge(
            "kube_statefulset_metadata_generation",
            "Generation of the StatefulSet, a number that increases when its spec changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_statefulset_persistentvolumeclaim_retention_policy",
            "Always 1; `when_deleted` and `when_scaled` show whether PersistentVolumeClaims are \
             retained or deleted when the StatefulSet is deleted or scaled down. Absent if it \
             has no retention policy.",
        )
        .stable()
        .labels(["when_deleted", "when_scaled"])
        .reads([
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted",
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
        ])
        .generate(retention_policy),
        common::annotations(
            "kube_statefulset_annotations",
            "StatefulSet",
            Stability::Stable,
        ),
        common::labels("kube_statefulset_labels", "StatefulSet", Stability::Stable),
        F::gauge(
            "kube_statefulset_status_current_revision",
            "Always 1 for each StatefulSet; `revision` is its current revision (during an \
             update, the old revision).",
        )
        .stable()
        .labels(["revision"])
        .reads(["status.currentRevision"])
        .generate(|set, s| {
            let revision = status(set).and_then(|status| status.current_revision.as_ref());
            s.label("revision", revision).value(1);
        }),
        F::gauge(
            "kube_statefulset_status_update_revision",
            "Always 1 for each StatefulSet; `revision` is its update revision (during an update, \
             the new revision; otherwise the current revision).",
        )
        .stable()
        .labels(["revision"])
        .reads(["status.updateRevision"])
        .generate(|set, s| {
            let revision = status(set).and_then(|status| status.update_revision.as_ref());
            s.label("revision", revision).value(1);
        }),
        F::gauge(
            "kube_statefulset_deletion_timestamp",
            "Unix time when the StatefulSet is due for deletion, in seconds; absent until \
             deletion is requested.",
        )
        .stable()
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

fn spec(set: &StatefulSet) -> Option<&StatefulSetSpec> {
    optional(&set.spec)
}

fn status(set: &StatefulSet) -> Option<&StatefulSetStatus> {
    optional(&set.status)
}

fn retention_policy(set: &StatefulSet, s: &mut Samples<'_>) {
    let policy = spec(set).and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let Some(policy) = policy else { return };
    let deleted = policy.when_deleted.as_deref().unwrap_or_default();
    let scaled = policy.when_scaled.as_deref().unwrap_or_default();
    if !deleted.is_empty() || !scaled.is_empty() {
        s.label("when_deleted", deleted)
            .label("when_scaled", scaled)
            .value(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::statefulsets;
    use crate::families::testing::family;

    fn samples(name: &str, spec: &Value) -> Vec<String> {
        family(
            statefulsets(),
            name,
            &json!({ "metadata": { "name": "db" }, "spec": spec }),
        )
    }

    #[test]
    fn ordinals_start_at_zero_where_they_are_given_without_a_start() {
        let name = "kube_statefulset_ordinals_start";
        for (spec, value) in [
            (json!({ "ordinals": {} }), Some(0)),
            (json!({ "ordinals": { "start": null } }), Some(0)),
            (json!({ "ordinals": { "start": 5 } }), Some(5)),
            (json!({}), None),
        ] {
            let line = |value| format!("{name}{{namespace=\"\",statefulset=\"db\"}} {value}");
            assert_eq!(
                samples(name, &spec),
                Vec::from_iter(value.map(line)),
                "{spec}"
            );
        }
    }

    #[test]
    fn a_retention_policy_shows_unless_both_of_its_halves_are_empty() {
        let name = "kube_statefulset_persistentvolumeclaim_retention_policy";
        for (policy, labels) in [
            (json!({}), None),
            (json!({ "whenDeleted": "", "whenScaled": null }), None),
            (
                json!({ "whenScaled": "Delete" }),
                Some(r#"when_deleted="",when_scaled="Delete""#),
            ),
        ] {
            let spec = json!({ "persistentVolumeClaimRetentionPolicy": policy });
            let line = |labels| format!("{name}{{namespace=\"\",statefulset=\"db\",{labels}}} 1");
            assert_eq!(
                samples(name, &spec),
                Vec::from_iter(labels.map(line)),
                "{spec}"
            );
        }
    }

    #[test]
    fn both_revisions_show_even_where_there_is_no_status() {
        for which in ["current", "update"] {
            let name = format!("kube_statefulset_status_{which}_revision");
            assert_eq!(
                samples(&name, &json!(null)),
                [format!(
                    "{name}{{namespace=\"\",statefulset=\"db\",revision=\"\"}} 1"
                )]
            );
        }
    }
}
