//! The resource `roles`: its families show which roles exist. They do not show the rules of the roles.

use k8s_openapi::api::rbac::v1::Role;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of roles.
///
/// ```
/// use kube_state_metrics::families::roles;
///
/// assert!(roles().iter().any(|family| family.descriptor().name() == "kube_role_annotations"));
/// ```
#[must_use]
pub fn roles() -> Collector<Role> {
    type F = Family<Role>;
    Collector::new().families([
        common::annotations("kube_role_annotations", "role", Stability::Alpha),
        common::labels("kube_role_labels", "role", Stability::Alpha),
        F::gauge("kube_role_info", "Always 1 for each role.")
            .reads_identity_only()
            .generate(common::always),
        F::gauge(
            "kube_role_created",
            "Unix time when the role was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_role_metadata_resource_version",
            "Resource version of the role, a number that changes with every update; absent if \
             the version is not a decimal integer.",
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
            samples(roles(), &object),
            [
                r#"kube_role_info{namespace="ops",role="x"} 1"#,
                r#"kube_role_metadata_resource_version{namespace="ops",role="x"} 7"#,
            ]
        );
    }
}
