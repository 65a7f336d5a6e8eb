//! The resource `validatingwebhookconfigurations`: its families show the webhooks that check requests to the API
//! server, and the services of these webhooks.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

use super::common::{self, admission};
use crate::{Collector, Family};

/// The families of ValidatingWebhookConfigurations.
///
/// ```
/// use kube_state_metrics::families::validatingwebhookconfigurations;
///
/// assert!(validatingwebhookconfigurations().iter().any(|family| family.descriptor().name() == "kube_validatingwebhookconfiguration_info"));
/// ```
#[must_use]
pub fn validatingwebhookconfigurations() -> Collector<ValidatingWebhookConfiguration> {
    type F = Family<ValidatingWebhookConfiguration>;
    admission::collector("validatingwebhookconfiguration").families([
        F::gauge(
            "kube_validatingwebhookconfiguration_info",
            "Always 1 for each ValidatingWebhookConfiguration.",
        )
        .reads_identity_only()
        .generate(common::always),
        F::gauge(
            "kube_validatingwebhookconfiguration_created",
            "Unix time when the ValidatingWebhookConfiguration was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_validatingwebhookconfiguration_metadata_resource_version",
            "Resource version of the ValidatingWebhookConfiguration, a number that changes with \
             every update; absent if the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
        F::gauge(
            "kube_validatingwebhookconfiguration_webhook_clientconfig_service",
            "Always 1 for each validating webhook; `service_name` and `service_namespace` \
             identify the service that the webhook calls, and are empty if the webhook calls a \
             URL.",
        )
        .labels(["webhook_name", "service_name", "service_namespace"])
        .reads([
            "webhooks.name",
            "webhooks.clientConfig.service.name",
            "webhooks.clientConfig.service.namespace",
        ])
        .generate(|configuration, s| {
            for webhook in configuration.webhooks.iter().flatten() {
                admission::webhook(&webhook.name, &webhook.client_config, s);
            }
        }),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn every_webhook_shows_its_service_even_an_empty_one() {
        let service = json!({ "name": "policy", "namespace": "ops", "path": "/", "port": 8443 });
        let object = json!({
            "metadata": { "name": "policy", "resourceVersion": "42" },
            "webhooks": [
                { "name": "a", "clientConfig": { "service": service, "url": "https://a.example" } },
                { "name": "b", "clientConfig": { "url": "https://b.example", "caBundle": "Yg==" } },
                null,
                { "name": "a", "clientConfig": { "service": service } },
            ],
        });
        assert_eq!(
            samples(validatingwebhookconfigurations(), &object),
            [
                r#"kube_validatingwebhookconfiguration_info{namespace="",validatingwebhookconfiguration="policy"} 1"#,
                r#"kube_validatingwebhookconfiguration_metadata_resource_version{namespace="",validatingwebhookconfiguration="policy"} 42"#,
                r#"kube_validatingwebhookconfiguration_webhook_clientconfig_service{namespace="",validatingwebhookconfiguration="policy",webhook_name="a",service_name="policy",service_namespace="ops"} 1"#,
                r#"kube_validatingwebhookconfiguration_webhook_clientconfig_service{namespace="",validatingwebhookconfiguration="policy",webhook_name="b",service_name="",service_namespace=""} 1"#,
                r#"kube_validatingwebhookconfiguration_webhook_clientconfig_service{namespace="",validatingwebhookconfiguration="policy",webhook_name="",service_name="",service_namespace=""} 1"#,
            ]
        );
    }
}
