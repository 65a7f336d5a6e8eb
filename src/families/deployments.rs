//! `deployments`.

use k8s_openapi::api::apps::v1::Deployment;

use crate::Collector;

/// The families of deployments.
#[must_use]
pub fn deployments() -> Collector<Deployment> {
    Collector::new()
}
