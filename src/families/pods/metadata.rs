//! Families of a pod's metadata: times, owners, labels and annotations.

use k8s_openapi::api::core::v1::Pod;

use crate::Family;
use crate::families::common;
use crate::family::Stability;

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_created",
            "Unix time when the pod was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_pod_deletion_timestamp",
            "Unix time when the pod is due for deletion (request plus grace period), in \
             seconds; absent until deletion is requested.",
        )
        .reads([common::DELETED])
        .search_words(["stuck", "terminating"])
        .generate(common::deleted),
        F::gauge(
            "kube_pod_owner",
            "Always 1 for each owner of the pod, or once with empty labels if it has no owner.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
        common::labels("kube_pod_labels", "pod", Stability::Stable),
        common::annotations("kube_pod_annotations", "pod", Stability::Alpha),
    ]
}
