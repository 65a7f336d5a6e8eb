//! `daemonsets`: on how many nodes their pods should run, do run, and run where they should not.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::common::{self, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of daemon sets.
///
/// ```
/// use kube_state_metrics::families::daemonsets;
///
/// assert!(daemonsets().iter().any(|family| family.descriptor().name() == "kube_daemonset_created"));
/// ```
#[must_use]
pub fn daemonsets() -> Collector<DaemonSet> {
    type F = Family<DaemonSet>;
    Collector::new().families([
        F::gauge(
            "kube_daemonset_created",
            "Unix time of creation, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_daemonset_status_current_number_scheduled",
            "Number of nodes that should run the daemon pod and have at least one.",
        )
        .stable()
        .reads(["status.currentNumberScheduled"])
        .generate(or_zero(status, |status| status.current_number_scheduled)),
        F::gauge(
            "kube_daemonset_status_desired_number_scheduled",
            "Number of nodes that should run the daemon pod.",
        )
        .stable()
        .reads(["status.desiredNumberScheduled"])
        .generate(or_zero(status, |status| status.desired_number_scheduled)),
        F::gauge(
            "kube_daemonset_status_number_available",
            "Number of nodes that should run the daemon pod and have one that has been ready for \
             at least minReadySeconds.",
        )
        .stable()
        .reads(["status.numberAvailable"])
        .generate(or_zero(status, |status| status.number_available)),
        F::gauge(
            "kube_daemonset_status_number_misscheduled",
            "Number of nodes that run the daemon pod although they should not.",
        )
        .stable()
        .reads(["status.numberMisscheduled"])
        .generate(or_zero(status, |status| status.number_misscheduled)),
        F::gauge(
            "kube_daemonset_status_number_ready",
            "Number of nodes that should run the daemon pod and have one that is ready.",
        )
        .stable()
        .reads(["status.numberReady"])
        .generate(or_zero(status, |status| status.number_ready)),
        F::gauge(
            "kube_daemonset_status_number_unavailable",
            "Number of nodes that should run the daemon pod and have none that is available.",
        )
        .stable()
        .reads(["status.numberUnavailable"])
        .generate(or_zero(status, |status| status.number_unavailable)),
        F::gauge(
            "kube_daemonset_status_observed_generation",
            "Newest generation of the daemon set that its controller has acted on.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_daemonset_status_updated_number_scheduled",
            "Number of nodes that run a daemon pod of the newest pod template.",
        )
        .stable()
        .reads(["status.updatedNumberScheduled"])
        .generate(or_zero(status, |status| status.updated_number_scheduled)),
        F::gauge(
            "kube_daemonset_metadata_generation",
            "Generation of the daemon set, which grows with every change of its spec.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_daemonset_deletion_timestamp",
            "Unix time from which the daemon set is to be deleted, in seconds; absent where it is \
             to stay.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        common::annotations("kube_daemonset_annotations", "daemon set", Stability::Alpha),
        common::labels("kube_daemonset_labels", "daemon set", Stability::Stable),
    ])
}

fn status(set: &DaemonSet) -> Option<&DaemonSetStatus> {
    optional(&set.status)
}
