//! The resource `daemonsets`: its families show how many nodes should run a pod of the DaemonSet, how many nodes run
//! one, and how many nodes run one but should not.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::common::{self, optional, or_zero};
use crate::family::Stability;
use crate::{Collector, Family};

/// The families of DaemonSets.
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
            "Unix time when the DaemonSet was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_daemonset_status_current_number_scheduled",
            "Number of nodes that should run a pod of the DaemonSet and actually run at least one.",
        )
        .stable()
        .reads(["status.currentNumberScheduled"])
        .generate(or_zero(status, |status| status.current_number_scheduled)),
        F::gauge(
            "kube_daemonset_status_desired_number_scheduled",
            "Number of nodes that should run a pod of the DaemonSet.",
        )
        .stable()
        .reads(["status.desiredNumberScheduled"])
        .generate(or_zero(status, |status| status.desired_number_scheduled)),
        F::gauge(
            "kube_daemonset_status_number_available",
            "Number of nodes that should run a pod of the DaemonSet and actually run at least one \
             available pod (ready for at least minReadySeconds).",
        )
        .stable()
        .reads(["status.numberAvailable"])
        .generate(or_zero(status, |status| status.number_available)),
        F::gauge(
            "kube_daemonset_status_number_misscheduled",
            "Number of nodes that run a pod of the DaemonSet but should not run one.",
        )
        .stable()
        .reads(["status.numberMisscheduled"])
        .generate(or_zero(status, |status| status.number_misscheduled)),
        F::gauge(
            "kube_daemonset_status_number_ready",
            "Number of nodes that should run a pod of the DaemonSet and actually run at least one \
             ready pod.",
        )
        .stable()
        .reads(["status.numberReady"])
        .generate(or_zero(status, |status| status.number_ready)),
        F::gauge(
            "kube_daemonset_status_number_unavailable",
            "Number of nodes that should run a pod of the DaemonSet and actually run no available \
             pod.",
        )
        .stable()
        .reads(["status.numberUnavailable"])
        .search_words(["degraded", "down"])
        .generate(or_zero(status, |status| status.number_unavailable)),
        F::gauge(
            "kube_daemonset_status_observed_generation",
            "Latest generation of the DaemonSet that its controller has observed.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_daemonset_status_updated_number_scheduled",
            "Number of nodes that run a pod of the latest pod template of the DaemonSet.",
        )
        .stable()
        .reads(["status.updatedNumberScheduled"])
        .generate(or_zero(status, |status| status.updated_number_scheduled)),
        F::gauge(
            "kube_daemonset_metadata_generation",
            "Generation of the DaemonSet, a number that increases when its spec changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_daemonset_deletion_timestamp",
            "Unix time when the DaemonSet is due for deletion, in seconds; absent until \
             deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        common::annotations("kube_daemonset_annotations", "DaemonSet", Stability::Alpha),
        common::labels("kube_daemonset_labels", "DaemonSet", Stability::Stable),
    ])
}

fn status(set: &DaemonSet) -> Option<&DaemonSetStatus> {
    optional(&set.status)
}
