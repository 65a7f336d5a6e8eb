//! Tests *expensive* objects: objects for which the evaluation of expressions takes long. The evaluation must not block
//! the runtime, and events must stay in order.

use std::time::{Duration, Instant};

use fastrand::Rng;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{chaos, config_map, server, start, text};
use crate::support::{ApiServer, eventually, pass};

/// Returns a registry of config maps with several families. The value of the expression of each family is the value of
/// [`PAIRS`] plus the number of the family.
fn with_expressions() -> StateMetrics {
    expressions().build().unwrap()
}

/// Returns the builder of [`with_expressions`].
pub(super) fn expressions() -> Builder {
    builder((0..FAMILIES).map(|number| (format!("f{number}"), format!("{PAIRS} + {number}"))))
}

/// An expression whose value is the number of comma-separated parts of an annotation. The evaluation takes long,
/// because the expression compares each part with every part.
const PAIRS: &str = "object.metadata.annotations['parts'].split(',').map(a, \
                     object.metadata.annotations['parts'].split(',').filter(b, a == b).size()).size()";

/// Returns a registry of config maps. Each pair in `families` is the name and the expression of a family.
fn with_families(families: impl IntoIterator<Item = (String, String)>) -> StateMetrics {
    builder(families).build().unwrap()
}

/// Returns the builder of [`with_families`].
fn builder(families: impl IntoIterator<Item = (String, String)>) -> Builder {
    let family = |(name, expr)| {
        format!(
            "    - {{ name: {name}, help: Of a test., each: {{ type: Gauge, gauge: {{ path: [metadata], expr: \
             \"{expr}\" }} }} }}\n"
        )
    };
    let families = families.into_iter().map(family).collect::<String>();
    // Namespaces have the same families, with the prefix `own_ns`.
    let resource = |kind, prefix| {
        format!(
            "  - groupVersionKind: {{ group: '', version: v1, kind: {kind} }}\n    metricNamePrefix: {prefix}\n    \
             labelsFromPath: {{ name: [metadata, name] }}\n    metrics:\n{families}"
        )
    };
    let resources = [
        resource("ConfigMap", "own"),
        resource("Namespace", "own_ns"),
    ];
    let config = format!("spec:\n  resources:\n{}", resources.concat());
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .custom_resources(&Config::parse(&config).unwrap())
        .known_kinds(KnownKind::built_in())
}

const FAMILIES: u32 = 8;

/// Returns a small object for which the expressions of [`with_expressions`] take long.
pub(super) fn expensive(name: &str, parts: usize) -> Value {
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

/// Returns an expensive object that has a value for [`with_value`].
fn expensive_with(name: &str, value: usize) -> Value {
    let mut object = expensive(name, 150);
    object["metadata"]["annotations"]["value"] = json!(value.to_string());
    object
}

/// Returns a builder for config maps with two families. Both families read the annotations, so a changed value causes
/// an evaluation of both. The evaluation of `works` takes long, and its samples show the value. The expression of
/// `fails` always fails.
fn with_value() -> Builder {
    let value = format!("{PAIRS} * 0 + int(object.metadata.annotations['value'])");
    builder([
        (
            String::from("fails"),
            String::from("object.metadata.annotations.absent"),
        ),
        (String::from("works"), value),
    ])
}

/// The number of errors of the family `fails`.
fn failures(metrics: &StateMetrics) -> u64 {
    let errors = metrics.custom_resources().errors();
    let own = errors.into_iter().find(|own| own.family == "own_fails");
    own.unwrap().count
}

/// The value of the sample of `works` for a config map.
fn value_of(text: &str, name: &str) -> Option<usize> {
    let mut lines = text.lines();
    let own = format!("name=\"{name}\"");
    let line = lines.find(|line| line.starts_with("own_works{") && line.contains(&own))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn an_expensive_object_that_changes_often_does_not_delay_other_objects() {
    const EVENTS: usize = 100;
    let server = server().with_protobuf();
    let running = start(&server, with_value().build().unwrap(), |watch| watch);
    running.ready().await;
    let before = failures(&running.metrics);
    for value in 0..EVENTS {
        server.put("configmaps", expensive_with("busy", value));
    }
    // This object is large, too.
    for value in 0..EVENTS / 4 {
        let mut object = expensive_with("large", value);
        object["data"] = json!({ "text": "x".repeat(100_000) });
        server.put("configmaps", object);
    }
    server.put("configmaps", config_map("a", "other"));
    eventually("the other object shows", || {
        running.text().contains("configmap=\"other\"")
    })
    .await;
    let evaluated = failures(&running.metrics) - before;
    assert!(
        evaluated < 30,
        "{evaluated} evaluations before the other object"
    );
    eventually("the last versions show", || {
        let text = running.text();
        value_of(&text, "busy") == Some(EVENTS - 1)
            && value_of(&text, "large") == Some(EVENTS / 4 - 1)
    })
    .await;
}

#[tokio::test]
async fn a_deleted_expensive_object_takes_the_row_of_its_name_with_it() {
    let server = server();
    let running = start(&server, with_value().build().unwrap(), |watch| watch);
    running.ready().await;
    // The events of the first object are lost, so its row has the uid of another object.
    let mut first = config_map("a", "twice");
    first["metadata"]["uid"] = json!("first");
    server.put("configmaps", first);
    eventually("the first object shows", || {
        running.text().contains("configmap=\"twice\"")
    })
    .await;
    let event = |kind: &str, object: &Value| {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!("1000000");
        format!("{}\n", json!({ "type": kind, "object": object }))
    };
    let mut second = expensive_with("twice", 1);
    second["metadata"]["uid"] = json!("second");
    let burst = event("MODIFIED", &second) + &event("DELETED", &second);
    server.send_raw("configmaps", burst);
    eventually("no object has the name", || {
        !running.text().contains("configmap=\"twice\"")
    })
    .await;
}

/// Changes a random config map or namespace as a user would.
fn change(server: &ApiServer, dice: &mut Rng) {
    let (plural, namespace) = match dice.bool() {
        true => ("configmaps", "a"),
        false => ("namespaces", ""),
    };
    let name = format!("{plural}{}", dice.u32(0..4));
    let exists = |object: &Value| object["metadata"]["name"] == *name;
    let mut object = expensive_with(&name, dice.usize(0..1000));
    if plural == "namespaces" {
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("namespace");
    }
    match dice.u32(0..8) {
        0 | 1 if server.objects(plural).iter().any(exists) => {
            server.delete(plural, namespace, &name);
        }
        // Without annotations, the object is not expensive.
        0..2 => {
            object["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
            server.put(plural, object);
        }
        2 => {
            object["data"] = json!({ "text": "x".repeat(100_000) });
            server.put(plural, object);
        }
        _ => drop(server.put(plural, object)),
    }
}

#[tokio::test(start_paused = true)]
async fn after_faults_the_samples_of_expensive_objects_are_right() {
    for sequence in 0..4 {
        let mut dice = Rng::with_seed(sequence);
        let server = server().bookmark_every(Duration::from_secs(dice.u64(5..120)));
        server.set_protobuf(dice.bool());
        let streaming = dice.bool();
        let running = start(&server, with_value().build().unwrap(), |watch| {
            let watch = watch.streaming_lists(streaming);
            watch.audit_interval(Duration::from_secs(30))
        });
        for _ in 0..20 {
            match dice.u32(0..8) {
                0 => chaos::trouble(&server, &mut dice),
                1 => chaos::disturb(&server, &mut dice),
                _ => (0..dice.u32(1..5)).for_each(|_| change(&server, &mut dice)),
            }
            pass(Duration::from_millis(dice.u64(0..5_000))).await;
        }
        server.heal();
        server.set_down(false);
        let expected = || {
            let metrics = with_value().all_fed_by_host().build().unwrap();
            for writer in &mut metrics.feeds() {
                for object in server.objects(writer.resource().plural()) {
                    writer.apply_json(object.to_string().as_bytes()).unwrap();
                }
            }
            text(&metrics)
        };
        let expected = expected();
        eventually("the samples are right", || running.text() == expected).await;
    }
}
