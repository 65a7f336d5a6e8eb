//! Scrapes while a writer changes objects. In each exposition, the joined labels must match the objects that other
//! families of the same exposition describe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::exposition::Exposition;

/// One change by the writer. The first number selects an object. The numbers in an `Option` are the new content; `None`
/// removes the object.
#[derive(Clone, Debug)]
enum Step {
    /// Sets the label of a namespace, or removes the namespace.
    Namespace(u8, Option<u8>),
    Node(u8, Option<u8>),
    Deployment(u8, Option<u8>),
    /// Sets the Deployment of a ReplicaSet, or removes the ReplicaSet.
    ReplicaSet(u8, Option<u8>),
    /// Sets the node and the ReplicaSet of a pod, or removes the pod.
    Pod(u8, Option<(u8, u8)>),
    /// Writes a list of namespaces with these labels.
    Namespaces(Vec<Option<u8>>),
    Nodes(Vec<Option<u8>>),
}

const NAMESPACES: u8 = 3;
const NODES: u8 = 4;
const DEPLOYMENTS: u8 = 3;
const SETS: u8 = 5;
const PODS: u8 = 40;

/// The writers of all kinds.
struct World {
    pods: Box<dyn ObjectWriter>,
    namespaces: Box<dyn ObjectWriter>,
    nodes: Box<dyn ObjectWriter>,
    sets: Box<dyn ObjectWriter>,
    deployments: Box<dyn ObjectWriter>,
}

/// The objects that the families of an exposition describe.
#[derive(Default)]
struct Objects {
    teams: HashMap<String, String>,
    zones: HashMap<String, String>,
    apps: HashMap<String, String>,
    /// The Deployment of each ReplicaSet.
    sets: HashMap<String, String>,
    /// The node of each pod.
    nodes_of_pods: HashMap<String, String>,
    /// The ReplicaSet of each pod.
    sets_of_pods: HashMap<String, String>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let label = || prop::option::weighted(0.8, 0..4_u8);
    let labels = |count: u8| prop::collection::vec(label(), usize::from(count));
    let step = prop_oneof![
        2 => (0..NAMESPACES, label()).prop_map(|(at, label)| Step::Namespace(at, label)),
        2 => (0..NODES, label()).prop_map(|(at, label)| Step::Node(at, label)),
        2 => (0..DEPLOYMENTS, label()).prop_map(|(at, label)| Step::Deployment(at, label)),
        2 => (0..SETS, prop::option::weighted(0.8, 0..DEPLOYMENTS))
            .prop_map(|(at, owner)| Step::ReplicaSet(at, owner)),
        4 => (0..PODS, prop::option::weighted(0.9, (0..NODES, 0..SETS)))
            .prop_map(|(at, refers)| Step::Pod(at, refers)),
        1 => labels(NAMESPACES).prop_map(Step::Namespaces),
        1 => labels(NODES).prop_map(Step::Nodes),
    ];
    prop::collection::vec(step, 1..150)
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .resources(["pods", "namespaces", "nodes", "replicasets", "deployments"])
        .allow_metrics([
            "^kube_pod_(created|info|owner|status_phase)$",
            "^kube_replicaset_owner$",
            "_labels$",
        ])
        .label_allowlists(
            "namespaces=[team],nodes=[zone],deployments=[app]"
                .parse()
                .unwrap(),
        )
        .join_labels(
            "pods=[namespace/team,node/zone,workload/app,workload:name=workload]"
                .parse()
                .unwrap(),
        )
        .all_fed_by_host()
        .build()
        .unwrap()
}

/// The namespace of the object with the number `at`.
fn namespace_of(at: u8) -> String {
    format!("ns-{}", at % NAMESPACES)
}

impl World {
    fn new(metrics: &StateMetrics) -> Self {
        Self {
            pods: writer(metrics, BuiltIn::Pods),
            namespaces: writer(metrics, BuiltIn::Namespaces),
            nodes: writer(metrics, BuiltIn::Nodes),
            sets: writer(metrics, BuiltIn::ReplicaSets),
            deployments: writer(metrics, BuiltIn::Deployments),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Namespace(at, label) => {
                set(
                    &mut self.namespaces,
                    "",
                    &format!("ns-{at}"),
                    "team",
                    *label,
                );
            }
            Step::Node(at, label) => set(&mut self.nodes, "", &format!("n-{at}"), "zone", *label),
            Step::Deployment(at, label) => {
                let namespace = namespace_of(*at);
                set(
                    &mut self.deployments,
                    &namespace,
                    &format!("d-{at}"),
                    "app",
                    *label,
                );
            }
            Step::ReplicaSet(at, None) => {
                self.sets.delete_key(&namespace_of(*at), &format!("s-{at}"))
            }
            Step::ReplicaSet(at, Some(owner)) => {
                let set = object(&namespace_of(*at), &format!("s-{at}"), &json!({}));
                let set = owned(set, "apps/v1", "Deployment", &format!("d-{owner}"));
                apply(&mut self.sets, &set);
            }
            Step::Pod(at, None) => self.pods.delete_key(&namespace_of(*at), &format!("p-{at}")),
            Step::Pod(at, Some((node, set))) => {
                let pod = pod(&namespace_of(*at), &format!("p-{at}"), &format!("n-{node}"));
                let pod = owned(created(pod), "apps/v1", "ReplicaSet", &format!("s-{set}"));
                apply(&mut self.pods, &pod);
            }
            Step::Namespaces(labels) => list(&mut self.namespaces, "ns", "team", labels),
            Step::Nodes(labels) => list(&mut self.nodes, "n", "zone", labels),
        }
    }
}

/// Sets a label of an object, or removes the object. If the number is 0, the object gets no label.
fn set(
    writer: &mut Box<dyn ObjectWriter>,
    namespace: &str,
    name: &str,
    key: &str,
    label: Option<u8>,
) {
    match label {
        None => writer.delete_key(namespace, name),
        Some(0) => apply(writer, &object(namespace, name, &json!({}))),
        Some(label) => apply(
            writer,
            &object(namespace, name, &json!({ key: format!("v{label}") })),
        ),
    }
}

fn list(writer: &mut Box<dyn ObjectWriter>, prefix: &str, key: &str, labels: &[Option<u8>]) {
    writer.begin_list();
    for (at, label) in labels.iter().enumerate() {
        if label.is_some() {
            set(writer, "", &format!("{prefix}-{at}"), key, *label);
        }
    }
    writer.end_list();
}

impl Objects {
    fn of(exposition: &Exposition) -> Self {
        let mut objects = Self::default();
        for sample in exposition.samples() {
            let labels: HashMap<_, _> = sample.labels().collect();
            let get = |name: &str| labels.get(name).map(|value| value.to_string());
            let key = |name: &str| format!("{}/{}", get("namespace").unwrap(), get(name).unwrap());
            match sample.name() {
                "kube_namespace_labels" => {
                    insert(&mut objects.teams, get("namespace"), get("label_team"))
                }
                "kube_node_labels" => insert(&mut objects.zones, get("node"), get("label_zone")),
                "kube_deployment_labels" => {
                    insert(&mut objects.apps, Some(key("deployment")), get("label_app"));
                }
                "kube_replicaset_owner" if labels["owner_is_controller"] == "true" => {
                    insert(
                        &mut objects.sets,
                        Some(key("replicaset")),
                        get("owner_name"),
                    );
                }
                "kube_pod_info" => {
                    insert(&mut objects.nodes_of_pods, Some(key("pod")), get("node"))
                }
                "kube_pod_owner" if labels["owner_is_controller"] == "true" => {
                    insert(
                        &mut objects.sets_of_pods,
                        Some(key("pod")),
                        get("owner_name"),
                    );
                }
                _ => {}
            }
        }
        objects
    }

    /// The joined labels that a pod must have.
    fn joined(&self, namespace: &str, pod: &str) -> [Option<String>; 4] {
        let key = format!("{namespace}/{pod}");
        let set = self.sets_of_pods.get(&key);
        let workload = set.and_then(|set| self.sets.get(&format!("{namespace}/{set}")));
        let app = workload.and_then(|name| self.apps.get(&format!("{namespace}/{name}")));
        let zone = self
            .nodes_of_pods
            .get(&key)
            .and_then(|node| self.zones.get(node));
        [self.teams.get(namespace), zone, app, workload].map(Option::<&String>::cloned)
    }
}

fn insert(map: &mut HashMap<String, String>, key: Option<String>, value: Option<String>) {
    map.extend(key.zip(value));
}

/// Compares the joined labels of each pod with the labels that result from the other objects of the exposition.
fn check(exposition: &Exposition) {
    let objects = Objects::of(exposition);
    let of_pods = exposition
        .samples()
        .filter(|sample| sample.name().starts_with("kube_pod_"));
    for sample in of_pods {
        let labels: HashMap<_, _> = sample.labels().collect();
        let joined = ["team", "zone", "app", "workload"]
            .map(|name| labels.get(name).map(|value| value.to_string()));
        assert_eq!(
            joined,
            objects.joined(&labels["namespace"], &labels["pod"]),
            "{sample}"
        );
    }
}

/// Compares the compressed exposition, which uses the cache of compressed blocks, with the plain exposition.
#[cfg(feature = "gzip")]
fn check_gzip(exposition: Exposition) {
    use std::io::Read;

    let plain = exposition.to_string();
    let encoded = exposition.encoded(crate::exposition::Encoding::Gzip);
    let compressed = encoded.collect::<Vec<_>>().concat();
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(&compressed[..]);
    reader.read_to_string(&mut text).unwrap();
    assert!(text == plain, "{text}\n\n{plain}");
}

#[cfg(not(feature = "gzip"))]
fn check_gzip(_exposition: Exposition) {}

proptest! {
    #![proptest_config(Config { cases: 6, ..Config::default() })]
    #[test]
    fn each_exposition_is_a_join_over_one_snapshot(steps in steps()) {
        let metrics = metrics();
        let mut world = World::new(&metrics);
        for step in &steps {
            world.take(step);
            let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
            check(&exposition);
            check_gzip(exposition);
        }
    }
}

#[test]
fn a_scraper_beside_a_writer_sees_each_change_in_one_step() {
    let metrics = metrics();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let (is_done, mut world) = (AtomicBool::new(false), World::new(&metrics));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut scrapes = 0;
            while !is_done.load(Ordering::Relaxed) || scrapes < 50 {
                let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
                check(&exposition);
                check_gzip(exposition);
                scrapes += 1;
            }
        });
        for _ in 0..8 {
            let steps = steps().new_tree(&mut runner).unwrap().current();
            steps.iter().for_each(|step| world.take(step));
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
