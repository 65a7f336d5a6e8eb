//! Tests long lists. The crate collects the objects of a long list in batches, and applies some of these batches on
//! another thread.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use kube_state_metrics::registry::Shard;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{ENCODINGS, namespace, server, start, text};
use crate::support::{ApiServer, Fault, On, eventually, pass};

const COUNT: usize = 1_200;

fn long() -> ApiServer {
    let server = server();
    for number in 0..COUNT {
        server.put("namespaces", namespace(&name(number)));
    }
    server
}

fn name(number: usize) -> String {
    format!("n{number:05}")
}

/// Returns a namespace whose phase depends on its version, so that its samples show which version was applied last.
fn versioned(number: usize, version: usize) -> Value {
    let phase = ["Active", "Terminating"][version % 2];
    let metadata = json!({ "name": name(number), "uid": name(number), "resourceVersion": version.to_string() });
    json!({ "metadata": metadata, "status": { "phase": phase } })
}

/// Returns the events of a streaming list. Some objects change before the list is complete.
fn events() -> Vec<(&'static str, Value)> {
    let mut events = Vec::new();
    for number in 0..COUNT {
        let version = 10 + 2 * number;
        events.push(("ADDED", versioned(number, version)));
        if number % 97 == 5 {
            // When this event arrives, the changed object may be in a batch, may be on the other thread, or may already
            // have a row.
            let changed = number - number % 5;
            events.push(("MODIFIED", versioned(changed, version + 1)));
        }
        if number % 131 == 7 {
            events.push(("DELETED", versioned(number - 3, version + 1)));
        }
        if number % 500 == 9 {
            let broken = json!({ "metadata": { "name": name(number), "creationTimestamp": [5] } });
            events.push(("MODIFIED", broken));
        }
    }
    events
}

/// Returns the exposition of the objects after all events.
fn expected() -> String {
    let mut objects = BTreeMap::new();
    for (kind, object) in events() {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match kind {
            "DELETED" => drop(objects.remove(&name)),
            _ => drop(objects.insert(name, object)),
        }
    }
    let metrics = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
    let metrics = metrics.all_fed_by_host().build().unwrap();
    let mut writer = metrics.feeds_of(BuiltIn::Namespaces).unwrap().remove(0);
    for object in objects.values() {
        let _ = writer.apply_json(object.to_string().as_bytes());
    }
    text(&metrics)
}

#[tokio::test(start_paused = true)]
async fn changes_during_a_list_are_applied_after_the_objects_of_the_list() {
    let expected = expected();
    let server = ApiServer::new();
    let script = Fault::Script(200, |_| {
        let line =
            |kind: &str, object: &Value| format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        let mut lines: Vec<_> = events()
            .iter()
            .map(|(kind, object)| line(kind, object))
            .collect();
        let end = json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "resourceVersion": "100000",
            "annotations": { "k8s.io/initial-events-end": "true" } } });
        lines.push(line("BOOKMARK", &end));
        // The body is sent in pieces that end in the middle of lines.
        let bytes = Bytes::from(lines.concat());
        let pieces: Vec<_> = (0..bytes.len())
            .step_by(10_007)
            .map(|at| Ok(bytes.slice(at..bytes.len().min(at + 10_007))))
            .collect();
        stream::iter(pieces).chain(stream::pending()).boxed()
    });
    server.fault(On::StreamingList, "namespaces", usize::MAX, script);
    let metrics = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
    let running = start(&server, metrics.build().unwrap(), |watch| watch);
    running.ready().await;
    assert_eq!(running.text(), expected);
    // Each object that does not decode must be counted once.
    let stats = running.metrics.stores()[0].stats();
    assert_eq!(stats.decode_field_errors, 3, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn long_lists_in_each_encoding_and_form_have_all_objects() {
    for protobuf in ENCODINGS {
        for streaming in ENCODINGS {
            let server = long();
            server.set_protobuf(protobuf);
            let configure = |watch: kube_state_metrics::source::watch::WatchBuilder| {
                watch.streaming_lists(streaming).page_size(700)
            };
            let running = super::synced(&server, configure).await;
            server.put("namespaces", namespace("later"));
            running.agrees().await;
            // The relist must remove the row of a deleted object.
            server.delete("namespaces", "", &name(COUNT / 2));
            server.expire_watches("");
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_list_that_breaks_off_changes_nothing() {
    for streaming in ENCODINGS {
        let server = long();
        let running = super::synced(&server, |watch| watch.streaming_lists(streaming)).await;
        let before = running.text();
        for number in 0..COUNT {
            server.delete("namespaces", "", &name(number));
        }
        for number in 0..COUNT {
            server.put("namespaces", namespace(&format!("other{number:05}")));
        }
        eventually("the changes arrive", || running.text() != before).await;
        running.agrees().await;
        let before = running.text();
        server.fault(On::Any, "namespaces", usize::MAX, Fault::Cut(80_000));
        server.expire_watches("");
        pass(Duration::from_secs(60)).await;
        assert_eq!(running.text(), before, "no list was complete");
        server.heal();
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_knows_the_objects_without_rows_of_a_long_list() {
    let server = long();
    for number in 0..10 {
        let broken =
            json!({ "metadata": { "name": format!("n{number}"), "creationTimestamp": [5] } });
        server.put("namespaces", broken);
    }
    let shard = Shard::new(0, 2).unwrap();
    let metrics = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
    let metrics = metrics.shard(shard).build().unwrap();
    let interval = Duration::from_secs(300);
    let running = start(&server, metrics, |watch| watch.audit_interval(interval));
    running.ready().await;
    pass(interval * 4).await;
    for metric in ["difference", "relists_total"] {
        assert_eq!(running.audit_of("*v1.Namespace", metric), 0.0, "{metric}");
    }
}
