//! The resource `mutatingadmissionpolicybindings`: its families show the policy and the parameters of each binding.

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::ParamRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::common::{self, admission};
use crate::{Collector, Family};

/// The fields of a `MutatingAdmissionPolicyBinding` that the families read.
///
/// `k8s_openapi` has this kind only for the newest Kubernetes versions. This type is available for all versions.
///
/// ```
/// use kube_state_metrics::families::MutatingAdmissionPolicyBinding;
///
/// let binding: MutatingAdmissionPolicyBinding =
///     serde_json::from_value(serde_json::json!({ "metadata": { "name": "sidecars" } }))?;
/// assert_eq!(binding.metadata.name.as_deref(), Some("sidecars"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MutatingAdmissionPolicyBinding {
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// The binding's spec.
    pub spec: Option<MutatingAdmissionPolicyBindingSpec>,
}

/// The fields of a binding's spec that the families read.
///
/// ```
/// use kube_state_metrics::families::MutatingAdmissionPolicyBindingSpec;
///
/// let spec: MutatingAdmissionPolicyBindingSpec = serde_json::from_value(serde_json::json!({}))?;
/// # let _ = spec;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MutatingAdmissionPolicyBindingSpec {
    /// The policy's name.
    pub policy_name: Option<String>,
    /// The reference to the parameters, if the policy has parameters.
    pub param_ref: Option<ParamRef>,
}

impl k8s_openapi::Resource for MutatingAdmissionPolicyBinding {
    const API_VERSION: &'static str = "admissionregistration.k8s.io/v1";
    const GROUP: &'static str = "admissionregistration.k8s.io";
    const KIND: &'static str = "MutatingAdmissionPolicyBinding";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "mutatingadmissionpolicybindings";
    type Scope = ClusterResourceScope;
}

impl k8s_openapi::Metadata for MutatingAdmissionPolicyBinding {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The families of MutatingAdmissionPolicyBindings.
///
/// ```
/// use kube_state_metrics::families::mutatingadmissionpolicybindings;
///
/// assert!(mutatingadmissionpolicybindings().iter().any(|family| family.descriptor().name() == "kube_mutatingadmissionpolicybinding_info"));
/// ```
#[must_use]
pub fn mutatingadmissionpolicybindings() -> Collector<MutatingAdmissionPolicyBinding> {
    type F = Family<MutatingAdmissionPolicyBinding>;
    admission::collector("mutatingadmissionpolicybinding").families([
        F::gauge(
            "kube_mutatingadmissionpolicybinding_info",
            "Always 1 for each MutatingAdmissionPolicyBinding; the labels are its policy, its \
             parameter object and the action if that object is missing.",
        )
        .labels([
            "policy_name",
            "param_name",
            "param_namespace",
            "param_not_found_action",
        ])
        .reads([
            "spec.policyName",
            "spec.paramRef.name",
            "spec.paramRef.namespace",
            "spec.paramRef.parameterNotFoundAction",
        ])
        .generate(|binding, s| {
            let spec = binding.spec.as_ref();
            let policy = spec.and_then(|spec| spec.policy_name.as_ref());
            admission::binding(policy, spec.and_then(|spec| spec.param_ref.as_ref()), s);
        }),
        F::gauge(
            "kube_mutatingadmissionpolicybinding_created",
            "Unix time when the MutatingAdmissionPolicyBinding was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn a_binding_shows_its_policy_and_parameters_but_no_actions() {
        let object = json!({
            "metadata": { "name": "all" },
            "spec": {
                "policyName": "sidecar",
                "paramRef": {
                    "name": "p",
                    "namespace": "ops",
                    "parameterNotFoundAction": "Deny",
                    "selector": { "matchLabels": { "a": "b" } },
                },
                "validationActions": ["Deny"],
            },
        });
        assert_eq!(
            samples(mutatingadmissionpolicybindings(), &object),
            [
                r#"kube_mutatingadmissionpolicybinding_info{namespace="",mutatingadmissionpolicybinding="all",policy_name="sidecar",param_name="p",param_namespace="ops",param_not_found_action="Deny"} 1"#
            ]
        );
    }

    #[test]
    fn a_binding_without_parameters_has_empty_labels_for_them() {
        let object = json!({ "spec": { "policyName": "sidecar", "paramRef": null } });
        assert_eq!(
            samples(mutatingadmissionpolicybindings(), &object),
            [
                r#"kube_mutatingadmissionpolicybinding_info{namespace="",mutatingadmissionpolicybinding="",policy_name="sidecar",param_name="",param_namespace="",param_not_found_action=""} 1"#
            ]
        );
    }
}
