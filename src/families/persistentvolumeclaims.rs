//! `persistentvolumeclaims`.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::Collector;

/// The families of persistentvolumeclaims.
#[must_use]
pub fn persistentvolumeclaims() -> Collector<PersistentVolumeClaim> {
    Collector::new()
}
