//! Tests large objects. Large objects must not block the runtime, and events must stay in order.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube_state_metrics::{Collector, Family, StateMetrics};
use serde_json::{Value, json};

use super::{ENCODINGS, config_map, expected, start, synced};
use crate::support::{ApiServer, eventually, pass};

/// Returns a server that answers in protobuf if the request accepts protobuf.
fn server() -> ApiServer {
    super::server().with_protobuf()
}

/// Returns an object whose JSON is larger than `bytes`.
fn large(name: &str, bytes: usize) -> Value {
    let mut object = config_map("a", name);
    object["metadata"]["annotations"] = json!({ "large": "x".repeat(bytes) });
    object
}

#[tokio::test]
async fn other_tasks_run_while_a_large_object_is_applied() {
    const TIME: Duration = Duration::from_millis(600);
    for protobuf in ENCODINGS {
        let server = server();
        // The generator of this family is slow for large objects.
        let slow = Family::gauge("slow", "Takes long.").generate(|map: &ConfigMap, s| {
            if map.metadata.annotations.is_some() {
                thread::sleep(TIME);
            }
            s.value(1);
        });
        let metrics = StateMetrics::builder()
            .collector(Collector::new().family(slow))
            .build()
            .unwrap();
        // A large object first arrives in a paged list, and then in an event. In protobuf, an object of fewer bytes
        // already counts as large.
        let bytes = if protobuf { 40_000 } else { 80_000 };
        server.put("configmaps", large("listed", bytes));
        server.set_streaming_lists(false);
        let running = start(&server, metrics, |watch| watch.protobuf(protobuf));
        for name in ["listed", "new"] {
            if name == "new" {
                server.put("configmaps", large("new", bytes));
            }
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            let shown = format!("slow{{namespace=\"a\",configmap=\"{name}\"}} 1");
            eventually("the large object shows", || {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                running.text().contains(&shown)
            })
            .await;
            // The runtime of this test has only one thread. If the generator blocked this thread, the task that
            // measures the time would run late.
            assert!(longest < TIME / 2, "{name}: held for {longest:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_objects_keep_the_order_of_events() {
    for protobuf in ENCODINGS {
        let server = server();
        let running = synced(&server, |watch| watch.protobuf(protobuf)).await;
        for round in 0..5 {
            // The server sends all events at the same time.
            for bytes in [100, 70_000, 10, 40_000, 300_000] {
                server.put("configmaps", large(&format!("b{round}"), bytes));
                server.put("configmaps", config_map("a", &format!("c{round}")));
                server.delete("configmaps", "a", &format!("c{round}"));
            }
            server.put("configmaps", large(&format!("d{round}"), 100_000));
            server.delete("configmaps", "a", &format!("d{round}"));
            running.agrees().await;
        }
        // The relist has large objects, and small objects between the large objects.
        server.expire_watches("configmaps");
        server.put("configmaps", large("e", 100_000));
        pass(Duration::from_secs(60)).await;
        running.agrees().await;
        assert_eq!(running.text(), expected(&server));
    }
}

/// Returns a registry of config maps with a family that takes `time` for each object with annotations.
fn slow(time: Duration) -> StateMetrics {
    let slow = Family::gauge("slow", "Takes long.").generate(move |map: &ConfigMap, s| {
        if map.metadata.annotations.is_some() {
            thread::sleep(time);
        }
        s.value(1);
    });
    let collector = Collector::new().family(slow);
    StateMetrics::builder()
        .collector(collector)
        .build()
        .unwrap()
}

#[tokio::test]
async fn small_objects_do_not_wait_for_large_objects_that_change_often() {
    const TIME: Duration = Duration::from_millis(100);
    const OBJECTS: usize = 10;
    const VERSIONS: u32 = 4;
    for protobuf in ENCODINGS {
        let server = server();
        let running = start(&server, slow(TIME), |watch| watch.protobuf(protobuf));
        running.ready().await;
        for version in 0..VERSIONS {
            for number in 0..OBJECTS {
                let mut object = large(&format!("l{number}"), 200_000);
                object["data"] = json!({ "version": version.to_string() });
                server.put("configmaps", object);
            }
        }
        server.put("configmaps", config_map("a", "small"));
        let began = Instant::now();
        eventually("the small object shows", || {
            running.text().contains("configmap=\"small\"")
        })
        .await;
        let waited = began.elapsed();
        assert!(waited < TIME * 8, "protobuf {protobuf}: {waited:?}");
        let health = running.health_of("configmaps");
        assert!(health.unapplied_objects > 0, "{health:?}");
        eventually("the large objects show", || {
            (0..OBJECTS).all(|number| {
                let shown = format!("slow{{namespace=\"a\",configmap=\"l{number}\"}} 1");
                running.text().contains(&shown)
            })
        })
        .await;
        // Only the newest version of each object was applied.
        let most = TIME * OBJECTS as u32 * 3;
        assert!(began.elapsed() < most, "{:?}", began.elapsed());
        eventually("all objects are applied", || {
            let health = running.health_of("configmaps");
            health.unapplied_objects == 0 && health.unapplied_seconds.is_none()
        })
        .await;
    }
}
