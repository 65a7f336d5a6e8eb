//! `secrets`.

use k8s_openapi::api::core::v1::Secret;

use crate::Collector;

/// The families of secrets.
#[must_use]
pub fn secrets() -> Collector<Secret> {
    Collector::new()
}
