//! Families of a pod's metadata: times, owners, labels and annotations.

use k8s_openapi::api::core::v1::Pod;

use crate::Family;
use crate::families::common;
use crate::family::Stability;

/// The families.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge("kube_pod_created", "Unix time of creation, in seconds.")
            .stable()
            .reads([common::CREATED])
            .generate(common::created),
        F::gauge(
            "kube_pod_deletion_timestamp",
            "Unix time by which the pod is to be deleted, in seconds; absent before its deletion.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        F::gauge(
            "kube_pod_owner",
            "Always 1, one sample per owner of the pod; one with empty labels where it has none.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
        common::labels("kube_pod_labels", "pod", Stability::Stable),
        common::annotations("kube_pod_annotations", "pod", Stability::Alpha),
    ]
}
