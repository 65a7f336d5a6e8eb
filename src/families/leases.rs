//! `leases`.

use k8s_openapi::api::coordination::v1::Lease;

use crate::Collector;

/// The families of leases.
#[must_use]
pub fn leases() -> Collector<Lease> {
    Collector::new()
}
