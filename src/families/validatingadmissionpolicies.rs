//! `validatingadmissionpolicies`.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;

use crate::Collector;

/// The families of validatingadmissionpolicies.
#[must_use]
pub fn validatingadmissionpolicies() -> Collector<ValidatingAdmissionPolicy> {
    Collector::new()
}
