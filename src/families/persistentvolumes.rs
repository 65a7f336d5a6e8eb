//! `persistentvolumes`.

use k8s_openapi::api::core::v1::PersistentVolume;

use crate::Collector;

/// The families of persistentvolumes.
#[must_use]
pub fn persistentvolumes() -> Collector<PersistentVolume> {
    Collector::new()
}
