//! The resource `configmaps`: its families show which ConfigMaps exist. They do not show the content of ConfigMaps.

use k8s_openapi::api::core::v1::ConfigMap;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of ConfigMaps.
///
/// ```
/// use kube_state_metrics::families::configmaps;
///
/// assert!(configmaps().iter().any(|family| family.descriptor().name() == "kube_configmap_annotations"));
/// ```
#[must_use]
pub fn configmaps() -> Collector<ConfigMap> {
    type F = Family<ConfigMap>;
    Collector::new().families([
        common::annotations("kube_configmap_annotations", "ConfigMap", Stability::Alpha),
        common::labels("kube_configmap_labels", "ConfigMap", Stability::Stable),
        F::gauge("kube_configmap_info", "Always 1 for each ConfigMap.")
            .stable()
            .reads_identity_only()
            .generate(common::always),
        F::gauge(
            "kube_configmap_created",
            "Unix time when the ConfigMap was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_configmap_metadata_resource_version",
            "Resource version of the ConfigMap, a number that changes with every update; absent \
             if the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
    ])
}
