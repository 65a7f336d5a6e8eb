//! The resource `poddisruptionbudgets`: its families show the numbers of healthy pods, required pods and allowed
//! evictions.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::common::{self, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of PodDisruptionBudgets.
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
            "PodDisruptionBudget",
            Stability::Alpha,
        ),
        common::labels(
            "kube_poddisruptionbudget_labels",
            "PodDisruptionBudget",
            Stability::Alpha,
        ),
        F::gauge(
            "kube_poddisruptionbudget_created",
            "Unix time when the PodDisruptionBudget was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_poddisruptionbudget_status_current_healthy",
            "Number of healthy pods that the PodDisruptionBudget (PDB) covers.",
        )
        .stable()
        .reads(["status.currentHealthy"])
        .generate(or_zero(status, |status| status.current_healthy)),
        F::gauge(
            "kube_poddisruptionbudget_status_desired_healthy",
            "Minimum number of healthy pods that the PodDisruptionBudget (PDB) requires.",
        )
        .stable()
        .reads(["status.desiredHealthy"])
        .generate(or_zero(status, |status| status.desired_healthy)),
        F::gauge(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Number of pods that the PodDisruptionBudget (PDB) currently allows to be evicted.",
        )
        .stable()
        .reads(["status.disruptionsAllowed"])
        .generate(or_zero(status, |status| status.disruptions_allowed)),
        F::gauge(
            "kube_poddisruptionbudget_status_expected_pods",
            "Total number of pods that the PodDisruptionBudget (PDB) counts, healthy or not.",
        )
        .stable()
        .reads(["status.expectedPods"])
        .generate(or_zero(status, |status| status.expected_pods)),
        F::gauge(
            "kube_poddisruptionbudget_status_observed_generation",
            "Latest generation of the PodDisruptionBudget that its status reflects.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_poddisruptionbudget_deletion_timestamp",
            "Unix time when the PodDisruptionBudget is due for deletion, in seconds; absent \
             until deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
    ])
}

fn status(budget: &PodDisruptionBudget) -> Option<&PodDisruptionBudgetStatus> {
    optional(&budget.status)
}
