//! Tests of large and expensive objects: they do not block the runtime, and events stay in order.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};
use serde_json::{Value, json};

use super::{ENCODINGS, config_map, expected, start, synced};
use crate::support::{ApiServer, eventually, pass};

/// A server that answers in protobuf, unless a request prefers JSON.
fn server() -> ApiServer {
    super::server().with_protobuf()
}

/// An object whose JSON is larger than `bytes`.
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
        // A family whose generator is slow for a large object.
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
        // The object arrives in a paged list, and then as an event. In protobuf, smaller objects are large.
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
            // The runtime of this test has one thread.
            assert!(longest < TIME / 2, "{name}: held for {longest:?}");
        }
    }
}

/// Config maps with expressions that compare each part of an annotation with each other part, in several families.
fn with_expressions() -> StateMetrics {
    const PARTS: &str = "object.metadata.annotations['parts'].split(',')";
    let family = |number: u32| {
        format!(
            "    - {{ name: f{number}, help: Pairs., each: {{ type: Gauge, gauge: {{ path: [metadata], expr: \
             \"{PARTS}.map(a, {PARTS}.filter(b, a == b).size()).size() + {number}\" }} }} }}\n"
        )
    };
    let families = (0..FAMILIES).map(family).collect::<String>();
    let config = format!(
        "spec:\n  resources:\n  - groupVersionKind: {{ group: '', version: v1, kind: ConfigMap }}\n    \
         metricNamePrefix: own\n    labelsFromPath: {{ name: [metadata, name] }}\n    metrics:\n{families}"
    );
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .custom_resources(&Config::parse(&config).unwrap())
        .known_kinds(KnownKind::built_in())
        .build()
        .unwrap()
}

const FAMILIES: u32 = 8;

/// A small object on which the expressions of [`with_expressions`] spend much time.
fn expensive(name: &str, parts: usize) -> Value {
    let parts: Vec<_> = (0..parts).map(|number| number.to_string()).collect();
    let mut object = config_map("a", name);
    object["metadata"]["annotations"] = json!({ "parts": parts.join(",") });
    object
}

#[tokio::test]
async fn other_tasks_run_while_an_expensive_object_is_applied() {
    let server = server();
    // The object arrives in a paged list, and then as an event.
    server.put("configmaps", expensive("listed", 150));
    server.set_streaming_lists(false);
    let running = start(&server, with_expressions(), |watch| watch);
    for name in ["listed", "new"] {
        if name == "new" {
            server.put("configmaps", expensive("new", 150));
        }
        let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        // All families have their samples, with the complete value.
        let shown = |text: &str| {
            (0..FAMILIES).all(|family| {
                let sample = text.lines().find(|line| {
                    line.starts_with(&format!("own_f{family}{{"))
                        && line.contains(&format!("name=\"{name}\""))
                });
                sample.is_some_and(|line| line.ends_with(&format!(" {}", 150 + family)))
            })
        };
        eventually("the expensive object shows", || {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            shown(&running.text())
        })
        .await;
        // The runtime of this test has one thread.
        let whole = began.elapsed();
        assert!(
            longest < whole / 3,
            "{name}: held for {longest:?} of {whole:?}"
        );
    }
    // A list and an event, each applied once.
    let stores = running.metrics.stores();
    let dropped = stores.iter().map(|store| store.stats().duplicates);
    assert_eq!(dropped.sum::<u64>(), 0);
    // The expressions fail only for objects without the annotation.
    let errors = running.metrics.custom_resources().errors();
    let examples = errors.iter().flat_map(|own| &own.examples);
    let unexpected: Vec<_> = examples
        .filter(|text| !text.contains("a field is missing"))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[tokio::test(start_paused = true)]
async fn expensive_objects_keep_the_order_of_events() {
    let server = server();
    let running = start(&server, with_expressions(), |watch| watch);
    running.ready().await;
    // All events arrive together.
    for round in 0..3 {
        server.put("configmaps", expensive(&format!("b{round}"), 60));
        server.put("configmaps", config_map("a", &format!("c{round}")));
        server.delete("configmaps", "a", &format!("c{round}"));
        server.put("configmaps", config_map("a", &format!("b{round}")));
        server.put("configmaps", expensive(&format!("d{round}"), 60));
        server.delete("configmaps", "a", &format!("d{round}"));
        server.put("configmaps", expensive(&format!("e{round}"), 60));
    }
    eventually("the last object shows", || {
        running.text().contains("own_f7{customresource_group=\"\",customresource_kind=\"ConfigMap\",customresource_version=\"v1\",name=\"e2\"} 67")
    })
    .await;
    let text = running.text();
    let names = |start: &str| {
        let lines = text.lines().filter(|line| line.starts_with(start));
        let names = lines.filter_map(|line| line.split('"').rev().nth(1));
        let new = names.filter(|name| !name.starts_with("cm"));
        new.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        names("kube_configmap_info{"),
        ["b0", "b1", "b2", "e0", "e1", "e2"]
    );
    assert_eq!(names("own_f0{"), ["e0", "e1", "e2"]);
}

#[tokio::test(start_paused = true)]
async fn large_objects_keep_the_order_of_events() {
    for protobuf in ENCODINGS {
        let server = server();
        let running = synced(&server, |watch| watch.protobuf(protobuf)).await;
        for round in 0..5 {
            // All events arrive together.
            for bytes in [100, 70_000, 10, 40_000, 300_000] {
                server.put("configmaps", large(&format!("b{round}"), bytes));
                server.put("configmaps", config_map("a", &format!("c{round}")));
                server.delete("configmaps", "a", &format!("c{round}"));
            }
            server.put("configmaps", large(&format!("d{round}"), 100_000));
            server.delete("configmaps", "a", &format!("d{round}"));
            running.agrees().await;
        }
        // Large objects in lists, with small objects between them.
        server.expire_watches("configmaps");
        server.put("configmaps", large("e", 100_000));
        pass(Duration::from_secs(60)).await;
        running.agrees().await;
        assert_eq!(running.text(), expected(&server));
    }
}
