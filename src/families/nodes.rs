//! The resource `nodes`: its families show versions, capacity, conditions and addresses.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use super::common;
use crate::family::{Samples, Stability};
use crate::k8s::{Quantity, node_units};
use crate::{Collector, Family};

/// The prefix of a label that gives a node a role.
const ROLE: &str = "node-role.kubernetes.io/";

/// The families of nodes.
///
/// ```
/// use kube_state_metrics::families::nodes;
///
/// assert!(nodes().iter().any(|family| family.descriptor().name() == "kube_node_annotations"));
/// ```
#[must_use]
pub fn nodes() -> Collector<Node> {
    type F = Family<Node>;
    Collector::new().families([
        common::annotations("kube_node_annotations", "node", Stability::Alpha),
        F::gauge(
            "kube_node_created",
            "Unix time when the node was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_node_deletion_timestamp",
            "Unix time when the node is due for deletion, in seconds; absent until deletion is \
             requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        F::gauge(
            "kube_node_info",
            "Always 1 for each node; the labels are its versions, addresses and identifiers. \
             `kubeproxy_version` is always `deprecated`.",
        )
        .stable()
        .labels([
            "kernel_version",
            "os_image",
            "container_runtime_version",
            "kubelet_version",
            "kubeproxy_version",
            "provider_id",
            "pod_cidr",
            "system_uuid",
            "internal_ip",
        ])
        .reads([
            "spec.podCIDR",
            "spec.providerID",
            "status.addresses.address",
            "status.addresses.type",
            "status.nodeInfo",
        ])
        .generate(info),
        common::labels("kube_node_labels", "node", Stability::Stable),
        F::gauge(
            "kube_node_role",
            "Always 1 for each role of the node, from its labels \
             `node-role.kubernetes.io/<role>`; absent if the node has no role.",
        )
        .labels(["role"])
        .reads(["metadata.labels"])
        .generate(roles),
        F::gauge(
            "kube_node_spec_pod_cidrs",
            "Always 1 for each IP range (CIDR) for pods of the node; absent if the node has none.",
        )
        .labels(["pod_cidr"])
        .reads(["spec.podCIDRs"])
        .generate(pod_cidrs),
        F::gauge(
            "kube_node_spec_taint",
            "Always 1 for each taint of the node; `effect` is NoSchedule, PreferNoSchedule or \
             NoExecute. Absent if the node has no taints.",
        )
        .stable()
        .labels(["key", "value", "effect"])
        .reads(["spec.taints.key", "spec.taints.value", "spec.taints.effect"])
        .generate(taints),
        F::gauge(
            "kube_node_spec_unschedulable",
            "1 if the node is cordoned (unschedulable for new pods), otherwise 0.",
        )
        .stable()
        .reads(["spec.unschedulable"])
        .search_words(["drain", "maintenance"])
        .generate(|node, s| {
            let cordoned = spec(node).and_then(|spec| spec.unschedulable);
            s.value(cordoned.unwrap_or(false));
        }),
        F::gauge(
            "kube_node_status_allocatable",
            "Resources of the node that are allocatable to pods (cpu, memory, pods, ...); \
             `unit` is core, byte or integer.",
        )
        .stable()
        .labels(["resource", "unit"])
        .reads(["status.allocatable"])
        .generate(|node, s| {
            let allocatable = status(node).and_then(|status| status.allocatable.as_ref());
            amounts(allocatable, s);
        }),
        F::gauge(
            "kube_node_status_capacity",
            "Total resources of the node (cpu, memory, pods, ...); `unit` is core, byte or \
             integer.",
        )
        .stable()
        .labels(["resource", "unit"])
        .reads(["status.capacity"])
        .generate(|node, s| amounts(status(node).and_then(|status| status.capacity.as_ref()), s)),
        F::gauge(
            "kube_node_status_condition",
            "Conditions of the node (Ready, MemoryPressure, DiskPressure, PIDPressure, ...): 1 \
             for the current `status`, otherwise 0.",
        )
        .stable()
        .labels(["condition", "status"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .search_words(["not ready", "node down", "disk full"])
        .generate(conditions),
        F::gauge(
            "kube_node_status_addresses",
            "Always 1 for each address of the node; `type` is InternalIP, ExternalIP, Hostname \
             or another address type.",
        )
        .labels(["type", "address"])
        .reads(["status.addresses.type", "status.addresses.address"])
        .generate(addresses),
    ])
}

fn spec(node: &Node) -> Option<&NodeSpec> {
    node.spec.as_ref()
}

fn status(node: &Node) -> Option<&NodeStatus> {
    node.status.as_ref()
}

fn info(node: &Node, s: &mut Samples<'_>) {
    let system = status(node).and_then(|status| status.node_info.as_ref());
    let addresses = status(node).and_then(|status| status.addresses.as_deref());
    // If a node has several internal addresses, such as IPv4 and IPv6, the last of them in the object is used.
    let internal = addresses
        .unwrap_or_default()
        .iter()
        .rfind(|a| a.type_ == "InternalIP");
    s.label(
        "kernel_version",
        system.map(|system| &system.kernel_version),
    )
    .label("os_image", system.map(|system| &system.os_image))
    .label(
        "container_runtime_version",
        system.map(|system| &system.container_runtime_version),
    )
    .label(
        "kubelet_version",
        system.map(|system| &system.kubelet_version),
    )
    .label("kubeproxy_version", "deprecated")
    .label(
        "provider_id",
        spec(node).and_then(|spec| spec.provider_id.as_ref()),
    )
    .label(
        "pod_cidr",
        spec(node).and_then(|spec| spec.pod_cidr.as_ref()),
    )
    .label("system_uuid", system.map(|system| &system.system_uuid))
    .label("internal_ip", internal.map(|address| &address.address))
    .value(1);
}

fn roles(node: &Node, s: &mut Samples<'_>) {
    for (key, _) in common::pairs(node.metadata.labels.as_ref()) {
        if let Some(role) = key.strip_prefix(ROLE) {
            s.label("role", role).value(1);
        }
    }
}

fn pod_cidrs(node: &Node, s: &mut Samples<'_>) {
    let ranges = spec(node).and_then(|spec| spec.pod_cidrs.as_ref());
    for range in ranges.into_iter().flatten() {
        s.label("pod_cidr", range).value(1);
    }
}

fn taints(node: &Node, s: &mut Samples<'_>) {
    let taints = spec(node).and_then(|spec| spec.taints.as_ref());
    for taint in taints.into_iter().flatten() {
        s.label("key", &taint.key)
            .label("value", taint.value.as_ref())
            .label("effect", &taint.effect)
            .value(1);
    }
}

fn amounts(resources: Option<&BTreeMap<String, QuantityText>>, s: &mut Samples<'_>) {
    for (name, QuantityText(text)) in resources.into_iter().flatten() {
        let Some(amount) = Quantity::parse(text).and_then(|quantity| quantity.milli()) else {
            continue;
        };
        for unit in node_units(name) {
            s.label("resource", common::resource_label(name))
                .label("unit", unit.as_str())
                .value(amount);
        }
    }
}

fn conditions(node: &Node, s: &mut Samples<'_>) {
    let conditions = status(node).and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten() {
        common::condition(s, "status", &condition.status, |s| {
            s.label("condition", &condition.type_)
        });
    }
}

fn addresses(node: &Node, s: &mut Samples<'_>) {
    let addresses = status(node).and_then(|status| status.addresses.as_ref());
    for address in addresses.into_iter().flatten() {
        s.label("type", &address.type_)
            .label("address", &address.address)
            .value(1);
    }
}

#[cfg(test)]
mod tests;
