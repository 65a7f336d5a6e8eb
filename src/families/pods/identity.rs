//! Families that identify a pod: its node, its addresses and its creator (the owner that is its controller).

use k8s_openapi::api::core::v1::Pod;

use crate::Family;
use crate::families::common;
use crate::family::Samples;
use crate::family::referenced_labels::DictionaryColumn;
use crate::k8s::ip_family;

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_info",
            "Always 1 for each pod; the labels are its IP addresses, node, controller and \
             priority class, empty if not set.",
        )
        .stable()
        .labels([
            "host_ip",
            "pod_ip",
            "node",
            "created_by_kind",
            "created_by_name",
            "priority_class",
            "host_network",
        ])
        .reads([
            common::OWNERS,
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.priorityClassName",
            "status.hostIP",
            "status.podIP",
        ])
        .generate(info),
        F::gauge(
            "kube_pod_ips",
            "Always 1 for each IP address of the pod; `ip_family` is 4 or 6. Absent until the \
             pod has an address.",
        )
        .labels(["ip", "ip_family"])
        .reads(["status.podIPs.ip"])
        .generate(ips),
    ]
}

fn info(pod: &Pod, s: &mut Samples<'_>) {
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    let host = status.and_then(|status| status.host_ip.as_deref());
    let owner = controller.map(|owner| &*owner.name);
    let node = spec.and_then(|spec| spec.node_name.as_deref());
    s.sample()
        .referenced_label(DictionaryColumn::Node, "host_ip", host)
        .label("pod_ip", status.and_then(|status| status.pod_ip.as_ref()))
        .referenced_label(DictionaryColumn::Node, "node", node)
        .label("created_by_kind", controller.map(|owner| &owner.kind))
        .referenced_label(DictionaryColumn::Owner, "created_by_name", owner)
        .label(
            "priority_class",
            spec.and_then(|spec| spec.priority_class_name.as_ref()),
        )
        .label(
            "host_network",
            spec.and_then(|spec| spec.host_network).unwrap_or(false),
        )
        .value(1);
}

fn ips(pod: &Pod, s: &mut Samples<'_>) {
    let addresses = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ips.as_ref());
    for address in addresses.into_iter().flatten() {
        if let Some(family) = ip_family(&address.ip) {
            s.label("ip", &address.ip)
                .label("ip_family", family)
                .value(1);
        }
    }
}
