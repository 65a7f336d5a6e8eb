//! `roles`.

use k8s_openapi::api::rbac::v1::Role;

use crate::Collector;

/// The families of roles.
#[must_use]
pub fn roles() -> Collector<Role> {
    Collector::new()
}
