//! Tests of the families of nodes: unusual objects, the order of samples, and the rounding of quantities.

use serde_json::json;

use super::*;
use crate::families::testing::{family, samples};

#[test]
fn an_empty_node_has_its_unconditional_families_only() {
    assert_eq!(
        samples(nodes(), &json!({})),
        [
            r#"kube_node_info{node="",kernel_version="",os_image="",container_runtime_version="",kubelet_version="",kubeproxy_version="deprecated",provider_id="",pod_cidr="",system_uuid="",internal_ip=""} 1"#,
            r#"kube_node_spec_unschedulable{node=""} 0"#,
        ]
    );
}

#[test]
fn the_last_internal_address_is_the_one_in_info_even_if_empty() {
    let info = |addresses| {
        let node = json!({ "status": { "addresses": addresses } });
        family(nodes(), "kube_node_info", &node).concat()
    };
    let two = info(json!([
        { "type": "InternalIP", "address": "10.0.0.1" },
        { "type": "InternalIP", "address": "fd00::1" },
        { "type": "internalIP", "address": "10.0.0.2" },
        { "type": "ExternalIP", "address": "192.0.2.1" },
    ]));
    assert!(two.ends_with(r#",internal_ip="fd00::1"} 1"#), "{two}");
    let empty = info(json!([
        { "type": "InternalIP", "address": "10.0.0.1" },
        { "type": "InternalIP" },
    ]));
    assert!(empty.ends_with(r#",internal_ip=""} 1"#), "{empty}");
}

#[test]
fn info_tells_the_constant_proxy_version_and_the_single_pod_range() {
    let node = json!({
        "spec": { "providerID": "p", "podCIDR": "10.1.0.0/24", "podCIDRs": ["10.2.0.0/24"] },
        "status": {
            "nodeInfo": {
                "kernelVersion": "k", "osImage": "o", "containerRuntimeVersion": "c",
                "kubeletVersion": "v", "kubeProxyVersion": "x", "systemUUID": "s",
            },
        },
    });
    assert_eq!(
        family(nodes(), "kube_node_info", &node),
        [
            r#"kube_node_info{node="",kernel_version="k",os_image="o",container_runtime_version="c",kubelet_version="v",kubeproxy_version="deprecated",provider_id="p",pod_cidr="10.1.0.0/24",system_uuid="s",internal_ip=""} 1"#
        ]
    );
    assert_eq!(
        family(nodes(), "kube_node_spec_pod_cidrs", &node),
        [r#"kube_node_spec_pod_cidrs{node="",pod_cidr="10.2.0.0/24"} 1"#]
    );
}

#[test]
fn roles_are_what_follows_the_prefix_of_a_label() {
    let node = json!({
        "metadata": {
            "labels": {
                "node-role.kubernetes.io/worker": "false",
                "node-role.kubernetes.io/": "",
                "node-role.kubernetes.io/a/b": "",
                "Node-role.kubernetes.io/x": "",
                "node-role.kubernetes.io": "",
                "kubernetes.io/role": "master",
            },
        },
    });
    assert_eq!(
        family(nodes(), "kube_node_role", &node),
        [
            r#"kube_node_role{node="",role=""} 1"#,
            r#"kube_node_role{node="",role="a/b"} 1"#,
            r#"kube_node_role{node="",role="worker"} 1"#,
        ]
    );
}

#[test]
fn amounts_are_rounded_up_to_thousandths_whatever_their_unit() {
    let node = json!({
        "status": {
            "capacity": {
                "attachable-volumes-x/y": "1",
                "cpu": "1001u",
                "example-com/gpu": 3,
                "example.com/gpu": "2",
                "foo": "1",
                "hugepages-2Mi": null,
                "memory": "1000.5",
                "pods": "1500m",
                "requests.cpu": "1",
                "storage": "not a quantity",
                "x.kubernetes.io/y": "1",
            },
        },
    });
    assert_eq!(
        family(nodes(), "kube_node_status_capacity", &node),
        [
            r#"kube_node_status_capacity{node="",resource="attachable_volumes_x_y",unit="byte"} 1"#,
            r#"kube_node_status_capacity{node="",resource="attachable_volumes_x_y",unit="integer"} 1"#,
            r#"kube_node_status_capacity{node="",resource="cpu",unit="core"} 0.002"#,
            r#"kube_node_status_capacity{node="",resource="example_com_gpu",unit="integer"} 3"#,
            r#"kube_node_status_capacity{node="",resource="hugepages_2Mi",unit="byte"} 0"#,
            r#"kube_node_status_capacity{node="",resource="memory",unit="byte"} 1000.5"#,
            r#"kube_node_status_capacity{node="",resource="pods",unit="integer"} 1.5"#,
        ]
    );
    assert!(family(nodes(), "kube_node_status_allocatable", &node).is_empty());
}

#[test]
fn taints_conditions_and_addresses_keep_the_order_of_their_lists() {
    let node = json!({
        "metadata": { "name": "n" },
        "spec": {
            "unschedulable": true,
            "taints": [
                { "key": "z", "value": "1", "effect": "NoSchedule", "timeAdded": "2024-01-01T00:00:00Z" },
                { "key": "a", "effect": "NoExecute" },
                {},
            ],
        },
        "status": {
            "conditions": [
                { "type": "Ready", "status": "Unknown" },
                { "type": "Custom", "status": "true" },
            ],
            "addresses": [{ "type": "Hostname", "address": "h" }, { "type": "Any" }],
        },
    });
    assert_eq!(
        samples(nodes(), &node)[1..],
        [
            r#"kube_node_spec_taint{node="n",key="z",value="1",effect="NoSchedule"} 1"#,
            r#"kube_node_spec_taint{node="n",key="a",value="",effect="NoExecute"} 1"#,
            r#"kube_node_spec_taint{node="n",key="",value="",effect=""} 1"#,
            r#"kube_node_spec_unschedulable{node="n"} 1"#,
            r#"kube_node_status_condition{node="n",condition="Ready",status="true"} 0"#,
            r#"kube_node_status_condition{node="n",condition="Ready",status="false"} 0"#,
            r#"kube_node_status_condition{node="n",condition="Ready",status="unknown"} 1"#,
            r#"kube_node_status_condition{node="n",condition="Custom",status="true"} 0"#,
            r#"kube_node_status_condition{node="n",condition="Custom",status="false"} 0"#,
            r#"kube_node_status_condition{node="n",condition="Custom",status="unknown"} 0"#,
            r#"kube_node_status_addresses{node="n",type="Hostname",address="h"} 1"#,
            r#"kube_node_status_addresses{node="n",type="Any",address=""} 1"#,
        ]
    );
}
