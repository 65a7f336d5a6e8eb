//! The resource `validatingadmissionpolicies`: its families show the parameters and failure policies of policies that
//! check requests to the API server.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;

use super::common::{self, admission};
use crate::{Collector, Family};

/// The families of ValidatingAdmissionPolicies.
///
/// ```
/// use kube_state_metrics::families::validatingadmissionpolicies;
///
/// assert!(validatingadmissionpolicies().iter().any(|family| family.descriptor().name() == "kube_validatingadmissionpolicy_info"));
/// ```
#[must_use]
pub fn validatingadmissionpolicies() -> Collector<ValidatingAdmissionPolicy> {
    type F = Family<ValidatingAdmissionPolicy>;
    admission::collector("validatingadmissionpolicy").families([
        F::gauge(
            "kube_validatingadmissionpolicy_info",
            "Always 1 for each ValidatingAdmissionPolicy; the labels are its parameter kind and \
             failure policy.",
        )
        .labels(["param_api_version", "param_kind", "failure_policy"])
        .reads([
            "spec.paramKind.apiVersion",
            "spec.paramKind.kind",
            "spec.failurePolicy",
        ])
        .generate(|policy, s| {
            let spec = policy.spec.as_ref();
            admission::param_kind(s, spec.and_then(|spec| spec.param_kind.as_ref()))
                .label(
                    "failure_policy",
                    spec.and_then(|spec| spec.failure_policy.as_deref()),
                )
                .value(1);
        }),
        F::gauge(
            "kube_validatingadmissionpolicy_created",
            "Unix time when the ValidatingAdmissionPolicy was created, in seconds.",
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
    fn a_policy_shows_what_its_spec_says_and_the_namespace_of_an_odd_object() {
        let object = json!({
            "metadata": { "namespace": "odd", "name": "replicas" },
            "spec": {
                "paramKind": { "kind": "Limit" },
                "failurePolicy": "Perhaps",
                "reinvocationPolicy": "Never",
            },
        });
        assert_eq!(
            samples(validatingadmissionpolicies(), &object),
            [
                r#"kube_validatingadmissionpolicy_info{namespace="odd",validatingadmissionpolicy="replicas",param_api_version="",param_kind="Limit",failure_policy="Perhaps"} 1"#
            ]
        );
    }
}
