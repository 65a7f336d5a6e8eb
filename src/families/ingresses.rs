//! `ingresses`.

use k8s_openapi::api::networking::v1::Ingress;

use crate::Collector;

/// The families of ingresses.
#[must_use]
pub fn ingresses() -> Collector<Ingress> {
    Collector::new()
}
