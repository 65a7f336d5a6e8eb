//! The resource `persistentvolumeclaims`: its families show the requested storage and the bound volume of each claim.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

const PHASES: [&str; 3] = ["Lost", "Bound", "Pending"];

/// The annotation with the storage class. Old manifests have this annotation instead of `spec.storageClassName`.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The families of PersistentVolumeClaims.
///
/// ```
/// use kube_state_metrics::families::persistentvolumeclaims;
///
/// assert!(persistentvolumeclaims().iter().any(|family| family.descriptor().name() == "kube_persistentvolumeclaim_labels"));
/// ```
#[must_use]
pub fn persistentvolumeclaims() -> Collector<PersistentVolumeClaim> {
    type F = Family<PersistentVolumeClaim>;
    Collector::new().families([
        common::labels(
            "kube_persistentvolumeclaim_labels",
            "PersistentVolumeClaim",
            Stability::Stable,
        ),
        common::annotations(
            "kube_persistentvolumeclaim_annotations",
            "PersistentVolumeClaim",
            Stability::Alpha,
        ),
        F::gauge(
            "kube_persistentvolumeclaim_info",
            "Always 1 for each PersistentVolumeClaim (PVC); the labels are its storage class, \
             bound volume and volume mode.",
        )
        .stable()
        .labels(["storageclass", "volumename", "volumemode"])
        .reads([
            "metadata.annotations",
            "spec.storageClassName",
            "spec.volumeName",
            "spec.volumeMode",
        ])
        .generate(info),
        F::gauge(
            "kube_persistentvolumeclaim_status_phase",
            "Phase of the PersistentVolumeClaim (Pending, Bound, Lost): 1 for the current \
             phase, otherwise 0. Absent until the claim has a phase.",
        )
        .stable()
        .labels(["phase"])
        .reads(["status.phase"])
        .search_words(["unbound", "volume"])
        .generate(|claim, s| {
            let status = claim.status.as_ref();
            let phase = status
                .and_then(|status| status.phase.as_deref())
                .unwrap_or_default();
            if !phase.is_empty() {
                s.state_set("phase", &PHASES, phase);
            }
        }),
        F::gauge(
            "kube_persistentvolumeclaim_resource_requests_storage_bytes",
            "Storage that the PersistentVolumeClaim (PVC) requests, in bytes; absent if it \
             requests none.",
        )
        .stable()
        .reads(["spec.resources.requests.storage"])
        .generate(|claim, s| {
            let resources = spec(claim).and_then(|spec| spec.resources.as_ref());
            let requests = resources.and_then(|resources| resources.requests.as_ref());
            s.maybe_value(
                common::quantity(requests, "storage").and_then(|storage| storage.whole()),
            );
        }),
        F::gauge(
            "kube_persistentvolumeclaim_access_mode",
            "Always 1 for each access mode that the PersistentVolumeClaim requests, such as \
             ReadWriteOnce.",
        )
        .stable()
        .labels(["access_mode"])
        .reads(["spec.accessModes"])
        .generate(|claim, s| {
            let spec = spec(claim);
            for mode in spec
                .and_then(|spec| spec.access_modes.as_ref())
                .into_iter()
                .flatten()
            {
                s.label("access_mode", mode).value(1);
            }
        }),
        F::gauge(
            "kube_persistentvolumeclaim_status_condition",
            "Conditions of the PersistentVolumeClaim, such as Resizing: 1 for the current \
             `status`, otherwise 0. Absent if the claim has no conditions.",
        )
        .labels(["condition", "status"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .generate(conditions),
        F::gauge(
            "kube_persistentvolumeclaim_created",
            "Unix time when the PersistentVolumeClaim was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_persistentvolumeclaim_deletion_timestamp",
            "Unix time when the PersistentVolumeClaim is due for deletion, in seconds; absent \
             until deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

fn spec(claim: &PersistentVolumeClaim) -> Option<&PersistentVolumeClaimSpec> {
    claim.spec.as_ref()
}

fn info(claim: &PersistentVolumeClaim, s: &mut Samples<'_>) {
    let spec = spec(claim);
    let annotations = claim.metadata.annotations.as_ref();
    let class = (annotations.and_then(|own| own.get(CLASS_ANNOTATION)))
        .or_else(|| spec.and_then(|spec| spec.storage_class_name.as_ref()));
    s.label("storageclass", class)
        .label(
            "volumename",
            spec.and_then(|spec| spec.volume_name.as_deref()),
        )
        .label(
            "volumemode",
            spec.and_then(|spec| spec.volume_mode.as_deref()),
        )
        .value(1);
}

fn conditions(claim: &PersistentVolumeClaim, s: &mut Samples<'_>) {
    let status = claim.status.as_ref();
    for condition in status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
    {
        common::condition(s, "status", &condition.status, |s| {
            s.label("condition", &condition.type_)
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::families::testing;

    fn samples(family: &str, mut claim: Value) -> Vec<String> {
        claim["metadata"]["name"] = "c".into();
        let lines = testing::family(persistentvolumeclaims(), family, &claim);
        let start = format!("{family}{{namespace=\"\",persistentvolumeclaim=\"c\"");
        lines
            .iter()
            .map(|line| line.strip_prefix(&start).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn phases_come_in_their_order_and_only_where_there_is_one() {
        let phase = |status| {
            samples(
                "kube_persistentvolumeclaim_status_phase",
                json!({ "status": status }),
            )
        };
        assert_eq!(
            phase(json!({ "phase": "Lost" })),
            [
                ",phase=\"Lost\"} 1",
                ",phase=\"Bound\"} 0",
                ",phase=\"Pending\"} 0"
            ]
        );
        assert_eq!(
            phase(json!({ "phase": "lost" })),
            [
                ",phase=\"Lost\"} 0",
                ",phase=\"Bound\"} 0",
                ",phase=\"Pending\"} 0"
            ]
        );
        assert!(phase(json!({})).is_empty());
    }

    #[test]
    fn the_info_has_no_default_for_the_volume_mode() {
        let info = |claim| samples("kube_persistentvolumeclaim_info", claim);
        let empty = ",storageclass=\"\",volumename=\"\",volumemode=\"\"} 1";
        assert_eq!(info(json!({})), [empty]);
        assert_eq!(
            info(json!({ "spec": { "volumeMode": "Block", "volumeName": "v" } })),
            [",storageclass=\"\",volumename=\"v\",volumemode=\"Block\"} 1"]
        );
    }

    #[test]
    fn only_a_storage_request_that_parses_is_told() {
        let requests = |resources| {
            samples(
                "kube_persistentvolumeclaim_resource_requests_storage_bytes",
                json!({ "spec": { "resources": resources } }),
            )
        };
        assert_eq!(
            requests(json!({ "requests": { "storage": "1.5" } })),
            ["} 2"]
        );
        assert_eq!(
            requests(json!({ "requests": { "storage": null } })),
            ["} 0"]
        );
        assert!(requests(json!({ "requests": { "storage": "much" } })).is_empty());
        assert!(requests(json!({ "limits": { "storage": "1Gi" } })).is_empty());
    }

    #[test]
    fn a_condition_with_an_odd_status_is_all_zeros() {
        let status = json!({ "conditions": [{ "type": "Resizing", "status": "true" }] });
        assert_eq!(
            samples(
                "kube_persistentvolumeclaim_status_condition",
                json!({ "status": status })
            ),
            [
                ",condition=\"Resizing\",status=\"true\"} 0",
                ",condition=\"Resizing\",status=\"false\"} 0",
                ",condition=\"Resizing\",status=\"unknown\"} 0",
            ]
        );
    }
}
