//! The resource `mutatingwebhookconfigurations`: its families show the webhooks that may change requests to the API
//! server, and the services of these webhooks.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;

use super::common::{self, admission};
use crate::{Collector, Family};

/// The families of MutatingWebhookConfigurations.
///
/// ```
/// use kube_state_metrics::families::mutatingwebhookconfigurations;
///
/// assert!(mutatingwebhookconfigurations().iter().any(|family| family.descriptor().name() == "kube_mutatingwebhookconfiguration_info"));
/// ```
#[must_use]
pub fn mutatingwebhookconfigurations() -> Collector<MutatingWebhookConfiguration> {
    type F = Family<MutatingWebhookConfiguration>;
    admission::collector("mutatingwebhookconfiguration").families([
        F::gauge(
            "kube_mutatingwebhookconfiguration_info",
            "Always 1 for each MutatingWebhookConfiguration.",
        )
        .reads_identity_only()
        .generate(common::always),
        F::gauge(
            "kube_mutatingwebhookconfiguration_created",
            "Unix time when the MutatingWebhookConfiguration was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_mutatingwebhookconfiguration_metadata_resource_version",
            "Resource version of the MutatingWebhookConfiguration, a number that changes with \
             every update; absent if the version is not a decimal integer.",
        )
        .reads([common::VERSION])
        .generate(common::version),
        F::gauge(
            "kube_mutatingwebhookconfiguration_webhook_clientconfig_service",
            "Always 1 for each mutating webhook; `service_name` and `service_namespace` identify \
             the service that the webhook calls, and are empty if the webhook calls a URL.",
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
            samples(mutatingwebhookconfigurations(), &object),
            [
                r#"kube_mutatingwebhookconfiguration_info{namespace="",mutatingwebhookconfiguration="policy"} 1"#,
                r#"kube_mutatingwebhookconfiguration_metadata_resource_version{namespace="",mutatingwebhookconfiguration="policy"} 42"#,
                r#"kube_mutatingwebhookconfiguration_webhook_clientconfig_service{namespace="",mutatingwebhookconfiguration="policy",webhook_name="a",service_name="policy",service_namespace="ops"} 1"#,
                r#"kube_mutatingwebhookconfiguration_webhook_clientconfig_service{namespace="",mutatingwebhookconfiguration="policy",webhook_name="b",service_name="",service_namespace=""} 1"#,
                r#"kube_mutatingwebhookconfiguration_webhook_clientconfig_service{namespace="",mutatingwebhookconfiguration="policy",webhook_name="",service_name="",service_namespace=""} 1"#,
            ]
        );
    }
}
