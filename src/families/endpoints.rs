//! `endpoints`.

use k8s_openapi::api::core::v1::Endpoints;

use crate::Collector;

/// The families of endpoints.
#[must_use]
pub fn endpoints() -> Collector<Endpoints> {
    Collector::new()
}
