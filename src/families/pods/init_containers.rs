//! Families of a pod's init containers, sidecars included.

use k8s_openapi::api::core::v1::Pod;

use super::access::{init_container_statuses, init_containers};
use super::container_samples as samples;
use crate::Family;

/// The families: those of [`containers`](super::containers) for init containers.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_init_container_info",
            "Always 1; the labels are images, identifiers and restart policy of the init \
             container (`Always` makes it a sidecar), absent until it has a status.",
        )
        .stable()
        .labels([
            "container",
            "image_spec",
            "image",
            "image_id",
            "container_id",
            "restart_policy",
        ])
        .reads([
            "spec.initContainers.name",
            "spec.initContainers.image",
            "spec.initContainers.restartPolicy",
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.image",
            "status.initContainerStatuses.imageID",
            "status.initContainerStatuses.containerID",
        ])
        .generate(|pod, s| {
            let (containers, statuses) = (init_containers(pod), init_container_statuses(pod));
            samples::info(containers, statuses, s, |sample, container| {
                sample.label("restart_policy", container.restart_policy.as_ref())
            });
        }),
        F::gauge(
            "kube_pod_init_container_resource_limits",
            "Most of a resource that the init container may use, by resource: cores, bytes or \
             a plain count, as `unit` says; absent where there is no limit.",
        )
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.initContainers.name",
            "spec.initContainers.resources.limits",
        ])
        .generate(|pod, s| samples::limits(pod, init_containers(pod), s)),
        F::gauge(
            "kube_pod_init_container_resource_requests",
            "Share of a resource that the init container asks for, by resource: cores, bytes \
             or a plain count, as `unit` says; absent where it asks for none.",
        )
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.initContainers.name",
            "spec.initContainers.resources.requests",
        ])
        .generate(|pod, s| samples::requests(pod, init_containers(pod), s)),
        F::gauge(
            "kube_pod_init_container_state_started",
            "Unix time at which the init container was started, in seconds; absent while it \
             waits.",
        )
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.running",
            "status.initContainerStatuses.state.terminated.startedAt",
        ])
        .generate(|pod, s| samples::state_started(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_last_terminated_reason",
            "Always 1; `reason` is why the init container ended before it was last restarted. \
             Absent where it was not.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.reason",
        ])
        .generate(|pod, s| samples::last_terminated_reason(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_last_terminated_exitcode",
            "Exit code with which the init container ended before it was last restarted; \
             absent where it was not.",
        )
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.exitCode",
        ])
        .generate(|pod, s| samples::last_terminated_exit_code(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_last_terminated_timestamp",
            "Unix time at which the init container ended before it was last restarted, in \
             seconds; absent where it was not.",
        )
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.finishedAt",
        ])
        .generate(|pod, s| samples::last_terminated_time(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_ready",
            "Whether the init container is ready: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.ready",
        ])
        .generate(|pod, s| samples::ready(init_container_statuses(pod), s)),
        F::counter(
            "kube_pod_init_container_status_restarts_total",
            "How often the init container was restarted.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.restartCount",
        ])
        .generate(|pod, s| samples::restarts(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_running",
            "Whether the init container runs: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.running",
        ])
        .generate(|pod, s| samples::running(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_terminated",
            "Whether the init container has ended: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.terminated.reason",
        ])
        .generate(|pod, s| samples::is_terminated(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_terminated_reason",
            "Always 1; `reason` is why the init container has ended. Absent in other states.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.terminated.reason",
        ])
        .generate(|pod, s| samples::terminated_reason(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_waiting",
            "Whether the init container waits to be started: 1 or 0.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.waiting.reason",
        ])
        .generate(|pod, s| samples::waiting(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_waiting_reason",
            "Always 1; `reason` is why the init container waits. Absent in other states.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.waiting.reason",
        ])
        .generate(|pod, s| samples::waiting_reason(init_container_statuses(pod), s)),
    ]
}
