//! Families of a pod's init containers, including sidecars.

use k8s_openapi::api::core::v1::Pod;

use super::access::{init_container_statuses, init_containers};
use super::container_samples as samples;
use crate::Family;

/// Returns the families of this file. These families correspond to the families in [`containers`](super::containers).
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_init_container_info",
            "Always 1 for each init container; the labels are its images, IDs and restart \
             policy. The restart policy `Always` means that the container is a sidecar. Absent \
             until the container has a status.",
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
            "Resource limits of the init container (cpu limit, memory limit, ...); `unit` is \
             core, byte or integer. Absent for resources without a limit.",
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
            "Resources that the init container requests (cpu request, memory request, ...); \
             `unit` is core, byte or integer. Absent for resources without a request.",
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
            "Unix time when the running or terminated init container started, in seconds; absent \
             while the container is waiting.",
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
            "Always 1; `reason` is why the previous run of the init container terminated, such \
             as OOMKilled or Error. Absent before the first restart.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.reason",
        ])
        .generate(|pod, s| samples::last_terminated_reason(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_last_terminated_exitcode",
            "Exit code of the previous run of the init container (137 means SIGKILL, as after \
             OOMKilled); absent before the first restart.",
        )
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.exitCode",
        ])
        .generate(|pod, s| samples::last_terminated_exit_code(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_last_terminated_timestamp",
            "Unix time when the previous run of the init container terminated, in seconds; \
             absent before the first restart.",
        )
        .labels(["container"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.lastState.terminated.finishedAt",
        ])
        .generate(|pod, s| samples::last_terminated_time(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_ready",
            "1 if the init container has completed, or if it is a sidecar that is ready; \
             otherwise 0. Absent until the container has a status.",
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
            "Number of restarts of the init container; the number rises in a CrashLoopBackOff. \
             Absent until the container has a status.",
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
            "1 if the init container is running, otherwise 0; absent until the container has a \
             status.",
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
            "1 if the init container is terminated, otherwise 0; absent until the container has \
             a status.",
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
            "Always 1; `reason` is why the init container terminated, such as OOMKilled, Error \
             or Completed. Absent unless the container is terminated.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.terminated.reason",
        ])
        .generate(|pod, s| samples::terminated_reason(init_container_statuses(pod), s)),
        F::gauge(
            "kube_pod_init_container_status_waiting",
            "1 if the init container is waiting to start, otherwise 0; absent until the \
             container has a status.",
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
            "Always 1; `reason` is why the init container is waiting, such as CrashLoopBackOff \
             or ImagePullBackOff. Absent unless the container is waiting.",
        )
        .labels(["container", "reason"])
        .reads([
            "status.initContainerStatuses.name",
            "status.initContainerStatuses.state.waiting.reason",
        ])
        .search_words(["crash loop", "back-off", "image pull"])
        .generate(|pod, s| samples::waiting_reason(init_container_statuses(pod), s)),
    ]
}
