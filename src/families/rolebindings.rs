//! The resource `rolebindings`: its families show which role a binding grants. They do not show the subjects of the
//! binding.

use k8s_openapi::api::rbac::v1::RoleBinding;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of RoleBindings.
///
/// ```
/// use kube_state_metrics::families::rolebindings;
///
/// assert!(rolebindings().iter().any(|family| family.descriptor().name() == "kube_rolebinding_annotations"));
/// ```
#[must_use]
pub fn rolebindings() -> Collector<RoleBinding> {
    type F = Family<RoleBinding>;
    Collector::new().families([
        common::annotations(
            "kube_rolebinding_annotations",
            "RoleBinding",
            Stability::Alpha,
        ),
        common::labels("kube_rolebinding_labels", "RoleBinding", Stability::Alpha),
        F::gauge(
            "kube_rolebinding_info",
            "Always 1 for each RoleBinding; the labels name the Role or ClusterRole that it \
             grants.",
        )
        .labels(["roleref_kind", "roleref_name"])
        .reads(["roleRef.kind", "roleRef.name"])
        .generate(|binding, s| {
            s.label("roleref_kind", &binding.role_ref.kind)
                .label("roleref_name", &binding.role_ref.name)
                .value(1);
        }),
        F::gauge(
            "kube_rolebinding_created",
            "Unix time when the RoleBinding was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_rolebinding_metadata_resource_version",
            "Resource version of the RoleBinding, a number that changes with every update; \
             absent if the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn a_binding_shows_its_role_once_however_many_subjects_it_has() {
        let object = json!({
            "metadata": { "namespace": "ops", "name": "x", "resourceVersion": "7" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "view" },
            "subjects": [{ "kind": "Group", "name": "a" }, { "kind": "User", "name": "b" }],
        });
        assert_eq!(
            samples(rolebindings(), &object),
            [
                r#"kube_rolebinding_info{namespace="ops",rolebinding="x",roleref_kind="Role",roleref_name="view"} 1"#,
                r#"kube_rolebinding_metadata_resource_version{namespace="ops",rolebinding="x"} 7"#,
            ]
        );
    }
}
