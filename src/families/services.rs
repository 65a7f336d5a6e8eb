//! `services`.

use k8s_openapi::api::core::v1::Service;

use crate::Collector;

/// The families of services.
#[must_use]
pub fn services() -> Collector<Service> {
    Collector::new()
}
