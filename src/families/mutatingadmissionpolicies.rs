//! The resource `mutatingadmissionpolicies`: its families show the parameters and failure policies of policies that
//! change requests to the API server.

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::ParamKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::common::{self, admission};
use crate::{Collector, Family};

/// The fields of a `MutatingAdmissionPolicy` that the families read.
///
/// `k8s_openapi` has this kind only for the newest Kubernetes versions. This type is available for all versions.
///
/// ```
/// use kube_state_metrics::families::MutatingAdmissionPolicy;
///
/// let policy: MutatingAdmissionPolicy =
///     serde_json::from_value(serde_json::json!({ "metadata": { "name": "sidecars" } }))?;
/// assert_eq!(policy.metadata.name.as_deref(), Some("sidecars"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MutatingAdmissionPolicy {
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// The policy's spec.
    pub spec: Option<MutatingAdmissionPolicySpec>,
}

/// The fields of a policy's spec that the families read.
///
/// ```
/// use kube_state_metrics::families::MutatingAdmissionPolicySpec;
///
/// let spec: MutatingAdmissionPolicySpec = serde_json::from_value(serde_json::json!({}))?;
/// # let _ = spec;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MutatingAdmissionPolicySpec {
    /// The kind of the parameter objects, if the policy has parameters.
    pub param_kind: Option<ParamKind>,
    /// The action of the API server if the policy cannot be evaluated: `Fail` or `Ignore`.
    pub failure_policy: Option<String>,
    /// Whether the API server may evaluate the policy again for the same request: `Never` or `IfNeeded`.
    pub reinvocation_policy: Option<String>,
}

impl k8s_openapi::Resource for MutatingAdmissionPolicy {
    const API_VERSION: &'static str = "admissionregistration.k8s.io/v1";
    const GROUP: &'static str = "admissionregistration.k8s.io";
    const KIND: &'static str = "MutatingAdmissionPolicy";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "mutatingadmissionpolicies";
    type Scope = ClusterResourceScope;
}

impl k8s_openapi::Metadata for MutatingAdmissionPolicy {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The families of MutatingAdmissionPolicies.
///
/// ```
/// use kube_state_metrics::families::mutatingadmissionpolicies;
///
/// assert!(mutatingadmissionpolicies().iter().any(|family| family.descriptor().name() == "kube_mutatingadmissionpolicy_info"));
/// ```
#[must_use]
pub fn mutatingadmissionpolicies() -> Collector<MutatingAdmissionPolicy> {
    type F = Family<MutatingAdmissionPolicy>;
    admission::collector("mutatingadmissionpolicy").families([
        F::gauge(
            "kube_mutatingadmissionpolicy_info",
            "Always 1 for each MutatingAdmissionPolicy; the labels are its parameter kind, \
             failure policy and reinvocation policy.",
        )
        .labels([
            "param_api_version",
            "param_kind",
            "failure_policy",
            "reinvocation_policy",
        ])
        .reads([
            "spec.paramKind.apiVersion",
            "spec.paramKind.kind",
            "spec.failurePolicy",
            "spec.reinvocationPolicy",
        ])
        .generate(|policy, s| {
            let spec = policy.spec.as_ref();
            admission::param_kind(s, spec.and_then(|spec| spec.param_kind.as_ref()))
                .label(
                    "failure_policy",
                    spec.and_then(|spec| spec.failure_policy.as_deref()),
                )
                .label(
                    "reinvocation_policy",
                    spec.and_then(|spec| spec.reinvocation_policy.as_deref()),
                )
                .value(1);
        }),
        F::gauge(
            "kube_mutatingadmissionpolicy_created",
            "Unix time when the MutatingAdmissionPolicy was created, in seconds.",
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
    fn a_policy_shows_what_its_spec_says_and_no_defaults() {
        let object = json!({
            "metadata": { "name": "sidecar", "creationTimestamp": "2023-11-14T22:13:20Z" },
            "spec": {
                "paramKind": { "apiVersion": "acme.dev/v1", "kind": "Sidecar" },
                "reinvocationPolicy": "IfNeeded",
                "mutations": [{ "patchType": "JSONPatch" }],
            },
        });
        assert_eq!(
            samples(mutatingadmissionpolicies(), &object),
            [
                r#"kube_mutatingadmissionpolicy_info{namespace="",mutatingadmissionpolicy="sidecar",param_api_version="acme.dev/v1",param_kind="Sidecar",failure_policy="",reinvocation_policy="IfNeeded"} 1"#,
                r#"kube_mutatingadmissionpolicy_created{namespace="",mutatingadmissionpolicy="sidecar"} 1.7e+09"#,
            ]
        );
    }

    #[test]
    fn a_policy_without_a_spec_has_empty_labels() {
        assert_eq!(
            samples(
                mutatingadmissionpolicies(),
                &json!({ "metadata": null, "spec": null })
            ),
            [
                r#"kube_mutatingadmissionpolicy_info{namespace="",mutatingadmissionpolicy="",param_api_version="",param_kind="",failure_policy="",reinvocation_policy=""} 1"#
            ]
        );
    }
}
