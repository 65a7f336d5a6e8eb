//! The resource `replicationcontrollers`: its families show desired and current replicas, and owners.

use k8s_openapi::api::core::v1::{
    ReplicationController, ReplicationControllerSpec, ReplicationControllerStatus,
};

use super::common::{self, if_present, optional, or_zero};
use crate::{Collector, Family};

/// The families of ReplicationControllers.
///
/// ```
/// use kube_state_metrics::families::replicationcontrollers;
///
/// assert!(replicationcontrollers().iter().any(|family| family.descriptor().name() == "kube_replicationcontroller_created"));
/// ```
#[must_use]
pub fn replicationcontrollers() -> Collector<ReplicationController> {
    type F = Family<ReplicationController>;
    Collector::new().families([
        F::gauge(
            "kube_replicationcontroller_created",
            "Unix time when the ReplicationController was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_replicationcontroller_status_replicas",
            "Number of pods of the ReplicationController.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_replicationcontroller_status_fully_labeled_replicas",
            "Number of pods of the ReplicationController that have all labels of its pod \
             template.",
        )
        .stable()
        .reads(["status.fullyLabeledReplicas"])
        .generate(or_zero(status, |status| status.fully_labeled_replicas)),
        F::gauge(
            "kube_replicationcontroller_status_ready_replicas",
            "Number of ready pods of the ReplicationController.",
        )
        .stable()
        .reads(["status.readyReplicas"])
        .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_replicationcontroller_status_available_replicas",
            "Number of available pods of the ReplicationController (ready for at least \
             minReadySeconds).",
        )
        .stable()
        .reads(["status.availableReplicas"])
        .generate(or_zero(status, |status| status.available_replicas)),
        F::gauge(
            "kube_replicationcontroller_status_observed_generation",
            "Latest generation of the ReplicationController that its controller has observed.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_replicationcontroller_spec_replicas",
            "Desired number of pods of the ReplicationController; absent if not set.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_replicationcontroller_metadata_generation",
            "Generation of the ReplicationController, a number that increases when its spec \
             changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_replicationcontroller_owner",
            "Always 1 for each owner of the ReplicationController, or once with empty labels if \
             it has no owner.",
        )
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
    ])
}

fn spec(controller: &ReplicationController) -> Option<&ReplicationControllerSpec> {
    optional(&controller.spec)
}

fn status(controller: &ReplicationController) -> Option<&ReplicationControllerStatus> {
    optional(&controller.status)
}
