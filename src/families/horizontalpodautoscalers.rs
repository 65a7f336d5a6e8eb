//! The resource `horizontalpodautoscalers`: its families show what each autoscaler scales, its minimum and maximum
//! number of replicas, and the target and current values of its metrics.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use super::common::{self, optional, or_zero};
use crate::family::{Samples, Stability};
use crate::k8s::Quantity;
use crate::{Collector, Family};

/// The families of HorizontalPodAutoscalers.
///
/// ```
/// use kube_state_metrics::families::horizontalpodautoscalers;
///
/// assert!(horizontalpodautoscalers().iter().any(|family| family.descriptor().name() == "kube_horizontalpodautoscaler_info"));
/// ```
#[must_use]
pub fn horizontalpodautoscalers() -> Collector<HorizontalPodAutoscaler> {
    type F = Family<HorizontalPodAutoscaler>;
    Collector::new().families([
        F::gauge(
            "kube_horizontalpodautoscaler_info",
            "Always 1 for each HorizontalPodAutoscaler (HPA); the labels name its scale target. \
             The label of the API version is absent if the version is not set.",
        )
        .labels([
            "scaletargetref_api_version",
            "scaletargetref_kind",
            "scaletargetref_name",
        ])
        .reads(["spec.scaleTargetRef"])
        .generate(info),
        F::gauge(
            "kube_horizontalpodautoscaler_metadata_generation",
            "Generation of the HorizontalPodAutoscaler, a number that increases when its spec \
             changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_horizontalpodautoscaler_spec_max_replicas",
            "Maximum number of pods that the HorizontalPodAutoscaler (HPA) scales to.",
        )
        .stable()
        .reads(["spec.maxReplicas"])
        .generate(or_zero(spec, |spec| spec.max_replicas)),
        F::gauge(
            "kube_horizontalpodautoscaler_spec_min_replicas",
            "Minimum number of pods that the HorizontalPodAutoscaler (HPA) scales to; the \
             default is 1.",
        )
        .stable()
        .reads(["spec.minReplicas"])
        .generate(|hpa, s| s.value(spec(hpa).and_then(|spec| spec.min_replicas).unwrap_or(1))),
        F::gauge(
            "kube_horizontalpodautoscaler_spec_target_metric",
            "Target of each metric of the HorizontalPodAutoscaler (HPA), by \
             `metric_target_type`: value, average per pod, or utilization in percent of the \
             requests.",
        )
        .labels(["metric_name", "metric_target_type", "container"])
        .reads(["spec.metrics"])
        .generate(|hpa, s| {
            let metrics = spec(hpa).and_then(|spec| spec.metrics.as_deref());
            for metric in metrics.unwrap_or_default() {
                readings(target(metric), s);
            }
        }),
        F::gauge(
            "kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance",
            "Tolerance of the HorizontalPodAutoscaler (HPA) before it scales down, as a \
             fraction of the target (0.1 is 10 %); absent if not set.",
        )
        .reads(["spec.behavior.scaleDown.tolerance"])
        .generate(|hpa, s| s.maybe_value(tolerance(hpa, |behavior| behavior.scale_down.as_ref()))),
        F::gauge(
            "kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance",
            "Tolerance of the HorizontalPodAutoscaler (HPA) before it scales up, as a fraction \
             of the target (0.1 is 10 %); absent if not set.",
        )
        .reads(["spec.behavior.scaleUp.tolerance"])
        .generate(|hpa, s| s.maybe_value(tolerance(hpa, |behavior| behavior.scale_up.as_ref()))),
        F::gauge(
            "kube_horizontalpodautoscaler_status_target_metric",
            "Current value of each metric of the HorizontalPodAutoscaler (HPA): value, average \
             per pod, or utilization in percent. Absent if the metric was not measured.",
        )
        .stable()
        .labels(["metric_name", "metric_target_type", "container"])
        .reads(["status.currentMetrics"])
        .generate(|hpa, s| {
            let metrics = status(hpa).and_then(|status| status.current_metrics.as_deref());
            for metric in metrics.unwrap_or_default() {
                readings(current(metric), s);
            }
        }),
        F::gauge(
            "kube_horizontalpodautoscaler_status_current_replicas",
            "Number of pods of the scale target when the HorizontalPodAutoscaler (HPA) last \
             checked it.",
        )
        .stable()
        .reads(["status.currentReplicas"])
        .generate(or_zero(status, |status| status.current_replicas)),
        F::gauge(
            "kube_horizontalpodautoscaler_status_desired_replicas",
            "Number of pods that the HorizontalPodAutoscaler (HPA) last calculated for its \
             scale target.",
        )
        .stable()
        .reads(["status.desiredReplicas"])
        .generate(or_zero(status, |status| status.desired_replicas)),
        common::annotations(
            "kube_horizontalpodautoscaler_annotations",
            "HorizontalPodAutoscaler",
            Stability::Alpha,
        ),
        common::labels(
            "kube_horizontalpodautoscaler_labels",
            "HorizontalPodAutoscaler",
            Stability::Stable,
        ),
        F::gauge(
            "kube_horizontalpodautoscaler_status_condition",
            "Conditions of the HorizontalPodAutoscaler (AbleToScale, ScalingActive, \
             ScalingLimited): 1 for the current `status`, otherwise 0.",
        )
        .stable()
        .labels(["condition", "status"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .search_words(["autoscaling", "at its maximum"])
        .generate(conditions),
        F::gauge(
            "kube_horizontalpodautoscaler_created",
            "Unix time when the HorizontalPodAutoscaler was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_horizontalpodautoscaler_deletion_timestamp",
            "Unix time when the HorizontalPodAutoscaler is due for deletion, in seconds; absent \
             until deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

/// One metric of an autoscaler: the target from the spec, or the current value from the status.
struct Metric<'a> {
    name: &'a str,
    container: &'a str,
    value: Option<&'a QuantityText>,
    average: Option<&'a QuantityText>,
    utilization: Option<i32>,
}

fn spec(hpa: &HorizontalPodAutoscaler) -> Option<&HorizontalPodAutoscalerSpec> {
    optional(&hpa.spec)
}

fn status(hpa: &HorizontalPodAutoscaler) -> Option<&HorizontalPodAutoscalerStatus> {
    optional(&hpa.status)
}

fn info(hpa: &HorizontalPodAutoscaler, s: &mut Samples<'_>) {
    let target = spec(hpa).map(|spec| &spec.scale_target_ref);
    let version = target
        .and_then(|target| target.api_version.as_deref())
        .unwrap_or_default();
    let sample = if version.is_empty() {
        s.sample()
    } else {
        s.label("scaletargetref_api_version", version)
    };
    sample
        .label("scaletargetref_kind", target.map(|target| &target.kind))
        .label("scaletargetref_name", target.map(|target| &target.name))
        .value(1);
}

fn tolerance(
    hpa: &HorizontalPodAutoscaler,
    rules: fn(&HorizontalPodAutoscalerBehavior) -> Option<&HPAScalingRules>,
) -> Option<f64> {
    let tolerance = rules(spec(hpa)?.behavior.as_ref()?)?.tolerance.as_ref()?;
    Quantity::parse(&tolerance.0)?.nearest()
}

/// The target of a metric, read from the field that belongs to the type of the metric; `None` if this field is missing.
fn target(metric: &MetricSpec) -> Option<Metric<'_>> {
    let (name, container, target) = match metric.type_.as_str() {
        "Object" => metric
            .object
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.target)),
        "Pods" => metric
            .pods
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.target)),
        "Resource" => metric.resource.as_ref().map(|m| (&m.name, "", &m.target)),
        "ContainerResource" => metric
            .container_resource
            .as_ref()
            .map(|m| (&m.name, m.container.as_str(), &m.target)),
        "External" => metric
            .external
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.target)),
        _ => None,
    }?;
    Some(Metric {
        name,
        container,
        value: target.value.as_ref(),
        average: target.average_value.as_ref(),
        utilization: target.average_utilization,
    })
}

/// The current value of a metric, read from the field that belongs to the type of the metric; `None` if this field is
/// missing.
fn current(metric: &MetricStatus) -> Option<Metric<'_>> {
    let (name, container, current) = match metric.type_.as_str() {
        "Object" => metric
            .object
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.current)),
        "Pods" => metric
            .pods
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.current)),
        "Resource" => metric.resource.as_ref().map(|m| (&m.name, "", &m.current)),
        "ContainerResource" => metric
            .container_resource
            .as_ref()
            .map(|m| (&m.name, m.container.as_str(), &m.current)),
        "External" => metric
            .external
            .as_ref()
            .map(|m| (&m.metric.name, "", &m.current)),
        _ => None,
    }?;
    Some(Metric {
        name,
        container,
        value: current.value.as_ref(),
        average: current.average_value.as_ref(),
        utilization: current.average_utilization,
    })
}

/// Writes one sample for each target type of the metric: value, average or utilization.
fn readings(metric: Option<Metric<'_>>, s: &mut Samples<'_>) {
    let Some(metric) = metric else { return };
    let milli = |text: &QuantityText| Quantity::parse(&text.0)?.milli();
    for (target_type, value) in [
        ("value", metric.value.and_then(milli)),
        ("average", metric.average.and_then(milli)),
        ("utilization", metric.utilization.map(f64::from)),
    ] {
        let Some(value) = value else { continue };
        s.label("metric_name", metric.name)
            .label("metric_target_type", target_type)
            .label("container", metric.container)
            .value(value);
    }
}

fn conditions(hpa: &HorizontalPodAutoscaler, s: &mut Samples<'_>) {
    let conditions = status(hpa).and_then(|status| status.conditions.as_deref());
    for condition in conditions.unwrap_or_default() {
        common::condition(s, "status", &condition.status, |s| {
            s.label("condition", &condition.type_)
        });
    }
}

#[cfg(test)]
mod tests;
