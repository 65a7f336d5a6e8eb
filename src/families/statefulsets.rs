//! `statefulsets`: replicas wanted and reached, revisions, and what becomes of their claims.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of stateful sets.
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
        F::gauge("kube_statefulset_created", "Unix time of creation, in seconds.")
            .stable()
            .reads([common::CREATED])
            .generate(common::created),
        F::gauge(
            "kube_statefulset_status_replicas",
            "Number of pods that the stateful set's controller has created.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_available",
            "Number of its pods that have been ready for at least minReadySeconds.",
        )
        .stable()
        .reads(["status.availableReplicas"])
        .generate(or_zero(status, |status| status.available_replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_current",
            "Number of its pods that have the current revision, from which an update starts.",
        )
        .stable()
        .reads(["status.currentReplicas"])
        .generate(or_zero(status, |status| status.current_replicas)),
        F::gauge("kube_statefulset_status_replicas_ready", "Number of its pods that are ready.")
            .stable()
            .reads(["status.readyReplicas"])
            .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_statefulset_status_replicas_updated",
            "Number of its pods that have the update revision, to which an update leads.",
        )
        .stable()
        .reads(["status.updatedReplicas"])
        .generate(or_zero(status, |status| status.updated_replicas)),
        F::gauge(
            "kube_statefulset_status_observed_generation",
            "Newest generation of the stateful set that its controller has acted on.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_statefulset_replicas",
            "Number of pods the stateful set should have; absent where it does not say.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_statefulset_ordinals_start",
            "Number from which the set's pods are counted; absent where the set does not choose it.",
        )
        .stable()
        .reads(["spec.ordinals.start"])
        .generate(if_present(spec, |spec| {
            let ordinals = spec.ordinals.as_ref()?;
            Some(ordinals.start.unwrap_or(0))
        })),
        F::gauge(
            "kube_statefulset_metadata_generation",
            "Generation of the stateful set, which grows with every change of its spec.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_statefulset_persistentvolumeclaim_retention_policy",
            "Always 1: what happens to the claims of the set's pods when it is deleted or scaled \
             down; absent without a policy.",
        )
        .stable()
        .labels(["when_deleted", "when_scaled"])
        .reads([
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted",
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
        ])
        .generate(retention_policy),
        common::annotations("kube_statefulset_annotations", "stateful set", Stability::Stable),
        common::labels("kube_statefulset_labels", "stateful set", Stability::Stable),
        F::gauge(
            "kube_statefulset_status_current_revision",
            "Always 1: name of the revision from which an update starts.",
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
            "Always 1: name of the revision to which an update leads, the current one where none \
             is under way.",
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
            "Unix time from which the stateful set is to be deleted, in seconds; absent where it \
             is to stay.",
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
