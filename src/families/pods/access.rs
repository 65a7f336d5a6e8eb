//! Functions for the fields of a pod that several families read.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

pub(super) fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

pub(super) fn status(pod: &Pod) -> Option<&PodStatus> {
    pod.status.as_ref()
}

pub(super) fn containers(pod: &Pod) -> &[Container] {
    pod.spec
        .as_ref()
        .map(|spec| &*spec.containers)
        .unwrap_or_default()
}

pub(super) fn init_containers(pod: &Pod) -> &[Container] {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
}

pub(super) fn container_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

pub(super) fn init_container_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default()
}
