//! Generates pods. The same arguments always generate the same pod.

use serde_json::{Value, json};

/// Returns a realistic pod with two containers, requests and limits, five conditions, and a persistent volume claim.
///
/// `at` is the number of the pod. `state` selects the values of the fields that change while a pod runs.
pub(crate) fn pod(at: usize, state: usize) -> Value {
    let (namespace, app) = (at % 20, at % 200);
    let node = format!(
        "ip-10-{}-{}-{}.eu-west-1.compute.internal",
        at % 7,
        at % 61,
        at % 250
    );
    let time = |offset: usize| {
        let second = at * 7 + offset;
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        format!(
            "2026-11-{:02}T{hour:02}:{minute:02}:{:02}Z",
            1 + at % 20,
            second % 60
        )
    };
    let container = |name: &str, cpu: &str, memory: &str| {
        json!({
            "name": name,
            "image": format!("registry.example.com/team-{namespace}/{name}:1.{}.0", app % 9),
            "env": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "PORT", "value": "8080" }],
            "ports": [{ "containerPort": 8080, "name": "http" }],
            "resources": {
                "requests": { "cpu": cpu, "memory": memory },
                "limits": { "cpu": "1", "memory": memory },
            },
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 10 },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        })
    };
    let status = |name: &str, restarts: usize| {
        json!({
            "name": name,
            "ready": true,
            "restartCount": restarts,
            "started": true,
            "image": format!("registry.example.com/team-{namespace}/{name}:1.{}.0", app % 9),
            "imageID": format!("registry.example.com/team-{namespace}/{name}@sha256:{:064x}", app * 7919),
            "containerID": format!("containerd://{:064x}", at * 104_729 + name.len()),
            "state": { "running": { "startedAt": time(9) } },
        })
    };
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": time(10) });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("app-{app:03}-7d4b9c6f5-{at:06x}"),
            "namespace": format!("team-{namespace:02}"),
            "uid": format!("{:08x}-13c6-4bdc-a996-{:012x}", at * 2_654_435, at),
            // A store ignores an object if the store already has a higher version of it. Therefore, all states of a pod
            // have the same resource version, and a benchmark can apply the states in any order.
            "resourceVersion": (1_000_000 + at).to_string(),
            "creationTimestamp": time(0),
            "labels": { "app.kubernetes.io/name": format!("app-{app:03}"), "pod-template-hash": "7d4b9c6f5" },
            "annotations": { "checksum/config": format!("{:064x}", at) },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": format!("app-{app:03}-7d4b9c6f5"), "uid": format!("owner-{app}"),
            }],
            "managedFields": [{ "manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1",
                "fieldsV1": { "f:status": { "f:conditions": { "k:{\"type\":\"Ready\"}": { ".": {}, "f:status": {} } } } } }],
        },
        "spec": {
            "nodeName": node,
            "serviceAccountName": format!("app-{app:03}"),
            "schedulerName": "default-scheduler",
            "restartPolicy": "Always",
            "priorityClassName": "standard",
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
            "containers": [container("app", "250m", "512Mi"), container("istio-proxy", "100m", "128Mi")],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": format!("data-{at}") } }],
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "hostIP": format!("10.{}.{}.{}", at % 7, at % 61, at % 250),
            "podIP": format!("10.128.{}.{}", at / 250 % 250, at % 250),
            "podIPs": [{ "ip": format!("10.128.{}.{}", at / 250 % 250, at % 250) }],
            "startTime": time(1),
            "conditions": [
                condition("PodReadyToStartContainers"), condition("Initialized"), condition("Ready"),
                condition("ContainersReady"), condition("PodScheduled"),
            ],
            "containerStatuses": [status("app", state), status("istio-proxy", 0)],
        },
    })
}
