//! `rolebindings`.

use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::Collector;

/// The families of rolebindings.
#[must_use]
pub fn rolebindings() -> Collector<RoleBinding> {
    Collector::new()
}
