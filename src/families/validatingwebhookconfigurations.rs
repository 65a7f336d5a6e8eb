//! `validatingwebhookconfigurations`.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

use crate::Collector;

/// The families of validatingwebhookconfigurations.
#[must_use]
pub fn validatingwebhookconfigurations() -> Collector<ValidatingWebhookConfiguration> {
    Collector::new()
}
