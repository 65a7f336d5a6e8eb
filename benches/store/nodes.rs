//! Measures updates of nodes, such as heartbeats.

use criterion::Criterion;
use kube_protobuf::{encode, message_of};
use kube_state_metrics::{MetricsStore, families};
use serde_json::{Value, json};

use super::ingest::{Kind, changes};

const NODE: Kind = Kind {
    objects: 1000,
    object: node,
    changes: &[
        ("a heartbeat", |node| {
            for condition in node["status"]["conditions"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                condition["lastHeartbeatTime"] = "2026-11-29T12:05:00Z".into();
            }
        }),
        ("an image is pulled", |node| {
            node["status"]["images"][0]["sizeBytes"] = 1.into();
        }),
        // If the uid differs, the store decodes and renders the whole object, as it does for a new object.
        ("another object with the same name", |node| {
            node["metadata"]["uid"] = "another".into();
        }),
    ],
};

pub(crate) fn bench(c: &mut Criterion) {
    let store = MetricsStore::new(families::nodes());
    let mut writer = store.writer();
    let mut group = c.benchmark_group("ingest a node as JSON");
    let json = |node: &Value| node.to_string().into_bytes();
    changes(&mut group, &NODE, json, |node| writer.apply_json(node));
    group.finish();
    writer.close();

    let mut writer = store.writer();
    let mut group = c.benchmark_group("ingest a node as protobuf");
    let message = message_of("v1", "Node").expect("nodes have protobuf");
    let protobuf = |node: &Value| encode::message(message, node).expect("the node is valid");
    changes(&mut group, &NODE, protobuf, |node| {
        writer.apply_protobuf(node)
    });
    group.finish();
}

/// Returns a node with 50 images and five conditions.
fn node(at: usize) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "KubeletReason", "message": "kubelet reports its state",
            "lastHeartbeatTime": "2026-11-29T12:00:00Z", "lastTransitionTime": "2026-11-01T12:00:00Z",
        })
    };
    let image = |image: usize| {
        let digest = format!(
            "registry.example.com/image-{image}@sha256:{:064x}",
            image * 7919
        );
        json!({ "names": [digest, format!("registry.example.com/image-{image}:1.0")], "sizeBytes": image * 1_000_000 })
    };
    let resources = json!({
        "cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi", "hugepages-2Mi": "0",
    });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": format!("node-{at:04}"),
            "uid": format!("{at:08x}-13c6-4bdc-a996-{at:012x}"),
            "creationTimestamp": "2026-11-01T12:00:00Z",
            "labels": { "kubernetes.io/hostname": format!("node-{at:04}"), "kubernetes.io/os": "linux" },
        },
        "spec": { "podCIDR": "10.128.0.0/24", "providerID": format!("cloud:///zone/{at}") },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": format!("10.0.{}.{}", at / 250, at % 250) }],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [
                condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                condition("PIDPressure", "False"), condition("NetworkUnavailable", "False"), condition("Ready", "True"),
            ],
            "images": (0..50).map(image).collect::<Vec<_>>(),
            "nodeInfo": { "kernelVersion": "6.8.0", "kubeletVersion": "v1.36.3", "osImage": "Linux" },
        },
    })
}
