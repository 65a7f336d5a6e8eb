//! Tests which generators an update of a row calls for each kind of change to an object.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::family::{Collector, Family};
use crate::limits::Limits;
use crate::resource::{CollectedResource, ResourceInfo};
use crate::store::schema::{Allowlists, Schema};
use crate::store::update_plan::UpdatePlan;
use crate::store::{CacheStore, MetricsStore, Writer};

/// The number of calls of each family's generator.
#[derive(Clone, Default)]
struct Calls(Arc<[AtomicUsize; 6]>);

// === impl Calls ===

impl Calls {
    /// Returns a family that counts the calls of its generator. The samples of the family show a field.
    fn family<K: CollectedResource>(
        &self,
        at: usize,
        reads: Option<&'static [&'static str]>,
        value: impl Fn(&K) -> String + Send + Sync + 'static,
    ) -> Family<K> {
        let calls = self.clone();
        let family = Family::gauge(format!("family_{at}"), "Counts its calls.");
        let family = match reads {
            Some(reads) => family.reads(reads.iter().copied()),
            None => family,
        };
        family.generate(move |object: &K, s| {
            calls.0[at].fetch_add(1, Ordering::Relaxed);
            s.label("value", value(object)).value(1);
        })
    }

    /// The number of calls of each family since the last call of this method.
    fn take(&self) -> [usize; 6] {
        std::array::from_fn(|at| self.0[at].swap(0, Ordering::Relaxed))
    }
}

fn collector(calls: &Calls) -> Collector<Pod> {
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Collector::new().families([
        calls.family(0, Some(&["metadata.labels"]), |pod: &Pod| {
            format!("{:?}", pod.metadata.labels)
        }),
        calls.family(1, Some(&["spec.nodeName"]), move |pod: &Pod| {
            node(pod).unwrap_or_default()
        }),
        calls.family(2, Some(&["status.phase", "spec.nodeName"]), move |pod| {
            format!("{:?} {:?}", phase(pod), node(pod))
        }),
        calls.family(3, Some(&["status.conditions"]), |pod: &Pod| {
            let status = pod.status.as_ref();
            status
                .map_or(0, |status| status.conditions.iter().flatten().count())
                .to_string()
        }),
        calls.family(4, Some(&[]), |pod: &Pod| {
            pod.metadata.uid.clone().unwrap_or_default()
        }),
        calls.family(5, Some(&["metadata.resourceVersion"]), |pod: &Pod| {
            pod.metadata.resource_version.clone().unwrap_or_default()
        }),
    ])
}

fn pod(version: u64) -> Value {
    json!({
        "metadata": { "namespace": "n", "name": "a", "uid": "u", "resourceVersion": version.to_string() },
        "spec": { "nodeName": "node-1" },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn apply<K: CollectedResource>(writer: &mut Writer<K>, object: &Value, protobuf: bool) {
    if !protobuf {
        return writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
    let message = writer.store().schema().message().unwrap();
    let bytes = kube_protobuf::encode::message(message, object).unwrap();
    writer.apply_protobuf(&bytes).unwrap();
}

#[test]
fn an_event_calls_only_the_generators_of_what_has_changed() {
    for protobuf in [false, true] {
        let calls = Calls::default();
        let store = MetricsStore::new(collector(&calls));
        let mut writer = store.writer();
        let mut state = pod(1);
        apply(&mut writer, &state, protobuf);
        assert_eq!(calls.take(), [1; 6]);
        let mut version = 1;
        let mut calls_of = |change: &dyn Fn(&mut Value)| {
            version += 1;
            state["metadata"]["resourceVersion"] = version.to_string().into();
            change(&mut state);
            apply(&mut writer, &state, protobuf);
            let stored = store.get("n/a").unwrap();
            let fresh = MetricsStore::new(collector(&Calls::default()));
            fresh.add(&serde_json::from_value(state.clone()).unwrap());
            assert_eq!(stored, fresh.get("n/a").unwrap());
            calls.take()
        };
        assert_eq!(calls_of(&|_| {}), [0, 0, 0, 0, 0, 1], "the version");
        let unread = calls_of(&|pod| pod["status"]["podIP"] = "10.0.0.1".into());
        assert_eq!(unread, [0, 0, 0, 0, 0, 1], "a field that no family reads");
        let labels = calls_of(&|pod| pod["metadata"]["labels"] = json!({ "a": "b" }));
        assert_eq!(labels, [1, 0, 0, 0, 0, 1], "labels");
        let phase = calls_of(&|pod| pod["status"]["phase"] = "Failed".into());
        assert_eq!(phase, [0, 0, 1, 0, 0, 1], "the phase");
        let node = calls_of(&|pod| pod["spec"]["nodeName"] = "node-2".into());
        assert_eq!(node, [0, 1, 1, 0, 0, 1], "the specification");
        let heartbeat = "2026-11-29T12:00:00Z";
        let condition =
            calls_of(&|pod| pod["status"]["conditions"][0]["lastProbeTime"] = heartbeat.into());
        assert_eq!(condition, [0, 0, 0, 1, 0, 1], "conditions");
        let no_status = calls_of(&|pod| drop(pod.as_object_mut().unwrap().remove("status")));
        assert_eq!(no_status, [0, 0, 1, 1, 0, 1], "the whole status");
        let other = calls_of(&|pod| pod["metadata"]["uid"] = "another".into());
        assert_eq!(other, [1; 6], "another object of the same name");
    }
}

#[test]
fn an_event_or_a_list_that_changes_nothing_calls_no_generator() {
    let calls = Calls::default();
    let families = collector(&calls);
    let families = families.iter().take(5).cloned();
    let store = MetricsStore::new(Collector::new().families(families));
    let mut writer = store.writer();
    apply(&mut writer, &pod(1), true);
    calls.take();
    apply(&mut writer, &pod(1), true);
    apply(&mut writer, &pod(2), true);
    writer.begin_list();
    apply(&mut writer, &pod(1), true);
    writer.end_list();
    assert_eq!(calls.take(), [0; 6]);
    assert_eq!(store.get("n/a").unwrap().resource_version, Some(1));
    let stats = store.stats();
    assert_eq!((stats.objects, stats.changed, stats.unchanged), (1, 1, 3));
    assert_eq!((stats.stale, stats.swept), (0, 0));
    apply(&mut writer, &pod(2), true);
    apply(&mut writer, &pod(1), true);
    assert_eq!((calls.take(), store.stats().stale), ([0; 6], 1));
    // A delete removes the row with its fingerprints. An object that does not decode also removes the row.
    writer.delete_key("n", "a");
    apply(&mut writer, &pod(3), true);
    assert_eq!(calls.take(), [1, 1, 1, 1, 1, 0]);
    let broken = br#"{ "metadata": { "name": "a", "namespace": "n" }, "status": { "phase": 1 } }"#;
    writer.apply_json(broken).unwrap_err();
    assert_eq!(store.stats().objects, 0);
}

#[test]
fn generators_without_a_declaration_are_called_for_each_event() {
    let calls = Calls::default();
    let undeclared = calls.family(0, None, |pod: &Pod| format!("{:?}", pod.metadata.labels));
    let declared = calls.family(1, Some(&["spec.nodeName"]), |_: &Pod| String::new());
    let store = MetricsStore::new(Collector::new().families([undeclared, declared]));
    let mut writer = store.writer();
    for version in 1..4 {
        apply(&mut writer, &pod(version), true);
    }
    assert_eq!(calls.take()[..2], [3, 1]);
}

#[test]
fn typed_objects_are_always_rendered_and_have_no_fingerprints() {
    let calls = Calls::default();
    let store = MetricsStore::new(collector(&calls));
    let mut writer = store.writer();
    apply(&mut writer, &pod(1), true);
    let mut other = pod(1);
    other["status"]["phase"] = "Failed".into();
    writer.apply_object(&serde_json::from_value(other).unwrap());
    calls.take();
    apply(&mut writer, &pod(1), true);
    assert_eq!(calls.take(), [1; 6]);
    let samples = store.get("n/a").unwrap().samples;
    assert!(samples.contains("Running"), "{samples}");
}

#[test]
fn an_object_from_which_something_was_dropped_is_counted_for_each_event() {
    let calls = Calls::default();
    let repeated = Family::gauge("repeated", "Twice the same series.")
        .reads(["metadata.labels"])
        .generate(|_: &Pod, s| {
            s.value(1);
            s.value(2);
        });
    let store = MetricsStore::new(collector(&calls).family(repeated));
    let mut writer = store.writer();
    for version in 1..4 {
        apply(&mut writer, &pod(version), true);
    }
    assert_eq!((store.stats().duplicates, calls.take()), (3, [3; 6]));
}

#[test]
fn the_limit_on_the_text_of_an_object_holds_for_updates() {
    // Each value has up to 900 bytes, and the limit for both families together is 1000 bytes.
    let family = |name, field: &'static str| {
        Family::gauge(name, "Shows a field.")
            .reads([field])
            .generate(move |pod: &Pod, s| {
                let spec = pod.spec.as_ref();
                let value = match field {
                    "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
                    _ => pod.status.as_ref().and_then(|status| status.phase.clone()),
                };
                s.label("value", value).value(1);
            })
    };
    let new = || {
        let limits = Limits {
            text_per_object: 1000,
            ..Limits::default()
        };
        let mut schema = Schema::new(ResourceInfo::of::<Pod>()).with_limits(limits);
        let families = [
            family("node", "spec.nodeName"),
            family("phase", "status.phase"),
        ];
        let (_, labels, families) = Collector::new().families(families).into_parts();
        schema.add(labels, &[], families, &Allowlists::default());
        MetricsStore::with_schema(schema, true)
    };
    let store = new();
    let mut writer = store.writer();
    for (version, (node, phase)) in [
        (10, 10),
        (900, 10),
        (10, 900),
        (900, 900),
        (10, 10),
        (11, 10),
    ]
    .into_iter()
    .enumerate()
    {
        let mut state = pod(version as u64 + 1);
        state["spec"]["nodeName"] = "n".repeat(node).into();
        state["status"]["phase"] = "p".repeat(phase).into();
        apply(&mut writer, &state, true);
        let fresh = new();
        fresh.add(&serde_json::from_value(state).unwrap());
        assert_eq!(store.get("n/a"), fresh.get("n/a"));
    }
    assert_eq!(store.stats().over_text_limit, 1);
}

#[test]
fn a_type_that_requires_fields_is_decoded_as_a_whole() {
    use kube::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    #[kube(group = "acme.dev", version = "v1", kind = "Widget", namespaced)]
    struct WidgetSpec {
        color: String,
    }

    let calls = Calls::default();
    let store = MetricsStore::new(Collector::new().families([
        calls.family(0, Some(&["spec.color"]), |widget: &Widget| {
            widget.spec.color.clone()
        }),
        calls.family(1, Some(&["metadata.labels"]), |widget: &Widget| {
            format!("{:?}", widget.metadata.labels)
        }),
    ]));
    let mut writer = store.writer();
    for (label, color) in [
        ("a", "red"),
        ("b", "red"),
        ("b", "blue"),
        ("b", "blue"),
        ("c", "blue"),
    ] {
        let widget = json!({
            "metadata": { "namespace": "n", "name": "a", "labels": { "l": label } }, "spec": { "color": color }
        });
        apply(&mut writer, &widget, false);
        let samples = store.get("n/a").unwrap().samples;
        assert!(
            samples.contains(color) && samples.contains(&format!("{label:?}").replace('"', "\\\""))
        );
    }
    let stats = store.stats();
    assert_eq!(
        (stats.changed, stats.unchanged, stats.decode_field_errors),
        (4, 1, 0)
    );
}

#[test]
fn the_heartbeat_of_a_node_renders_one_family() {
    let store = MetricsStore::new(crate::families::nodes());
    let mut writer = store.writer();
    let node = |version: u64, second: u64| {
        json!({
            "metadata": { "name": "a", "uid": "u", "resourceVersion": version.to_string() },
            "status": {
                "capacity": { "cpu": "4" },
                "conditions": [{
                    "type": "Ready", "status": "True", "lastHeartbeatTime": format!("2026-11-29T12:00:{second:02}Z"),
                }],
            },
        })
    };
    for protobuf in [false, true] {
        apply(&mut writer, &node(1, 1), protobuf);
        apply(&mut writer, &node(1, 1), protobuf);
        let before = store.get("a");
        let plan = plan(&store, &node(1, 1), &node(2, 2));
        let families = plan.families.iter().map(|&at| {
            let active = &store.schema().families()[at];
            active.family.descriptor().name().to_owned()
        });
        assert_eq!(families.collect::<Vec<_>>(), ["kube_node_status_condition"]);
        apply(&mut writer, &node(1, 2), protobuf);
        assert_eq!(store.get("a"), before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn rows_keep_their_fingerprints_when_other_rows_come_and_go(
        steps in prop::collection::vec((0..2000_u32, any::<bool>()), 1..1500)
    ) {
        let calls = Calls::default();
        let families = [calls.family(0, Some(&["metadata.labels"]), |_: &Node| String::new())];
        let store = MetricsStore::new(Collector::new().families(families));
        let mut writer = store.writer();
        let mut stored = std::collections::BTreeSet::new();
        let node = |name: u32| json!({ "metadata": { "name": format!("{name:04}") } });
        // The rows fill several pages, so that the steps split and join pages.
        for name in (0..600).map(|at| at * 3) {
            stored.insert(name);
            apply(&mut writer, &node(name), true);
        }
        for (name, is_delete) in steps {
            if is_delete && stored.remove(&name) {
                writer.delete_key("", &format!("{name:04}"));
            } else if !is_delete && stored.insert(name) {
                apply(&mut writer, &node(name), true);
            }
        }
        calls.take();
        for name in stored {
            apply(&mut writer, &node(name), true);
        }
        prop_assert_eq!(calls.take(), [0; 6]);
    }
}

/// Returns the [`UpdatePlan`] for an event that changes an object from `before` to `after`.
fn plan<'s, K: CollectedResource>(
    store: &'s MetricsStore<K>,
    before: &Value,
    after: &Value,
) -> &'s UpdatePlan {
    let schema = store.schema();
    let fingerprints = |object: &Value| {
        let json = object.to_string();
        let encoded = crate::decode::Encoding::Json.object(json.as_bytes());
        schema
            .scanner()
            .unwrap()
            .scan(encoded)
            .unwrap()
            .fingerprints
    };
    let stored = fingerprints(before);
    let changed = fingerprints(after).changed_since(stored.first(schema.layout().groups));
    schema.plan(changed.unwrap())
}

/// The number of families that are generated again after a change of an object, and the number of all families.
fn generated<K: CollectedResource>(
    collector: Collector<K>,
    before: &Value,
    change: impl Fn(&mut Value),
) -> [usize; 2] {
    let store = MetricsStore::new(collector);
    let mut after = before.clone();
    change(&mut after);
    let plan = plan(&store, before, &after);
    [plan.families.len(), store.schema().families().len()]
}

/// If these numbers change, also change docs/explanation/performance.md.
#[test]
fn usual_events_of_built_in_kinds_generate_few_families() {
    let mut pod = pod(1);
    pod["spec"]["containers"] = json!([{ "name": "c" }]);
    pod["status"]["containerStatuses"] = json!([{ "name": "c", "ready": true, "restartCount": 0 }]);
    let pods = |change: &dyn Fn(&mut Value)| generated(crate::families::pods(), &pod, change);
    assert_eq!(
        pods(&|pod| pod["metadata"]["resourceVersion"] = "2".into()),
        [0, 58]
    );
    assert_eq!(
        pods(&|pod| pod["metadata"]["labels"] = json!({ "a": "b" })),
        [0, 58]
    );
    let heartbeat = "2026-11-29T12:00:00Z";
    let condition = pods(&|pod| pod["status"]["conditions"][0]["lastProbeTime"] = heartbeat.into());
    assert_eq!(condition, [10, 58]);
    let restart = pods(&|pod| pod["status"]["containerStatuses"][0]["restartCount"] = 1.into());
    assert_eq!(restart, [14, 58]);
    assert_eq!(
        pods(&|pod| pod["status"]["phase"] = "Failed".into()),
        [7, 58]
    );

    let mut node =
        json!({ "metadata": { "name": "a" }, "status": { "conditions": [{ "type": "Ready" }] } });
    node["metadata"]["resourceVersion"] = "1".into();
    let nodes = |change: &dyn Fn(&mut Value)| generated(crate::families::nodes(), &node, change);
    let heartbeat =
        nodes(&|node| node["status"]["conditions"][0]["lastHeartbeatTime"] = heartbeat.into());
    assert_eq!(heartbeat[0], 1);
    let images = nodes(&|node| node["status"]["images"] = json!([{ "sizeBytes": 1 }]));
    assert_eq!(images[0], 0);
}
