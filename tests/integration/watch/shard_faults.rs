//! Tests objects from which the shard cannot be derived: a missing or unreadable StatefulSet, and objects that were not
//! requested.

use std::time::Duration;

use serde_json::json;

use super::log::Log;
use super::sharding::{big_server, exporter, stateful_set};
use super::{metrics, start};
use crate::support::{Fault, On, eventually, pass};

#[tokio::test(start_paused = true)]
async fn objects_that_were_not_requested_do_not_change_the_shard() {
    let mut other_namespace = stateful_set(Some(1));
    other_namespace["metadata"]["namespace"] = json!("zzz");
    let mut other_kind = stateful_set(Some(1));
    other_kind["kind"] = json!("Deployment");
    let mut other_group = stateful_set(Some(1));
    other_group["apiVersion"] = json!("apps.example.com/v1");
    for other in [other_namespace, other_kind, other_group] {
        let (log, _guard) = Log::begin();
        let server = big_server();
        server.put("statefulsets", stateful_set(Some(3)));
        server.put("pods", exporter("ksm", "ksm-1"));
        let running = start(&server, metrics(), |watch| {
            watch.shard_of_pod("monitoring", "ksm-1")
        });
        running.ready().await;
        let before = running.config_maps();
        for event in ["MODIFIED", "ADDED"] {
            server.send_event("statefulsets", event, &other);
            pass(Duration::from_secs(60)).await;
        }
        let item = stateful_set(Some(3));
        let list = json!({ "metadata": { "resourceVersion": "300" }, "items": [item, other] });
        let list: &'static str = list.to_string().leak();
        for on in [On::StreamingList, On::List] {
            server.fault(on, "statefulsets", usize::MAX, Fault::Body(list));
        }
        server.expire_watches("statefulsets");
        pass(Duration::from_secs(60)).await;
        assert_eq!(running.handle.shard().total(), 3, "{other}");
        assert_eq!(running.config_maps(), before);
        assert_eq!(log.lines(&["another namespace or another kind"]).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_statefulset_that_does_not_decode_is_named() {
    let (log, _guard) = Log::begin();
    let server = big_server();
    server.put("pods", exporter("ksm", "ksm-1"));
    let mut broken = stateful_set(None);
    broken["spec"]["replicas"] = json!("4");
    server.put("statefulsets", broken.clone());
    let running = start(&server, metrics(), |watch| {
        watch.shard_of_pod("monitoring", "ksm-1")
    });
    let sharding = || running.health.snapshot().sharding.unwrap_or_default();
    eventually("the StatefulSet cannot be read", || {
        sharding().contains("cannot read the StatefulSet ksm: cannot decode")
    })
    .await;
    pass(Duration::from_secs(60)).await;
    assert!(!running.health.snapshot().ready);
    server.put("statefulsets", stateful_set(Some(3)));
    running.ready().await;
    for _ in 0..3 {
        server.put("statefulsets", broken.clone());
        pass(Duration::from_secs(60)).await;
    }
    assert_eq!(running.handle.shard().total(), 3);
    assert!(running.health.snapshot().ready);
    assert_eq!(log.lines(&["the shard stays the same"]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_object_instead_of_the_pod_does_not_set_the_shard() {
    for (field, value) in [
        ("/metadata/name", "ksm-2"),
        ("/metadata/namespace", "zzz"),
        ("/kind", "ConfigMap"),
    ] {
        let server = big_server();
        server.put("statefulsets", stateful_set(Some(3)));
        let mut pod = exporter("ksm", "ksm-1");
        pod["kind"] = json!("Pod");
        server.put("pods", pod.clone());
        *pod.pointer_mut(field).unwrap() = json!(value);
        let body: &'static str = pod.to_string().leak();
        server.fault(On::Any, "pods", usize::MAX, Fault::Body(body));
        let running = start(&server, metrics(), |watch| {
            watch.shard_of_pod("monitoring", "ksm-1")
        });
        let sharding = || running.health.snapshot().sharding.unwrap_or_default();
        eventually("another object", || {
            sharding().contains("another object than the requested pod")
        })
        .await;
        server.heal();
        running.ready().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_before_the_shard_is_known() {
    let server = big_server();
    let running = start(&server, metrics(), |watch| {
        watch.shard_of_pod("monitoring", "ksm-1")
    });
    let sharding = || running.health.snapshot().sharding.unwrap_or_default();
    eventually("no pod", || {
        sharding().contains("not found: no such object")
    })
    .await;
    let mut pod = exporter("ksm", "ksm-1");
    pod["metadata"]["ownerReferences"] = json!([]);
    server.put("pods", pod);
    eventually("no owner", || {
        sharding().contains("no StatefulSet controls the pod")
    })
    .await;
    server.put("pods", exporter("other", "ksm-1"));
    eventually("another name", || {
        sharding().contains("does not end with the ordinal of a replica")
    })
    .await;
    let forbidden = Fault::Status(403, "Forbidden");
    server.fault(On::Any, "statefulsets", usize::MAX, forbidden);
    server.put("pods", exporter("ksm", "ksm-1"));
    eventually("no permission to read the set", || {
        sharding().contains("cannot read the StatefulSet ksm: forbidden: ")
    })
    .await;
    server.heal();
    eventually("no set", || {
        sharding().contains("the StatefulSet ksm does not exist")
    })
    .await;
    assert!(!running.health.snapshot().ready);
    assert_eq!(running.text(), "");
    assert_eq!(server.log("configmaps").len(), 0);
    server.put("statefulsets", stateful_set(Some(2)));
    running.ready().await;
    assert!(running.health.snapshot().sharding.is_none());
    assert!(running.config_maps().len() > 50);
    assert!(running.task.is_running());
}
