//! `serviceaccounts`.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::Collector;

/// The families of serviceaccounts.
#[must_use]
pub fn serviceaccounts() -> Collector<ServiceAccount> {
    Collector::new()
}
