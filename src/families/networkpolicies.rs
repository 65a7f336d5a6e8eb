//! `networkpolicies`.

use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::Collector;

/// The families of networkpolicies.
#[must_use]
pub fn networkpolicies() -> Collector<NetworkPolicy> {
    Collector::new()
}
