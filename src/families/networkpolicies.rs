//! The resource `networkpolicies`: its families show the numbers of ingress and egress rules.

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::common;
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of NetworkPolicies.
///
/// ```
/// use kube_state_metrics::families::networkpolicies;
///
/// assert!(networkpolicies().iter().any(|family| family.descriptor().name() == "kube_networkpolicy_created"));
/// ```
#[must_use]
pub fn networkpolicies() -> Collector<NetworkPolicy> {
    type F = Family<NetworkPolicy>;
    Collector::new().families([
        F::gauge(
            "kube_networkpolicy_created",
            "Unix time when the NetworkPolicy was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        common::annotations(
            "kube_networkpolicy_annotations",
            "NetworkPolicy",
            Stability::Alpha,
        ),
        common::labels(
            "kube_networkpolicy_labels",
            "NetworkPolicy",
            Stability::Alpha,
        ),
        F::gauge(
            "kube_networkpolicy_spec_ingress_rules",
            "Number of ingress rules of the NetworkPolicy (incoming traffic).",
        )
        .reads(["spec.ingress"])
        .generate(|policy, s| {
            let rules = policy.spec.as_ref().and_then(|spec| spec.ingress.as_ref());
            s.value(rules.map_or(0, Vec::len));
        }),
        F::gauge(
            "kube_networkpolicy_spec_egress_rules",
            "Number of egress rules of the NetworkPolicy (outgoing traffic).",
        )
        .reads(["spec.egress"])
        .generate(|policy, s| {
            let rules = policy.spec.as_ref().and_then(|spec| spec.egress.as_ref());
            s.value(rules.map_or(0, Vec::len));
        }),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::samples;

    #[test]
    fn every_rule_counts_whatever_it_says() {
        let object = json!({
            "metadata": { "namespace": "shop", "name": "deny" },
            "spec": {
                "policyTypes": ["Egress"],
                "ingress": [{}, null, { "from": [{ "podSelector": {} }, {}] }],
                "egress": null,
            },
        });
        assert_eq!(
            samples(networkpolicies(), &object),
            [
                r#"kube_networkpolicy_spec_ingress_rules{namespace="shop",networkpolicy="deny"} 3"#,
                r#"kube_networkpolicy_spec_egress_rules{namespace="shop",networkpolicy="deny"} 0"#,
            ]
        );
    }
}
