//! The resource `validatingadmissionpolicybindings`: its families show the policy, the parameters and the actions of
//! each binding.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
};

use super::common::{self, admission};
use crate::{Collector, Family};

/// The families of ValidatingAdmissionPolicyBindings.
///
/// ```
/// use kube_state_metrics::families::validatingadmissionpolicybindings;
///
/// assert!(validatingadmissionpolicybindings().iter().any(|family| family.descriptor().name() == "kube_validatingadmissionpolicybinding_info"));
/// ```
#[must_use]
pub fn validatingadmissionpolicybindings() -> Collector<ValidatingAdmissionPolicyBinding> {
    type F = Family<ValidatingAdmissionPolicyBinding>;
    admission::collector("validatingadmissionpolicybinding").families([
        F::gauge(
            "kube_validatingadmissionpolicybinding_info",
            "Always 1 for each ValidatingAdmissionPolicyBinding; the labels are its policy, its \
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
            let spec = spec(binding);
            let policy = spec.and_then(|spec| common::optional(&spec.policy_name));
            admission::binding(policy, spec.and_then(|spec| spec.param_ref.as_ref()), s);
        }),
        F::gauge(
            "kube_validatingadmissionpolicybinding_created",
            "Unix time when the ValidatingAdmissionPolicyBinding was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_validatingadmissionpolicybinding_validation_action",
            "Always 1 for each validation action of the binding: Deny, Warn or Audit. Absent \
             for other actions.",
        )
        .labels(["action"])
        .reads(["spec.validationActions"])
        .generate(|binding, s| {
            let actions: Option<&Vec<String>> =
                spec(binding).and_then(|spec| common::optional(&spec.validation_actions));
            for action in actions.into_iter().flatten() {
                s.label("action", action).value(1);
            }
        }),
    ])
}

fn spec(
    binding: &ValidatingAdmissionPolicyBinding,
) -> Option<&ValidatingAdmissionPolicyBindingSpec> {
    common::optional(&binding.spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn actions_keep_their_order_and_repeated_ones_are_one_series() {
        let object = json!({
            "metadata": { "name": "all" },
            "spec": {
                "policyName": "replicas",
                "paramRef": { "selector": {} },
                "validationActions": ["Warn", "Audit", null, "Warn"],
            },
        });
        assert_eq!(
            samples(validatingadmissionpolicybindings(), &object),
            [
                r#"kube_validatingadmissionpolicybinding_info{namespace="",validatingadmissionpolicybinding="all",policy_name="replicas",param_name="",param_namespace="",param_not_found_action=""} 1"#,
                r#"kube_validatingadmissionpolicybinding_validation_action{namespace="",validatingadmissionpolicybinding="all",action="Warn"} 1"#,
                r#"kube_validatingadmissionpolicybinding_validation_action{namespace="",validatingadmissionpolicybinding="all",action="Audit"} 1"#,
                r#"kube_validatingadmissionpolicybinding_validation_action{namespace="",validatingadmissionpolicybinding="all",action=""} 1"#,
            ]
        );
    }
}
