//! `validatingadmissionpolicybindings`.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;

use crate::Collector;

/// The families of validatingadmissionpolicybindings.
#[must_use]
pub fn validatingadmissionpolicybindings() -> Collector<ValidatingAdmissionPolicyBinding> {
    Collector::new()
}
