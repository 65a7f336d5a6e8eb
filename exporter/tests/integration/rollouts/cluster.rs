//! The control plane of a real cluster. `KUBECONFIG` names the kubeconfig of the cluster. A replica is a local process.
//! The test writes a pod to the cluster for each replica, but no kubelet runs this pod.

use std::net::UdpSocket;

use serde_json::{Value, json};

use super::plane::{ControlPlane, Place, put_running};
use crate::deploy::cluster::{self, Applied, kubectl, namespaces};

const NAMESPACE: &str = "rollouts-test";
/// The finalizer of the pods. The API server keeps a deleted pod until the test removes this finalizer. The test
/// removes it after the process of the replica has ended.
const FINALIZER: &str = "kube-state-metrics.example.com/process";

/// A namespace and a node in the cluster. When this value is dropped, it deletes both.
pub(super) struct Cluster {
    kubeconfig: String,
    place: Place,
    _applied: Vec<Applied>,
}

/// Returns the objects of the test. Many alerting and recording rules read the metrics of these objects, so these rules
/// have results.
fn objects() -> Vec<Value> {
    let pods = json!({ "app": "web" });
    let resources = json!({ "cpu": "10m", "memory": "16Mi" });
    let container = json!({ "name": "app", "image": "registry.k8s.io/pause:3.10",
        "resources": { "requests": resources, "limits": resources } });
    // The pods have no node. If they had a node, the results of rules would depend on the state of the node.
    let template = json!({ "metadata": { "labels": pods },
        "spec": { "containers": [container], "schedulerName": NAMESPACE } });
    let metadata = json!({ "name": "web", "namespace": NAMESPACE });
    vec![
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": { "replicas": 3, "selector": { "matchLabels": pods }, "template": template } }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "ports": [{ "name": "http", "port": 80 }] } }),
        json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "kube-state-metrics", "namespace": NAMESPACE },
            "spec": { "clusterIP": "None", "ports": [{ "name": "http-metrics", "port": 8080 }] } }),
    ]
}

/// Returns the status of a container that is not ready.
fn status(name: &str, state: Value) -> Value {
    json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 1,
        "state": state })
}

/// Returns a pod with a waiting container. Some alerts have results for this pod.
fn crashing() -> Value {
    let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    json!({
        "metadata": { "name": "web-1", "namespace": NAMESPACE },
        "spec": { "containers": [{ "name": "app", "image": "i" }, { "name": "side", "image": "i" }] },
        "status": { "phase": "Running",
            "containerStatuses": [status("app", json!({ "running": {} })), status("side", waiting)] },
    })
}

/// Returns the address of this machine that other machines use. An EndpointSlice must not contain a loopback address.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // `connect` of a UDP socket selects a local address, but sends no packet.
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

/// Applies an object, even if other programs own some of its fields.
fn apply(object: &Value, flags: &[&str]) {
    let flags = [&["--force-conflicts"], flags].concat();
    cluster::apply(&object.to_string(), &flags);
}

fn in_namespace(args: &[&str]) -> Result<String, String> {
    kubectl(&[&["-n", NAMESPACE], args].concat(), "")
}

/// Removes the finalizer from a pod. `pod` has the form `pod/NAME`.
fn release(pod: &str) -> Result<String, String> {
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    in_namespace(&["patch", pod, "--type=merge", "-p", patch])
}

/// Removes the finalizers from all pods. Otherwise, the API server could not delete the namespace.
fn release_all() {
    let pods = in_namespace(&["get", "pods", "-o", "name"]).unwrap_or_default();
    for pod in pods.lines() {
        // The error is ignored, because another program may have deleted the pod.
        drop(release(pod));
    }
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn start() -> Self {
        // If an earlier run of the test was killed, its pods still have their finalizers.
        release_all();
        let mut applied = namespaces(&[NAMESPACE]);
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": NAMESPACE },
            "spec": { "taints": [{ "key": NAMESPACE, "effect": "NoSchedule" }] } });
        applied.push(Applied::new(node.to_string()));
        objects().iter().for_each(|object| apply(object, &[]));
        let cluster = Self {
            kubeconfig: std::env::var("KUBECONFIG").expect("KUBECONFIG names a kubeconfig"),
            place: Place {
                namespace: NAMESPACE,
                objects: NAMESPACE,
                node: NAMESPACE,
                host: own_address(),
            },
            _applied: applied,
        };
        cluster.put("pods", crashing());
        put_running(&cluster);
        cluster
    }
}

impl ControlPlane for Cluster {
    fn place(&self) -> &Place {
        &self.place
    }

    fn flags(&self) -> Vec<String> {
        vec![format!("--kubeconfig={}", self.kubeconfig)]
    }

    fn discovery(&self) -> Vec<String> {
        vec![
            format!("kubeconfig_file: {}", self.kubeconfig),
            format!("namespaces: {{names: [{NAMESPACE}]}}"),
        ]
    }

    fn put(&self, plural: &str, mut object: Value) {
        if plural == "endpointslices" {
            object["apiVersion"] = json!("discovery.k8s.io/v1");
            object["kind"] = json!("EndpointSlice");
            apply(&object, &[]);
            return;
        }
        assert_eq!(plural, "pods");
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Pod");
        object["metadata"]["finalizers"] = json!([FINALIZER]);
        // No scheduler has this name, so the pod never gets a node. On a node, the kubelet would overwrite the status
        // that the test writes.
        object["spec"]["schedulerName"] = json!(NAMESPACE);
        apply(&object, &[]);
        apply(&object, &["--subresource=status"]);
    }

    fn end(&self, pod: Value) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        self.put("pods", pod);
        in_namespace(&["delete", "pod", &name, "--wait=false"]).unwrap();
    }

    fn delete(&self, plural: &str, name: &str) {
        let delete = ["delete", plural, name, "--wait=false", "--ignore-not-found"];
        in_namespace(&delete).unwrap();
        if plural == "pods" {
            release(&format!("pod/{name}")).unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        release_all();
    }
}
