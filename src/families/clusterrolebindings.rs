//! The resource `clusterrolebindings`: its families show which role a binding grants. They do not show the subjects of
//! the binding.

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of ClusterRoleBindings.
///
/// ```
/// use kube_state_metrics::families::clusterrolebindings;
///
/// assert!(clusterrolebindings().iter().any(|family| family.descriptor().name() == "kube_clusterrolebinding_annotations"));
/// ```
#[must_use]
pub fn clusterrolebindings() -> Collector<ClusterRoleBinding> {
    type F = Family<ClusterRoleBinding>;
    Collector::new().families([
        common::annotations(
            "kube_clusterrolebinding_annotations",
            "ClusterRoleBinding",
            Stability::Alpha,
        ),
        common::labels(
            "kube_clusterrolebinding_labels",
            "ClusterRoleBinding",
            Stability::Alpha,
        ),
        F::gauge(
            "kube_clusterrolebinding_info",
            "Always 1 for each ClusterRoleBinding; the labels name the ClusterRole that it \
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
            "kube_clusterrolebinding_created",
            "Unix time when the ClusterRoleBinding was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_clusterrolebinding_metadata_resource_version",
            "Resource version of the ClusterRoleBinding, a number that changes with every \
             update; absent if the version is not a decimal integer.",
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
            samples(clusterrolebindings(), &object),
            [
                r#"kube_clusterrolebinding_info{clusterrolebinding="x",roleref_kind="Role",roleref_name="view"} 1"#,
                r#"kube_clusterrolebinding_metadata_resource_version{clusterrolebinding="x"} 7"#,
            ]
        );
    }
}
