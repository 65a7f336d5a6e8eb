//! Families of a pod's containers.

use k8s_openapi::api::core::v1::Pod;

use super::access::{container_statuses, containers};
use super::container_samples as samples;
use crate::Family;

/// The families.
///
/// A path below `terminated` or `waiting` is enough to detect that state; the whole state would
/// include its message, which may be long.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_container_info",
            "Always 1; the labels are images and identifiers of the container, absent until it \
             has a status.",
        )
        .stable()
        .labels([
            "container",
            "image_spec",
            "image",
            "image_id",
            "container_id",
        ])
        .reads([
            "spec.containers.name",
            "spec.containers.image",
            "status.containerStatuses.name",
            "status.containerStatuses.image",
            "status.containerStatuses.imageID",
            "status.containerStatuses.containerID",
        ])
        .generate(|pod, s| {
            let (containers, statuses) = (containers(pod), container_statuses(pod));
            samples::info(containers, statuses, s, |sample, _| sample);
        }),
        F::gauge(
            "kube_pod_container_resource_limits",
            "Most of a resource that the container may use, by resource: cores, bytes or a \
             plain count, as `unit` says; absent where there is no limit.",
        )
        .stable()
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.containers.name",
            "spec.containers.resources.limits",
        ])
        .generate(|pod, s| samples::limits(pod, containers(pod), s)),
        F::gauge(
            "kube_pod_container_resource_requests",
            "Share of a resource that the container asks for, by resource: cores, bytes or a \
             plain count, as `unit` says; absent where it asks for none.",
        )
        .stable()
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.containers.name",
            "spec.containers.resources.requests",
        ])
        .generate(|pod, s| samples::requests(pod, containers(pod), s)),
        F::gauge(
            "kube_pod_container_state_started",
            "Unix time at which the container was started, in seconds; absent while it waits.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.running",
            "status.containerStatuses.state.terminated.startedAt",
        ])
        .generate(|pod, s| samples::state_started(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_last_terminated_reason",
            "Always 1; `reason` is why the container ended before it was last restarted. \
             Absent where it was not.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.reason",
        ])
        .generate(|pod, s| samples::last_terminated_reason(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_last_terminated_exitcode",
            "Exit code with which the container ended before it was last restarted; absent \
             where it was not.",
        )
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.exitCode",
        ])
        .generate(|pod, s| samples::last_terminated_exit_code(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_last_terminated_timestamp",
            "Unix time at which the container ended before it was last restarted, in seconds; \
             absent where it was not.",
        )
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.finishedAt",
        ])
        .generate(|pod, s| samples::last_terminated_time(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_ready",
            "Whether the container is ready: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.ready",
        ])
        .generate(|pod, s| samples::ready(container_statuses(pod), s)),
        F::counter(
            "kube_pod_container_status_restarts_total",
            "How often the container was restarted.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.restartCount",
        ])
        .generate(|pod, s| samples::restarts(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_running",
            "Whether the container runs: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.running",
        ])
        .generate(|pod, s| samples::running(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_terminated",
            "Whether the container has ended: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.terminated.reason",
        ])
        .generate(|pod, s| samples::is_terminated(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_terminated_reason",
            "Always 1; `reason` is why the container has ended. Absent in other states.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.terminated.reason",
        ])
        .generate(|pod, s| samples::terminated_reason(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_waiting",
            "Whether the container waits to be started: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.waiting.reason",
        ])
        .generate(|pod, s| samples::waiting(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_waiting_reason",
            "Always 1; `reason` is why the container waits. Absent in other states.",
        )
        .stable()
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.waiting.reason",
        ])
        .generate(|pod, s| samples::waiting_reason(container_statuses(pod), s)),
    ]
}
