//! The resource `limitranges`: its families show limits and defaults for containers, pods and PersistentVolumeClaims.

use k8s_openapi::api::core::v1::LimitRange;

use super::common;
use crate::family::Samples;
use crate::k8s::Quantity;
use crate::{Collector, Family};

/// The families of LimitRanges.
///
/// ```
/// use kube_state_metrics::families::limitranges;
///
/// assert!(limitranges().iter().any(|family| family.descriptor().name() == "kube_limitrange"));
/// ```
#[must_use]
pub fn limitranges() -> Collector<LimitRange> {
    type F = Family<LimitRange>;
    Collector::new().families([
        F::gauge(
            "kube_limitrange",
            "Limits and defaults of the LimitRange by `type` (Container, Pod, ...), `resource` \
             and `constraint`, in cores, bytes or counts; values of the constraint \
             maxLimitRequestRatio are ratios.",
        )
        .stable()
        .labels(["resource", "type", "constraint"])
        .reads([
            "spec.limits.type",
            "spec.limits.min",
            "spec.limits.max",
            "spec.limits.default",
            "spec.limits.defaultRequest",
            "spec.limits.maxLimitRequestRatio",
        ])
        .generate(limits),
        F::gauge(
            "kube_limitrange_created",
            "Unix time when the LimitRange was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
    ])
}

fn limits(range: &LimitRange, s: &mut Samples<'_>) {
    for limit in range.spec.iter().flat_map(|spec| &spec.limits) {
        let constraints = [
            ("min", &limit.min),
            ("max", &limit.max),
            ("default", &limit.default),
            ("defaultRequest", &limit.default_request),
            ("maxLimitRequestRatio", &limit.max_limit_request_ratio),
        ];
        for (constraint, amounts) in constraints {
            for (resource, amount) in amounts.iter().flatten() {
                if let Some(amount) = Quantity::parse(&amount.0).and_then(|amount| amount.milli()) {
                    s.label("resource", resource)
                        .label("type", &limit.type_)
                        .label("constraint", constraint)
                        .value(amount);
                }
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
    fn of_two_limits_for_the_same_thing_the_first_is_told() {
        let range = json!({
            "metadata": { "name": "r", "namespace": "n" },
            "spec": { "limits": [
                { "type": "Pod", "max": { "nvidia.com/gpu": "2", "cpu": "what" } },
                { "type": "Pod", "min": { "cpu": "1m" }, "max": { "nvidia.com/gpu": "4" } },
                null,
                { "min": { "cpu": "0.0001" } },
            ] },
        });
        let base = "kube_limitrange{namespace=\"n\",limitrange=\"r\"";
        assert_eq!(
            testing::family(limitranges(), "kube_limitrange", &range),
            [
                format!("{base},resource=\"nvidia.com/gpu\",type=\"Pod\",constraint=\"max\"}} 2"),
                format!("{base},resource=\"cpu\",type=\"Pod\",constraint=\"min\"}} 0.001"),
                format!("{base},resource=\"cpu\",type=\"\",constraint=\"min\"}} 0.001"),
            ]
        );
    }
}
