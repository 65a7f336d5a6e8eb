//! Tests joined labels, which come from other objects, such as the node of a pod. The tests check the requests for
//! these other objects. If these other objects are missing, readiness must not be delayed.

use kube_state_metrics::registry::{Builder, Shard};
use kube_state_metrics::source::health::{FailureReason, ReadinessPolicy, ResourceState};
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{ENCODINGS, Running, start};
use crate::support::{ApiServer, Fault, On, eventually};

const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_IN_JSON: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Returns a server with a pod of a Deployment.
fn server() -> ApiServer {
    let server = ApiServer::new();
    for (plural, kind) in [("replicasets", "ReplicaSet"), ("deployments", "Deployment")] {
        server.serve("/apis/apps/v1", "apps/v1", plural, kind);
    }
    server.serve("/api/v1", "v1", "nodes", "Node");
    server.serve("/apis/batch/v1", "batch/v1", "jobs", "Job");
    server.put("namespaces", labelled("", "a", &json!({ "team": "blue" })));
    server.put("nodes", labelled("", "n1", &json!({ "zone": "z1" })));
    let owner = |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true }]);
    let mut set = labelled("a", "web-1", &json!({}));
    set["metadata"]["ownerReferences"] = owner("Deployment", "web");
    server.put("replicasets", set);
    let mut pod = labelled("a", "web-1-x", &json!({}));
    pod["metadata"]["ownerReferences"] = owner("ReplicaSet", "web-1");
    pod["metadata"]["creationTimestamp"] = json!("1970-01-01T00:00:07Z");
    pod["spec"] = json!({ "nodeName": "n1" });
    server.put("pods", pod);
    server
}

fn labelled(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "labels": labels } })
}

fn builder() -> Builder {
    StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["^kube_pod_created$"])
        .join_labels(
            "pods=[namespace/team,node/zone,workload:name=workload]"
                .parse()
                .unwrap(),
        )
}

/// Waits until the pod has these joined labels.
async fn has_labels(running: &Running, joined: &str) {
    let line = format!(
        "kube_pod_created{{namespace=\"a\",pod=\"web-1-x\",uid=\"a-web-1-x-uid\"{joined}}} 7\n"
    );
    eventually(joined, || running.text().ends_with(&line)).await;
}

const JOINED: &str = ",team=\"blue\",zone=\"z1\",workload=\"web\"";

#[tokio::test(start_paused = true)]
async fn sources_are_watched_once_and_only_by_their_metadata() {
    for protobuf in ENCODINGS {
        let server = if protobuf {
            server().with_protobuf()
        } else {
            server()
        };
        let metrics = builder().build().unwrap();
        let running = start(&server, metrics, |watch| watch.protobuf(protobuf));
        running.ready().await;
        has_labels(&running, JOINED).await;
        for plural in ["namespaces", "nodes", "replicasets", "jobs"] {
            assert_eq!(server.counts(plural), (0, 1, 0), "{plural}");
            let accept = if protobuf { METADATA } else { METADATA_IN_JSON };
            assert_eq!(server.log(plural)[0].accept, accept);
        }
        assert_eq!(server.log("deployments").len(), 0, "only names are joined");
        server.put("namespaces", labelled("", "a", &json!({ "team": "red" })));
        has_labels(&running, ",team=\"red\",zone=\"z1\",workload=\"web\"").await;
        server.delete("nodes", "", "n1");
        has_labels(&running, ",team=\"red\",workload=\"web\"").await;
        let health = running.health_of("namespaces");
        assert_eq!((health.objects, health.series), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_registered_resource_is_not_watched_twice() {
    let server = server().with_protobuf();
    let metrics = builder().built_in([BuiltIn::Namespaces, BuiltIn::Nodes]);
    let running = start(&server, metrics.build().unwrap(), |watch| watch);
    running.ready().await;
    has_labels(&running, JOINED).await;
    for plural in ["namespaces", "nodes"] {
        assert_eq!(server.counts(plural), (0, 1, 0), "{plural}");
        assert!(!server.log(plural)[0].accept.contains("Partial"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_source_delays_no_readiness_and_is_named() {
    let server = server();
    server.fault(On::Any, "nodes", 1000, Fault::Status(403, "Forbidden"));
    server.fault(On::Any, "namespaces", 1000, Fault::Hang);
    let running = start(&server, builder().build().unwrap(), |watch| watch);
    running.ready().await;
    assert!(running.health.readiness(ReadinessPolicy::Strict).ready);
    has_labels(&running, ",workload=\"web\"").await;
    let forbidden = ResourceState::Failing(FailureReason::Forbidden);
    eventually("the refusal is known", || {
        running.health_of("nodes").state == forbidden
    })
    .await;
    assert_eq!(running.health_of("nodes").objects, 0);
    server.heal();
    has_labels(&running, JOINED).await;
}

#[tokio::test(start_paused = true)]
async fn selected_namespaces_and_nodes_are_requested_by_name() {
    let server = server();
    let metrics = builder()
        .built_in([BuiltIn::Deployments])
        .namespaces(["a", "b"]);
    let running = start(&server, metrics.build().unwrap(), |watch| watch.node("n1"));
    running.ready().await;
    has_labels(&running, JOINED).await;
    let selectors = |plural: &str| {
        let log = server.log(plural).into_iter();
        let mut selectors: Vec<_> = log
            .map(|request| format!("{} {:?}", request.path, request.get("fieldSelector")))
            .collect();
        selectors.sort();
        selectors
    };
    assert_eq!(
        selectors("namespaces"),
        [
            "/api/v1/namespaces Some(\"metadata.name=a\")",
            "/api/v1/namespaces Some(\"metadata.name=b\")"
        ]
    );
    assert_eq!(
        selectors("nodes"),
        ["/api/v1/nodes Some(\"metadata.name=n1\")"]
    );
    let of_namespace =
        |namespace: &str| format!("/apis/apps/v1/namespaces/{namespace}/replicasets None");
    assert_eq!(selectors("replicasets"), ["a", "b"].map(of_namespace));
    assert_eq!(
        server.log("deployments").len(),
        0,
        "left out, and not needed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_has_the_sources_of_all_shards() {
    let server = server().with_shards();
    for shard in 0..2 {
        server.clear_log();
        let metrics = builder().built_in([BuiltIn::Namespaces]);
        let metrics = metrics.shard(Shard::new(shard, 2).unwrap().by_range());
        let running = start(&server, metrics.build().unwrap(), |watch| watch);
        running.ready().await;
        if running.text().contains("kube_pod_created{") {
            has_labels(&running, JOINED).await;
        }
        assert!(server.log("pods")[0].get("shardSelector").is_some());
        for plural in ["namespaces", "nodes", "replicasets"] {
            assert_eq!(server.log(plural)[0].get("shardSelector"), None, "{plural}");
        }
    }
}
