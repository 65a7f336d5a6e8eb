//! `resourcequotas`.

use k8s_openapi::api::core::v1::ResourceQuota;

use crate::Collector;

/// The families of resourcequotas.
#[must_use]
pub fn resourcequotas() -> Collector<ResourceQuota> {
    Collector::new()
}
