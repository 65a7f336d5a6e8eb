//! Families of a pod's status: times, phase, conditions and reasons.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use super::access::{container_statuses, status};
use super::container_samples as samples;
use crate::Family;
use crate::families::common;
use crate::family::Samples;

const PHASES: [&str; 5] = ["Pending", "Succeeded", "Failed", "Unknown", "Running"];

const QOS_CLASSES: [&str; 3] = ["BestEffort", "Burstable", "Guaranteed"];

/// The values of the label `reason` in `kube_pod_status_reason`. Any other reason is exported as `Other`.
const REASONS: [&str; 8] = [
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "SchedulingGated",
    "Shutdown",
    "TerminationByKubelet",
    "UnexpectedAdmissionError",
];

/// The values of the label `reason` in `kube_pod_status_disruption_reason`. Any other reason is exported as `Other`.
const DISRUPTION_REASONS: [&str; 5] = [
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "EvictionByEvictionAPI",
    "DeletionByPodGC",
    "TerminationByKubelet",
];

/// The value of the label `reason` for a reason that is not in the list of the family.
const OTHER: &str = "Other";

/// The fields that a family must declare to read the type and the status of each condition.
const CONDITION: [&str; 2] = ["status.conditions.type", "status.conditions.status"];

/// The fields that a family must declare to read when each condition last changed.
const CONDITION_TIME: [&str; 3] = [
    "status.conditions.type",
    "status.conditions.status",
    "status.conditions.lastTransitionTime",
];

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_start_time",
            "Unix time when the kubelet acknowledged the pod, in seconds; at this time, the kubelet \
             has not pulled images yet. Absent until the kubelet acknowledges the pod.",
        )
        .stable()
        .reads(["status.startTime"])
        .generate(|pod, s| {
            let status = pod.status.as_ref();
            let started = status.and_then(|status| status.start_time.as_ref());
            s.maybe_value(common::unix(started));
        }),
        F::gauge(
            "kube_pod_completion_time",
            "Unix time when the last of the terminated containers of the pod finished, in \
             seconds; absent while no container is terminated.",
        )
        .stable()
        .reads(["status.containerStatuses.state.terminated.finishedAt"])
        .generate(completion_time),
        F::gauge(
            "kube_pod_status_phase",
            "Phase of the pod (Pending, Running, Succeeded, Failed, Unknown): 1 for the current \
             phase, otherwise 0. Absent until the pod has a phase.",
        )
        .stable()
        .labels(["phase"])
        .reads(["status.phase"])
        .search_words(["stuck", "not running"])
        .generate(|pod, s| {
            let phase = status(pod).and_then(|status| status.phase.as_deref());
            state_set(s, "phase", &PHASES, phase);
        }),
        F::gauge(
            "kube_pod_status_qos_class",
            "Quality of service (QoS) class of the pod: BestEffort, Burstable or Guaranteed. 1 \
             for the current class, otherwise 0; absent until the class is known.",
        )
        .labels(["qos_class"])
        .reads(["status.qosClass"])
        .generate(|pod, s| {
            let class = status(pod).and_then(|status| status.qos_class.as_deref());
            state_set(s, "qos_class", &QOS_CLASSES, class);
        }),
        F::gauge(
            "kube_pod_status_ready",
            "Ready condition of the pod: 1 for its current status (true, false, unknown), \
             otherwise 0. Absent until the pod has the condition.",
        )
        .stable()
        .labels(["condition"])
        .reads(CONDITION)
        .generate(|pod, s| condition(pod, "Ready", s)),
        F::gauge(
            "kube_pod_status_ready_time",
            "Unix time when the pod became ready, in seconds; absent while the pod is not ready.",
        )
        .reads(CONDITION_TIME)
        .generate(|pod, s| since(pod, "Ready", "True", s)),
        F::gauge(
            "kube_pod_status_initialized_time",
            "Unix time when all init containers of the pod completed, in seconds; absent until \
             then.",
        )
        .reads(CONDITION_TIME)
        .generate(|pod, s| since(pod, "Initialized", "True", s)),
        F::gauge(
            "kube_pod_status_container_ready_time",
            "Unix time when all containers of the pod became ready, in seconds; absent while \
             any container is not ready.",
        )
        .reads(CONDITION_TIME)
        .generate(|pod, s| since(pod, "ContainersReady", "True", s)),
        F::gauge(
            "kube_pod_status_reason",
            "Always 1 for each status reason of the pod: Evicted, NodeAffinity, NodeLost, \
             PreemptionByScheduler, SchedulingGated, Shutdown, TerminationByKubelet, \
             UnexpectedAdmissionError or Other.",
        )
        .labels(["reason"])
        .reads([
            "status.reason",
            "status.conditions.reason",
            "status.containerStatuses.state.terminated.reason",
        ])
        .search_words(["eviction", "preempted", "drained"])
        .generate(reasons),
        F::gauge(
            "kube_pod_status_disruption_reason",
            "Always 1; `reason` is why the pod is disrupted, such as EvictionByEvictionAPI \
             (evicted) or PreemptionByScheduler. Absent if the pod has no condition DisruptionTarget.",
        )
        .labels(["reason"])
        .reads(["status.conditions.type", "status.conditions.reason"])
        .generate(disruption_reasons),
        F::gauge(
            "kube_pod_status_scheduled",
            "PodScheduled condition of the pod: 1 for its current status (true, false, \
             unknown), otherwise 0. Absent until the pod has the condition.",
        )
        .stable()
        .labels(["condition"])
        .reads(CONDITION)
        .generate(|pod, s| condition(pod, "PodScheduled", s)),
        F::gauge(
            "kube_pod_status_scheduled_time",
            "Unix time when the pod was scheduled to a node, in seconds; absent until then.",
        )
        .stable()
        .reads(CONDITION_TIME)
        .generate(|pod, s| since(pod, "PodScheduled", "True", s)),
        F::gauge(
            "kube_pod_status_unschedulable",
            "Always 1 for each unschedulable pod: no node fits the pod, or a scheduling gate \
             blocks the pod. Absent for other pods.",
        )
        .stable()
        .reads(CONDITION)
        .search_words(["insufficient", "failed scheduling", "does not fit"])
        .generate(|pod, s| {
            if with_status(pod, "PodScheduled", "False").next().is_some() {
                s.value(1);
            }
        }),
        F::gauge(
            "kube_pod_status_unscheduled_time",
            "Unix time when the pod became unschedulable, in seconds; absent once the pod is \
             scheduled, or if the time is unknown.",
        )
        .reads(CONDITION_TIME)
        .generate(|pod, s| since(pod, "PodScheduled", "False", s)),
    ]
}

fn completion_time(pod: &Pod, s: &mut Samples<'_>) {
    let ends = (container_statuses(pod).iter())
        .filter_map(|status| common::unix(samples::terminated(status)?.finished_at.as_ref()));
    s.maybe_value(ends.max().filter(|&end| end > 0));
}

fn conditions(pod: &Pod) -> &[PodCondition] {
    status(pod)
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default()
}

fn of_type<'p>(pod: &'p Pod, type_: &'static str) -> impl Iterator<Item = &'p PodCondition> {
    let conditions = conditions(pod).iter();
    conditions.filter(move |condition| condition.type_ == type_)
}

fn with_status<'p>(
    pod: &'p Pod,
    type_: &'static str,
    status: &'static str,
) -> impl Iterator<Item = &'p PodCondition> {
    of_type(pod, type_).filter(move |condition| condition.status == status)
}

/// Writes one sample per state: 1 for the current state, otherwise 0. If the current state is empty, writes no sample.
fn state_set(s: &mut Samples<'_>, label: &str, states: &[&str], current: Option<&str>) {
    if let Some(current) = current.filter(|current| !current.is_empty()) {
        s.state_set(label, states, current);
    }
}

fn condition(pod: &Pod, type_: &'static str, s: &mut Samples<'_>) {
    for condition in of_type(pod, type_) {
        common::condition(s, "condition", &condition.status, |s| s.sample());
    }
}

fn since(pod: &Pod, type_: &'static str, status: &'static str, s: &mut Samples<'_>) {
    for condition in with_status(pod, type_, status) {
        s.maybe_value(common::unix(condition.last_transition_time.as_ref()));
    }
}

fn reasons(pod: &Pod, s: &mut Samples<'_>) {
    let own = status(pod).and_then(|status| status.reason.as_deref());
    let own = own.unwrap_or_default();
    for reason in REASONS {
        let is_it = |given: Option<&String>| given.is_some_and(|given| given == reason);
        let of_condition = |condition: &PodCondition| is_it(condition.reason.as_ref());
        let of_container = |container: &ContainerStatus| {
            is_it(samples::terminated(container).and_then(|end| end.reason.as_ref()))
        };
        if own == reason
            || conditions(pod).iter().any(of_condition)
            || container_statuses(pod).iter().any(of_container)
        {
            s.label("reason", reason).value(1);
        }
    }
    if !own.is_empty() && !REASONS.contains(&own) {
        s.label("reason", OTHER).value(1);
    }
}

fn disruption_reasons(pod: &Pod, s: &mut Samples<'_>) {
    for condition in of_type(pod, "DisruptionTarget") {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let listed = DISRUPTION_REASONS.contains(&reason);
        let shown = if listed { reason } else { OTHER };
        s.label("reason", shown).value(1);
    }
}
