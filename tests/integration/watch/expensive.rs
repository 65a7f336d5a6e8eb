//! Tests *expensive* objects: objects for which the evaluation of expressions takes long. The evaluation must not block
//! the runtime, and events must stay in order.

use std::time::{Duration, Instant};

use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{config_map, server, start};
use crate::support::{eventually, pass};

/// Returns a registry of config maps with several families. The value of the expression of each family is the value of
/// [`PAIRS`] plus the number of the family.
fn with_expressions() -> StateMetrics {
    with_families((0..FAMILIES).map(|number| (format!("f{number}"), format!("{PAIRS} + {number}"))))
}

/// An expression whose value is the number of comma-separated parts of an annotation. The evaluation takes long,
/// because the expression compares each part with every part.
const PAIRS: &str = "object.metadata.annotations['parts'].split(',').map(a, \
                     object.metadata.annotations['parts'].split(',').filter(b, a == b).size()).size()";

/// Returns a registry of config maps. Each pair in `families` is the name and the expression of a family.
fn with_families(families: impl IntoIterator<Item = (String, String)>) -> StateMetrics {
    let family = |(name, expr)| {
        format!(
            "    - {{ name: {name}, help: Of a test., each: {{ type: Gauge, gauge: {{ path: [metadata], expr: \
             \"{expr}\" }} }} }}\n"
        )
    };
    let families = families.into_iter().map(family).collect::<String>();
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

/// Returns a small object for which the expressions of [`with_expressions`] take long.
fn expensive(name: &str, parts: usize) -> Value {
    let parts: Vec<_> = (0..parts).map(|number| number.to_string()).collect();
    let mut object = config_map("a", name);
    object["metadata"]["annotations"] = json!({ "parts": parts.join(",") });
    object
}

#[tokio::test]
async fn other_tasks_run_while_an_expensive_object_is_applied() {
    let server = server().with_protobuf();
    // An expensive object first arrives in a paged list, and then in an event.
    server.put("configmaps", expensive("listed", 150));
    server.set_streaming_lists(false);
    let running = start(&server, with_expressions(), |watch| watch);
    for name in ["listed", "new"] {
        if name == "new" {
            server.put("configmaps", expensive("new", 150));
        }
        let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        // All families must have their samples, with the correct value.
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
        // The runtime of this test has only one thread. If the evaluation blocked this thread, the task that measures
        // the time would run late.
        let whole = began.elapsed();
        assert!(
            longest < whole / 3,
            "{name}: held for {longest:?} of {whole:?}"
        );
    }
    // No store has received the object of the list or of the event twice.
    let stores = running.metrics.stores();
    let dropped = stores.iter().map(|store| store.stats().duplicates);
    assert_eq!(dropped.sum::<u64>(), 0);
    // The expressions may fail only for objects without the annotation.
    let errors = running.metrics.custom_resources().errors();
    let examples = errors.iter().flat_map(|own| &own.examples);
    let unexpected: Vec<_> = examples
        .filter(|text| !text.contains("a field is missing"))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[tokio::test(start_paused = true)]
async fn expensive_objects_keep_the_order_of_events() {
    let server = server().with_protobuf();
    let running = start(&server, with_expressions(), |watch| watch);
    running.ready().await;
    // The server sends all events at the same time.
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
async fn the_work_of_events_far_apart_does_not_add_up() {
    const EVENTS: u64 = 20;
    let server = server();
    // For each object, one expression fails, and the evaluation of the other expression takes long. But the evaluation
    // is short enough that the object is not moved to another thread.
    let running = start(
        &server,
        with_families([
            (String::from("fails"), String::from("object.absent")),
            (String::from("works"), String::from(PAIRS)),
        ]),
        |watch| watch,
    );
    running.ready().await;
    let errors = || {
        let errors = running.metrics.custom_resources().errors();
        errors
            .iter()
            .find(|own| own.family == "own_fails")
            .unwrap()
            .count
    };
    let before = errors();
    for event in 0..EVENTS {
        server.put("configmaps", expensive(&format!("e{event}"), 30));
        pass(Duration::from_secs(10)).await;
    }
    let lines = running.text();
    let lines = lines
        .lines()
        .filter(|line| line.starts_with("own_works{") && line.ends_with(" 30"));
    assert_eq!(lines.count() as u64, EVENTS);
    // If the samples of an object were generated twice, the object would cause two errors.
    assert_eq!(errors() - before, EVENTS);
}
