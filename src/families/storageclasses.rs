//! `storageclasses`.

use k8s_openapi::api::storage::v1::StorageClass;

use crate::Collector;

/// The families of storageclasses.
#[must_use]
pub fn storageclasses() -> Collector<StorageClass> {
    Collector::new()
}
