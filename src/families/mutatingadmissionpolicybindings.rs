//! `mutatingadmissionpolicybindings`.

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;

use crate::Collector;

/// The families of mutatingadmissionpolicybindings.
#[must_use]
pub fn mutatingadmissionpolicybindings() -> Collector<MutatingAdmissionPolicyBinding> {
    Collector::new()
}
