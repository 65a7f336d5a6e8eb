//! Tests a server that sends only the metadata of objects, although the watch requested whole objects or tables. For
//! example, a misconfigured proxy changes the requests. No sample may change, and the health must name the problem.

use std::time::Duration;

use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::source::health::{FailureReason, ResourceState};
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{ENCODINGS, Running, SYNCED, config_map, metrics, namespace, start, synced, text};
use crate::support::{ApiServer, Fault, On, eventually, pass};

const INVALID: ResourceState = ResourceState::Failing(FailureReason::DecodeError);
const MESSAGE: &str = "only the metadata of objects (PartialObjectMetadata)";

/// The combinations of encodings and lists: whether the watch requests protobuf, and whether it requests streaming
/// lists.
const MODES: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// Waits until a resource fails because of objects without their fields. Checks that the samples stay the same, and
/// that the other resources are up to date.
async fn refused(running: &Running, resource: &str, before: &str) {
    let is_refused = || {
        assert_eq!(text(&running.metrics), before);
        let health = running.health_of(resource);
        let error = health.last_error.unwrap_or_default();
        health.state == INVALID && error.contains(MESSAGE)
    };
    eventually("the objects are refused", is_refused).await;
    let plural = resource.split('.').next().unwrap();
    let requests = running.server.log(plural).len();
    pass(Duration::from_secs(300)).await;
    assert_eq!(text(&running.metrics), before);
    assert_eq!(running.health_of(resource).state, INVALID);
    let requests = running.server.log(plural).len() - requests;
    assert!((1..=60).contains(&requests), "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn lists_with_only_metadata_remove_no_samples() {
    for (protobuf, streaming) in MODES {
        for is_empty in [false, true] {
            let server = super::server().with_protobuf();
            let configure = |watch: kube_state_metrics::source::watch::WatchBuilder| {
                watch.protobuf(protobuf).streaming_lists(streaming)
            };
            let running = synced(&server, configure).await;
            let before = running.text();
            if is_empty {
                for name in ["a", "b"] {
                    server.mute_watches("namespaces");
                    server.delete("namespaces", "", name);
                }
            }
            server.send_only_metadata_of(&["namespaces"]);
            server.expire_watches("namespaces");
            refused(&running, "namespaces", &before).await;
            assert_eq!(running.health_of("configmaps").state, SYNCED);
            server.send_only_metadata_of(&[]);
            server.put("configmaps", config_map("a", "new"));
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_with_only_metadata_is_refused_in_any_form() {
    for list in [
        r#"{"metadata":{"resourceVersion":"300"},"items":[],"kind":"PartialObjectMetadataList"}"#,
        r#"{"kind":"P\u0061rtialObjectMetadataList","metadata":{"resourceVersion":"300"},"items":[]}"#,
        r#"{"kind":"NamespaceList","metadata":{"resourceVersion":"300"},
            "items":[{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}]}"#,
        r#"{"kind":"List","metadata":{"resourceVersion":"300"},
            "items":[{"metadata":{"name":"a"},"kind":"PartialObjectMetadata"}]}"#,
    ] {
        let server = super::server();
        let running = synced(&server, |watch| watch.streaming_lists(false)).await;
        let before = running.text();
        server.fault(On::List, "namespaces", usize::MAX, Fault::Body(list));
        server.expire_watches("namespaces");
        refused(&running, "namespaces", &before).await;
        server.heal();
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_items_with_only_metadata_remove_no_samples() {
    // So many items are applied by another thread.
    let server = super::server();
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    let before = running.text();
    let items = (0..3_000).map(|at| metadata_of(&namespace(&format!("n{at}"))));
    let items: Vec<_> = items.collect();
    let list = json!({ "kind": "List", "metadata": { "resourceVersion": "300" }, "items": items });
    let list: &'static str = list.to_string().leak();
    server.fault(On::List, "namespaces", usize::MAX, Fault::Body(list));
    server.expire_watches("namespaces");
    refused(&running, "namespaces", &before).await;
}

#[tokio::test(start_paused = true)]
async fn events_with_only_metadata_remove_no_samples() {
    for protobuf in ENCODINGS {
        for kind in ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] {
            let server = super::server().with_protobuf();
            let running = synced(&server, |watch| watch.protobuf(protobuf)).await;
            let before = running.text();
            let mut partial = metadata_of(&server.objects("namespaces")[0]);
            partial["metadata"]["resourceVersion"] = json!("900");
            server.clear_log();
            server.send_event("namespaces", kind, &partial);
            let is_refused = || {
                assert_eq!(running.text(), before, "{kind}");
                let error = running.health_of("namespaces").last_error;
                error.is_some_and(|error| error.contains(MESSAGE))
            };
            eventually("the event is refused", is_refused).await;
            assert_eq!(running.text(), before, "{kind}");
            let is_resumed = || running.server.open_watches("namespaces") == 1;
            eventually("the watch is resumed", is_resumed).await;
            server.put("namespaces", namespace("new"));
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_objects_with_only_metadata_remove_no_samples() {
    for protobuf in ENCODINGS {
        let server = super::server().with_protobuf();
        let running = synced(&server, |watch| watch.protobuf(protobuf)).await;
        let before = running.text();
        let mut partial = metadata_of(&server.objects("namespaces")[0]);
        partial["metadata"]["resourceVersion"] = json!("900");
        partial["metadata"]["annotations"] = json!({ "x": "y".repeat(200_000) });
        server.send_event("namespaces", "MODIFIED", &partial);
        for _ in 0..600 {
            pass(Duration::from_millis(100)).await;
            assert_eq!(running.text(), before);
        }
        running.agrees().await;
    }
}

#[cfg(feature = "custom-resources")]
#[tokio::test(start_paused = true)]
async fn only_metadata_of_custom_resources_and_definitions_removes_nothing() {
    use super::custom::{DEFINITIONS, configured, definition, discover, widget, with_definitions};

    for streaming in [true, false] {
        let server = with_definitions();
        server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
        server.put(DEFINITIONS, definition(&["v1"]));
        server.put("widgets", widget("one", 3));
        let metrics = configured(kube_state_metrics::registry::Shard::default());
        let running = start(&server, metrics, |watch| {
            discover(watch.streaming_lists(streaming))
        });
        running.ready().await;
        let before = running.text();
        assert!(before.contains("widget_size{"), "{before}");
        for (plural, resource) in [
            ("widgets", "widgets.v1.acme.dev"),
            (
                DEFINITIONS,
                "customresourcedefinitions.apiextensions.k8s.io",
            ),
        ] {
            let mut partial = metadata_of(&server.objects(plural)[0]);
            partial["metadata"]["resourceVersion"] = json!("900");
            for kind in ["MODIFIED", "DELETED"] {
                server.send_event(plural, kind, &partial);
                for _ in 0..600 {
                    pass(Duration::from_millis(100)).await;
                    assert_eq!(running.text(), before, "{kind} of {plural}");
                }
            }
            server.send_only_metadata_of(&[plural]);
            server.expire_watches(plural);
            refused(&running, resource, &before).await;
            server.send_only_metadata_of(&[]);
            let is_synced = || running.health_of(resource).state == SYNCED;
            eventually("the resource is synced again", is_synced).await;
        }
        server.put("widgets", widget("two", 4));
        let is_shown = || running.text().matches("widget_size{").count() == 2;
        eventually("the changes are shown", is_shown).await;
    }
}

/// Lists that lack objects, but have no token of the next page.
const INCOMPLETE: [&str; 2] = [
    r#"{"kind":"NamespaceList","metadata":{"resourceVersion":"300","remainingItemCount":2},"items":[]}"#,
    r#"{"kind":"NamespaceList","metadata":{"resourceVersion":"300","remainingItemCount":1,"continue":""},
        "items":[{"metadata":{"name":"a"}}]}"#,
];

#[tokio::test(start_paused = true)]
async fn a_list_that_lacks_objects_without_a_token_removes_no_samples() {
    for list in INCOMPLETE {
        let server = super::server();
        let running = synced(&server, |watch| watch.streaming_lists(false)).await;
        let before = running.text();
        server.fault(On::List, "namespaces", usize::MAX, Fault::Body(list));
        server.expire_watches("namespaces");
        pass(Duration::from_secs(60)).await;
        assert_eq!(running.text(), before);
        let health = running.health_of("namespaces");
        assert_eq!(health.state, INVALID);
        let error = health.last_error.unwrap_or_default();
        assert!(error.contains("remainingItemCount"), "{error}");
        server.heal();
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_no_pause_gets_few_requests() {
    let server = super::server();
    let running = synced(&server, |watch| watch).await;
    server.fault(On::Any, "namespaces", usize::MAX, Fault::RetryAfter(429, 0));
    server.clear_log();
    server.cut_watches("namespaces");
    pass(Duration::from_secs(600)).await;
    let requests = server.log("namespaces").len();
    assert!(
        (5..=40).contains(&requests),
        "{requests} requests in ten minutes"
    );
    server.heal();
    running.agrees().await;
}

fn secrets() -> StateMetrics {
    let builder = StateMetrics::builder().built_in([BuiltIn::Secrets]);
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_metadata_instead_of_tables_removes_no_samples() {
    for streaming in [true, false] {
        let server = super::server().with_protobuf();
        server.serve("/api/v1", "v1", "secrets", "Secret");
        let secret = json!({ "metadata": { "namespace": "a", "name": "tls" }, "type": "tls" });
        server.put("secrets", secret);
        let running = start(&server, secrets(), |watch| watch.streaming_lists(streaming));
        running.ready().await;
        let before = text(&running.metrics);
        let partial = metadata_of(&server.objects("secrets")[0]);
        server.send_event("secrets", "MODIFIED", &partial);
        pass(Duration::from_secs(60)).await;
        assert_eq!(text(&running.metrics), before);
        assert_eq!(running.health_of("secrets").state, SYNCED);
        server.send_only_metadata_of(&["secrets"]);
        server.expire_watches("secrets");
        refused(&running, "secrets", &before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_metadata_of_the_statefulset_does_not_change_the_shard() {
    let server = super::server();
    let set = json!({ "metadata": { "namespace": "monitoring", "name": "ksm" }, "spec": { "replicas": 3 } });
    server.put("statefulsets", set);
    server.put(
        "pods",
        json!({ "metadata": {
            "namespace": "monitoring", "name": "ksm-1", "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ksm", "uid": "2", "controller": true }
            ]
        } }),
    );
    let running = start(&server, metrics(), |watch| {
        watch.shard_of_pod("monitoring", "ksm-1")
    });
    running.ready().await;
    let before = running.text();
    let partial = metadata_of(&server.objects("statefulsets")[0]);
    let mut without_kind = partial.clone();
    without_kind.as_object_mut().unwrap().remove("kind");
    let holds = async |server: &ApiServer| {
        pass(Duration::from_secs(60)).await;
        assert_eq!(running.handle.shard().total(), 3);
        assert_eq!(running.text(), before);
        server.heal();
    };
    for object in [&partial, &without_kind] {
        server.send_event("statefulsets", "MODIFIED", object);
        holds(&server).await;
    }
    server.send_only_metadata_of(&["statefulsets"]);
    server.expire_watches("statefulsets");
    holds(&server).await;
    server.send_only_metadata_of(&[]);
    for items in [json!([partial]), json!([without_kind])] {
        let list = json!({ "metadata": { "resourceVersion": "300" }, "items": items });
        let list: &'static str = list.to_string().leak();
        for on in [On::StreamingList, On::List] {
            server.fault(on, "statefulsets", usize::MAX, Fault::Body(list));
        }
        server.expire_watches("statefulsets");
        holds(&server).await;
    }
}

/// A family whose samples contain the kind of the object. A test replaces `OTHER` by further labels.
const KIND_FAMILY: &str = r#"
spec:
  resources:
  - groupVersionKind: { group: "", version: v1, kind: ConfigMap }
    metricNamePrefix: own
    labelsFromPath: { name: [metadata, name], namespace: [metadata, namespace] }
    metrics:
    - name: kind
      help: The kind.
      labelsFromPath: { kind: [kind], version: [apiVersion] }
      each: { type: Info, info: { path: [], labelsFromPath: { value: [metadata, name] OTHER } } }
"#;

#[tokio::test(start_paused = true)]
async fn objects_have_their_kind_however_they_arrive() {
    // Without the label `mode`, the family reads only metadata and the kind.
    for other in ["", ", mode: [data, mode]"] {
        let config = Config::parse(&KIND_FAMILY.replace("OTHER", other)).unwrap();
        for (protobuf, streaming) in MODES {
            let builder = StateMetrics::builder().custom_resources(&config);
            let metrics = builder.known_kinds(KnownKind::built_in()).build().unwrap();
            let server = super::server().with_protobuf();
            let running = start(&server, metrics, |watch| {
                watch.protobuf(protobuf).streaming_lists(streaming)
            });
            running.ready().await;
            let kinds = || {
                let text = running.text();
                let lines = text.lines().filter(|line| line.starts_with("own_kind{"));
                let kinds = lines.map(|line| {
                    line.contains(r#",kind="ConfigMap""#) && line.contains(r#",version="v1""#)
                });
                kinds.collect::<Vec<_>>()
            };
            assert_eq!(kinds(), [true; 12], "{protobuf} {streaming} {other}");
            let mut changed = config_map("a", "new");
            changed["data"] = json!({ "mode": "fast" });
            server.put("configmaps", changed);
            eventually("the new object has its kind", || kinds() == [true; 13]).await;
        }
    }
}
