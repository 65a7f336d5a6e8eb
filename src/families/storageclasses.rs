//! The resource `storageclasses`: its families show provisioners and reclaim policies.

use k8s_openapi::api::storage::v1::StorageClass;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of StorageClasses.
///
/// ```
/// use kube_state_metrics::families::storageclasses;
///
/// assert!(storageclasses().iter().any(|family| family.descriptor().name() == "kube_storageclass_info"));
/// ```
#[must_use]
pub fn storageclasses() -> Collector<StorageClass> {
    type F = Family<StorageClass>;
    Collector::new().families([
        F::gauge(
            "kube_storageclass_info",
            "Always 1 for each StorageClass; the labels are its provisioner, reclaim policy and \
             volume binding mode.",
        )
        .stable()
        .labels(["provisioner", "reclaim_policy", "volume_binding_mode"])
        .reads(["provisioner", "reclaimPolicy", "volumeBindingMode"])
        .generate(|class, s| {
            let reclaim_policy = class.reclaim_policy.as_deref().unwrap_or("Delete");
            let binding_mode = class.volume_binding_mode.as_deref().unwrap_or("Immediate");
            s.label("provisioner", &class.provisioner)
                .label("reclaim_policy", reclaim_policy)
                .label("volume_binding_mode", binding_mode)
                .value(1);
        }),
        F::gauge(
            "kube_storageclass_created",
            "Unix time when the StorageClass was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        common::annotations(
            "kube_storageclass_annotations",
            "StorageClass",
            Stability::Alpha,
        ),
        common::labels(
            "kube_storageclass_labels",
            "StorageClass",
            Stability::Stable,
        ),
    ])
}
