//! Tests events that change none of the fields for joined labels. After such an event, only the families with changed
//! fields are generated again, and the samples keep their joined labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::*;
use crate::Collector;
use crate::family::Family;
use crate::resource::CollectedResource;

/// A family that reads one path and counts its calls.
fn counted<K: CollectedResource>(
    name: &'static str,
    path: &'static str,
    calls: &Arc<AtomicUsize>,
) -> Family<K> {
    let calls = Arc::clone(calls);
    let family = Family::gauge(name, "Counts its calls.").reads([path]);
    family.generate(move |_: &K, s| {
        calls.fetch_add(1, Ordering::Relaxed);
        s.value(1);
    })
}

struct Feeds {
    metrics: StateMetrics,
    calls: Arc<AtomicUsize>,
    pods: Box<dyn ObjectWriter>,
    namespaces: Box<dyn ObjectWriter>,
    version: u64,
}

// === impl Feeds ===

impl Feeds {
    fn new() -> Self {
        let calls = Arc::default();
        let pods = Collector::<Pod>::new().family(counted("pod_volumes", "spec.volumes", &calls));
        let pods = pods.family(counted("pod_phase", "status.phase", &Arc::default()));
        let namespaces = Collector::<Namespace>::new();
        let namespaces =
            namespaces.family(counted("namespace_finalizers", "spec.finalizers", &calls));
        let joins = "pods=[namespace/team,self/tier,node:name=on,workload:name=workload],namespaces=[self/x]";
        let metrics = StateMetrics::builder()
            .collector(pods)
            .collector(namespaces)
            .join_labels(joins.parse().unwrap())
            .all_fed_by_host()
            .build()
            .unwrap();
        Self {
            calls,
            pods: writer(&metrics, BuiltIn::Pods),
            namespaces: writer(&metrics, BuiltIn::Namespaces),
            metrics,
            version: 0,
        }
    }

    /// Applies the object with a new resource version, and returns how many families were generated.
    fn apply(&mut self, object: &mut Value, protobuf: bool) -> usize {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (writer, kind) = match object["metadata"]["namespace"].as_str() {
            Some(_) => (&mut self.pods, "Pod"),
            None => (&mut self.namespaces, "Namespace"),
        };
        if protobuf {
            let message = kube_protobuf::message_of("v1", kind).unwrap();
            let bytes = kube_protobuf::encode::message(message, object).unwrap();
            writer.apply_protobuf(&bytes).unwrap();
        } else {
            writer.apply_json(object.to_string().as_bytes()).unwrap();
        }
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// The sample of the pod in the family `pod_volumes`, which has only base labels and joined labels.
    fn joined(&self) -> String {
        let lines = lines(&self.metrics);
        let line = lines.iter().find(|line| line.starts_with("pod_volumes{"));
        line.expect("the pod is stored").clone()
    }
}

#[test]
fn an_event_that_changes_no_reference_renders_only_what_has_changed() {
    for protobuf in [false, true] {
        let mut feeds = Feeds::new();
        let mut namespace =
            json!({ "metadata": { "name": "shop", "uid": "n", "labels": { "team": "blue" } } });
        assert_eq!(feeds.apply(&mut namespace, protobuf), 1);
        let mut pod = pod("shop", "p", "n1");
        assert_eq!(feeds.apply(&mut pod, protobuf), 1);
        let before = feeds.joined();
        assert!(
            before.contains("team=\"blue\",tier=\"web\",on=\"n1\""),
            "{before}"
        );

        pod["status"] = json!({ "phase": "Running" });
        assert_eq!(feeds.apply(&mut pod, protobuf), 0, "the status");
        namespace["status"] = json!({ "phase": "Active" });
        assert_eq!(feeds.apply(&mut namespace, protobuf), 0, "the status");
        assert_eq!(feeds.joined(), before);

        pod["metadata"]["labels"] = json!({ "tier": "db" });
        feeds.apply(&mut pod, protobuf);
        let mut pod = owned(pod, "apps/v1", "StatefulSet", "db");
        feeds.apply(&mut pod, protobuf);
        pod["spec"]["nodeName"] = json!("n2");
        feeds.apply(&mut pod, protobuf);
        namespace["metadata"]["labels"]["team"] = json!("red");
        feeds.apply(&mut namespace, protobuf);
        let after = feeds.joined();
        let expected = "team=\"red\",tier=\"db\",on=\"n2\",workload=\"db\"";
        assert!(after.contains(expected), "{after}");

        // Each of the two lists contains the same namespace twice. The first list does not change the label, the second
        // list changes it.
        for team in ["red", "green"] {
            feeds.namespaces.begin_list();
            namespace["metadata"]["labels"]["team"] = json!(team);
            feeds.apply(&mut namespace, protobuf);
            assert_eq!(feeds.apply(&mut namespace, protobuf), 0, "nothing");
            feeds.namespaces.end_list();
            assert!(feeds.joined().contains(team), "{}", feeds.joined());
        }
        feeds.namespaces.begin_list();
        feeds.namespaces.end_list();
        assert!(!feeds.joined().contains("team="), "{}", feeds.joined());
        assert_eq!(feeds.apply(&mut namespace, protobuf), 1);
        assert!(
            feeds.joined().contains("team=\"green\""),
            "{}",
            feeds.joined()
        );
    }
}

#[test]
fn only_sources_that_the_rows_of_a_store_may_refer_to_increase_its_generation() {
    let (team, app) = (Join::namespace_label("team"), Join::workload_label("app"));
    let sources = JoinSources::new([&team, &app]);
    let joins = RowJoins::new(&BuiltIn::Pods.info(), &[&team], &sources).unwrap();
    let after_change = |kind: SourceKind, key: &str| {
        sources.feed(kind).set(0, key, b"\xffx");
        joins.generation(&sources.table())
    };
    let before = joins.generation(&sources.table());
    assert_eq!(after_change(SourceKind::Job, "shop/a"), before);
    assert!(after_change(SourceKind::Namespace, "shop") > before);
}
