//! `pods`.

use k8s_openapi::api::core::v1::Pod;

use crate::Collector;

/// The families of pods.
#[must_use]
pub fn pods() -> Collector<Pod> {
    Collector::new()
}
