//! `horizontalpodautoscalers`.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use crate::Collector;

/// The families of horizontalpodautoscalers.
#[must_use]
pub fn horizontalpodautoscalers() -> Collector<HorizontalPodAutoscaler> {
    Collector::new()
}
