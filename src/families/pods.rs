//! `pods`: their containers, where and how they run, what they refer to, and their status.

mod container_samples;
mod containers;
mod identity;
mod init_containers;
mod spec;
mod status;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use crate::Collector;

/// The families of pods.
///
/// ```
/// use kube_state_metrics::families::pods;
///
/// assert!(pods().iter().any(|family| family.descriptor().name() == "kube_pod_status_phase"));
/// ```
#[must_use]
pub fn pods() -> Collector<Pod> {
    Collector::new()
        .uid_label("uid")
        .families(containers::families())
        .families(identity::families())
        .families(init_containers::families())
        .families(spec::families())
        .families(status::families())
        .families(spec::scheduling_families())
}

fn containers(pod: &Pod) -> &[Container] {
    pod.spec
        .as_ref()
        .map(|spec| &*spec.containers)
        .unwrap_or_default()
}

fn init_containers(pod: &Pod) -> &[Container] {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
}

fn container_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

fn init_container_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
