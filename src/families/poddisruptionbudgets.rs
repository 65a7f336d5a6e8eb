//! `poddisruptionbudgets`.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::Collector;

/// The families of poddisruptionbudgets.
#[must_use]
pub fn poddisruptionbudgets() -> Collector<PodDisruptionBudget> {
    Collector::new()
}
