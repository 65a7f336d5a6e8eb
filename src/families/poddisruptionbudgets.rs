//! `poddisruptionbudgets`: how many pods are healthy, must be, and may be evicted.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::common::{self, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of pod disruption budgets.
///
/// ```
/// use kube_state_metrics::families::poddisruptionbudgets;
///
/// assert!(poddisruptionbudgets().iter().any(|family| family.descriptor().name() == "kube_poddisruptionbudget_annotations"));
/// ```
#[must_use]
pub fn poddisruptionbudgets() -> Collector<PodDisruptionBudget> {
    type F = Family<PodDisruptionBudget>;
    Collector::new().families([
        common::annotations(
            "kube_poddisruptionbudget_annotations",
            "budget",
            Stability::Alpha,
        ),
        common::labels(
            "kube_poddisruptionbudget_labels",
            "budget",
            Stability::Alpha,
        ),
        F::gauge(
            "kube_poddisruptionbudget_created",
            "Unix time of creation, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_poddisruptionbudget_status_current_healthy",
            "Number of the budget's pods that are healthy.",
        )
        .stable()
        .reads(["status.currentHealthy"])
        .generate(or_zero(status, |status| status.current_healthy)),
        F::gauge(
            "kube_poddisruptionbudget_status_desired_healthy",
            "Number of the budget's pods that must stay healthy.",
        )
        .stable()
        .reads(["status.desiredHealthy"])
        .generate(or_zero(status, |status| status.desired_healthy)),
        F::gauge(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Number of the budget's pods that may be evicted now.",
        )
        .stable()
        .reads(["status.disruptionsAllowed"])
        .generate(or_zero(status, |status| status.disruptions_allowed)),
        F::gauge(
            "kube_poddisruptionbudget_status_expected_pods",
            "Number of pods the budget counts as its own, healthy or not.",
        )
        .stable()
        .reads(["status.expectedPods"])
        .generate(or_zero(status, |status| status.expected_pods)),
        F::gauge(
            "kube_poddisruptionbudget_status_observed_generation",
            "Newest generation of the budget that the status takes into account.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_poddisruptionbudget_deletion_timestamp",
            "Unix time from which the budget is to be deleted, in seconds; absent where it is to \
             stay.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

fn status(budget: &PodDisruptionBudget) -> Option<&PodDisruptionBudgetStatus> {
    optional(&budget.status)
}
