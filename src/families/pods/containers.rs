//! Families of a pod's containers.

use k8s_openapi::api::core::v1::Pod;

use super::access::{container_statuses, containers};
use super::container_samples as samples;
use crate::Family;

/// Returns the families of this file.
///
/// Some families need to know only whether a container is terminated or waiting. Such a family declares one field of
/// this state, and not the whole state: the decoder would also keep the message, which may be long.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_container_info",
            "Always 1 for each container; the labels are its image, image ID and container ID. \
             Absent until the container has a status.",
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
            "Resource limits of the container (cpu limit, memory limit, ...); `unit` is core, \
             byte or integer. Absent for resources without a limit.",
        )
        .stable()
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.containers.name",
            "spec.containers.resources.limits",
        ])
        .search_words(["throttling", "oom", "out of memory"])
        .generate(|pod, s| samples::limits(pod, containers(pod), s)),
        F::gauge(
            "kube_pod_container_resource_requests",
            "Resources that the container requests (cpu request, memory request, ...); `unit` \
             is core, byte or integer. Absent for resources without a request.",
        )
        .stable()
        .labels(["container", "node", "resource", "unit"])
        .reads([
            "spec.nodeName",
            "spec.containers.name",
            "spec.containers.resources.requests",
        ])
        .search_words(["millicores", "requested"])
        .generate(|pod, s| samples::requests(pod, containers(pod), s)),
        F::gauge(
            "kube_pod_container_state_started",
            "Unix time when the running or terminated container started, in seconds; absent \
             while the container is waiting.",
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
            "Always 1; `reason` is why the previous run of the container terminated, such as \
             OOMKilled or Error. Absent before the first restart.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.reason",
        ])
        .search_words(["oom", "out of memory", "killed"])
        .generate(|pod, s| samples::last_terminated_reason(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_last_terminated_exitcode",
            "Exit code of the previous run of the container (137 means SIGKILL, as after \
             OOMKilled); absent before the first restart.",
        )
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.exitCode",
        ])
        .generate(|pod, s| samples::last_terminated_exit_code(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_last_terminated_timestamp",
            "Unix time when the previous run of the container terminated, in seconds; absent \
             before the first restart.",
        )
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.lastState.terminated.finishedAt",
        ])
        .generate(|pod, s| samples::last_terminated_time(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_ready",
            "1 if the container passes its readiness checks, otherwise 0; absent until the \
             container has a status.",
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
            "Number of restarts of the container; the number rises in a CrashLoopBackOff. Absent \
             until the container has a status.",
        )
        .stable()
        .labels(["container"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.restartCount",
        ])
        .search_words(["crash loop", "crashing"])
        .generate(|pod, s| samples::restarts(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_running",
            "1 if the container is running, otherwise 0; absent until the container has a status.",
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
            "1 if the container is terminated, otherwise 0; absent until the container has a \
             status.",
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
            "Always 1; `reason` is why the container terminated, such as OOMKilled, Error or \
             Completed. Absent unless the container is terminated.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.terminated.reason",
        ])
        .search_words(["oom", "out of memory", "killed"])
        .generate(|pod, s| samples::terminated_reason(container_statuses(pod), s)),
        F::gauge(
            "kube_pod_container_status_waiting",
            "1 if the container is waiting to start, otherwise 0; absent until the container \
             has a status.",
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
            "Always 1; `reason` is why the container is waiting, such as CrashLoopBackOff or \
             ImagePullBackOff. Absent unless the container is waiting.",
        )
        .stable()
        .labels(["container", "reason"])
        .reads([
            "status.containerStatuses.name",
            "status.containerStatuses.state.waiting.reason",
        ])
        .search_words(["crash loop", "back-off", "image pull"])
        .generate(|pod, s| samples::waiting_reason(container_statuses(pod), s)),
    ]
}
