//! `ingressclasses`.

use k8s_openapi::api::networking::v1::IngressClass;

use crate::Collector;

/// The families of ingressclasses.
#[must_use]
pub fn ingressclasses() -> Collector<IngressClass> {
    Collector::new()
}
