//! `mutatingwebhookconfigurations`.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;

use crate::Collector;

/// The families of mutatingwebhookconfigurations.
#[must_use]
pub fn mutatingwebhookconfigurations() -> Collector<MutatingWebhookConfiguration> {
    Collector::new()
}
