//! The resource `secrets`: its families show which secrets exist, with their type and owners. They do not show the
//! content of secrets.

use k8s_openapi::api::core::v1::Secret;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of secrets.
///
/// No family reads the data, so the decoder skips the data.
///
/// ```
/// use kube_state_metrics::families::secrets;
///
/// assert!(secrets().iter().any(|family| family.descriptor().name() == "kube_secret_info"));
/// ```
#[must_use]
pub fn secrets() -> Collector<Secret> {
    type F = Family<Secret>;
    Collector::new().families([
        F::gauge("kube_secret_info", "Always 1 for each secret.")
            .stable()
            .reads_identity_only()
            .generate(common::always),
        F::gauge(
            "kube_secret_type",
            "Always 1 for each secret; `type` is its type, such as Opaque or kubernetes.io/tls.",
        )
        .stable()
        .labels(["type"])
        .reads(["type"])
        .generate(|secret, s| s.label("type", secret.type_.as_ref()).value(1)),
        common::annotations("kube_secret_annotations", "secret", Stability::Alpha),
        common::labels("kube_secret_labels", "secret", Stability::Stable),
        F::gauge(
            "kube_secret_created",
            "Unix time when the secret was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_secret_metadata_resource_version",
            "Resource version of the secret, a number that changes with every update; absent if \
             the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
        F::gauge(
            "kube_secret_owner",
            "Always 1 for each owner of the secret, or once with empty labels if it has no owner.",
        )
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn no_family_reads_the_data_of_a_secret() {
        let collector = secrets();
        for family in collector.iter() {
            let mut reads = family
                .descriptor()
                .reads()
                .expect("every family declares its fields");
            assert!(reads.all(|path| path == "type" || path.starts_with("metadata.")));
        }
    }

    #[test]
    fn an_empty_secret_has_its_unconditional_families_only() {
        assert_eq!(
            samples(secrets(), &json!({ "data": { "key": "dmFsdWU=" } })),
            [
                r#"kube_secret_info{namespace="",secret=""} 1"#,
                r#"kube_secret_type{namespace="",secret="",type=""} 1"#,
                r#"kube_secret_owner{namespace="",secret="",owner_kind="",owner_name="",owner_is_controller=""} 1"#,
            ]
        );
    }

    #[test]
    fn a_secret_shows_its_type_age_version_and_owners() {
        let secret = json!({
            "metadata": {
                "name": "tls", "namespace": "shop", "resourceVersion": "1234567",
                "creationTimestamp": "1970-01-01T00:00:00Z",
                "ownerReferences": [
                    { "kind": "Certificate", "name": "tls", "controller": true },
                    { "kind": "Issuer", "name": "ca", "controller": null },
                    { "kind": "Issuer", "name": "ca" },
                ],
            },
            "type": "kubernetes.io/tls",
        });
        assert_eq!(
            samples(secrets(), &secret),
            [
                r#"kube_secret_info{namespace="shop",secret="tls"} 1"#,
                r#"kube_secret_type{namespace="shop",secret="tls",type="kubernetes.io/tls"} 1"#,
                r#"kube_secret_created{namespace="shop",secret="tls"} 0"#,
                r#"kube_secret_metadata_resource_version{namespace="shop",secret="tls"} 1.234567e+06"#,
                r#"kube_secret_owner{namespace="shop",secret="tls",owner_kind="Certificate",owner_name="tls",owner_is_controller="true"} 1"#,
                r#"kube_secret_owner{namespace="shop",secret="tls",owner_kind="Issuer",owner_name="ca",owner_is_controller="false"} 1"#,
            ]
        );
    }
}
