//! The resource `clusterroles`: its families show which roles exist. They do not show the rules of the roles.

use k8s_openapi::api::rbac::v1::ClusterRole;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of ClusterRoles.
///
/// ```
/// use kube_state_metrics::families::clusterroles;
///
/// assert!(clusterroles().iter().any(|family| family.descriptor().name() == "kube_clusterrole_annotations"));
/// ```
#[must_use]
pub fn clusterroles() -> Collector<ClusterRole> {
    type F = Family<ClusterRole>;
    Collector::new().families([
        common::annotations(
            "kube_clusterrole_annotations",
            "ClusterRole",
            Stability::Alpha,
        ),
        common::labels("kube_clusterrole_labels", "ClusterRole", Stability::Alpha),
        F::gauge("kube_clusterrole_info", "Always 1 for each ClusterRole.")
            .reads_identity_only()
            .generate(common::always),
        F::gauge(
            "kube_clusterrole_created",
            "Unix time when the ClusterRole was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_clusterrole_metadata_resource_version",
            "Resource version of the ClusterRole, a number that changes with every update; \
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
    fn a_role_shows_that_it_exists_and_not_its_rules() {
        let object = json!({
            "metadata": { "namespace": "ops", "name": "x", "resourceVersion": "7" },
            "rules": null,
        });
        assert_eq!(
            samples(clusterroles(), &object),
            [
                r#"kube_clusterrole_info{clusterrole="x"} 1"#,
                r#"kube_clusterrole_metadata_resource_version{clusterrole="x"} 7"#,
            ]
        );
    }
}
