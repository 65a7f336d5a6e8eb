//! `clusterrolebindings`.

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use crate::Collector;

/// The families of clusterrolebindings.
#[must_use]
pub fn clusterrolebindings() -> Collector<ClusterRoleBinding> {
    Collector::new()
}
