//! The resource `resourcequotas`: its families show the limits of a namespace, and how much of them is used.

use k8s_openapi::api::core::v1::ResourceQuota;

use super::common;
use crate::family::{Samples, Stability};
use crate::k8s::Quantity;
use crate::{Collector, Family};

/// The families of ResourceQuotas.
///
/// ```
/// use kube_state_metrics::families::resourcequotas;
///
/// assert!(resourcequotas().iter().any(|family| family.descriptor().name() == "kube_resourcequota_created"));
/// ```
#[must_use]
pub fn resourcequotas() -> Collector<ResourceQuota> {
    type F = Family<ResourceQuota>;
    Collector::new().families([
        F::gauge(
            "kube_resourcequota_created",
            "Unix time when the ResourceQuota was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_resourcequota",
            "Quota of each `resource`, in cores, bytes or counts. `type` is `hard` for the \
             enforced limit, or `used` for the current usage.",
        )
        .stable()
        .labels(["resource", "type"])
        .reads(["status.hard", "status.used"])
        .search_words(["exceeded", "limit reached"])
        .generate(quota),
        common::annotations(
            "kube_resourcequota_annotations",
            "ResourceQuota",
            Stability::Alpha,
        ),
        common::labels(
            "kube_resourcequota_labels",
            "ResourceQuota",
            Stability::Stable,
        ),
    ])
}

fn quota(quota: &ResourceQuota, s: &mut Samples<'_>) {
    let Some(status) = &quota.status else { return };
    for (kind, amounts) in [("hard", &status.hard), ("used", &status.used)] {
        for (resource, amount) in amounts.iter().flatten() {
            if let Some(amount) = Quantity::parse(&amount.0).and_then(|amount| amount.milli()) {
                s.label("resource", resource)
                    .label("type", kind)
                    .value(amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing;

    #[test]
    fn hard_limits_precede_usage_each_in_key_order_and_what_does_not_parse_is_left_out() {
        let quota = json!({
            "metadata": { "name": "q", "namespace": "n" },
            "spec": { "hard": { "pods": "1" } },
            "status": {
                "hard": { "requests.nvidia.com/GPU": "1001u", "cpu": "no", "Pods": null },
                "used": { "pods": "3" },
            },
        });
        let base = "kube_resourcequota{namespace=\"n\",resourcequota=\"q\"";
        assert_eq!(
            testing::family(resourcequotas(), "kube_resourcequota", &quota),
            [
                format!("{base},resource=\"Pods\",type=\"hard\"}} 0"),
                format!("{base},resource=\"requests.nvidia.com/GPU\",type=\"hard\"}} 0.002"),
                format!("{base},resource=\"pods\",type=\"used\"}} 3"),
            ]
        );
    }
}
