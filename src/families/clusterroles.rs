//! `clusterroles`.

use k8s_openapi::api::rbac::v1::ClusterRole;

use crate::Collector;

/// The families of clusterroles.
#[must_use]
pub fn clusterroles() -> Collector<ClusterRole> {
    Collector::new()
}
