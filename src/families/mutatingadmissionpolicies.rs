//! `mutatingadmissionpolicies`.

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;

use crate::Collector;

/// The families of mutatingadmissionpolicies.
#[must_use]
pub fn mutatingadmissionpolicies() -> Collector<MutatingAdmissionPolicy> {
    Collector::new()
}
