//! Compares a store that has five joined labels with a store that has none. Joined labels come from other objects, such
//! as the namespace of a pod.

use criterion::{BatchSize, Criterion};
use kube_state_metrics::exposition::Encoding;
use kube_state_metrics::registry::Builder;
use kube_state_metrics::store::ObjectWriter;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::{PODS, Setup, scrape, support};

const JOINS: &str = "pods=[namespace/team,namespace/cost,node/topology.kubernetes.io/zone=zone,\
                     workload/app.kubernetes.io/part-of=app,workload:name=workload]";

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let plain = |builder: Builder| builder.collector(support::collector()).all_fed_by_host();
    let joined = plain(StateMetrics::builder().join_labels(JOINS.parse().expect("JOINS is valid")));
    let joined = joined.build().expect("the built-in families are valid");
    let mut pods = joined.feed().expect("pods are registered");
    pods.begin_list();
    setup.pods.iter().for_each(|pod| pods.apply_object(pod));
    pods.end_list();
    feed_sources(&joined, setup);
    // The first scrape computes the joined labels of each page, so it is not measured.
    scrape(&joined, Encoding::Identity);
    memory(setup, &joined);

    let mut group = c.benchmark_group("joined labels of 10,000 pods");
    group.sample_size(10);
    for (name, metrics) in [("without", &setup.metrics), ("with", &joined)] {
        for (encoding, encoding_name) in [(Encoding::Identity, "text"), (Encoding::Gzip, "gzip")] {
            group.bench_function(format!("scrape {name}, {encoding_name}"), |b| {
                b.iter(|| scrape(metrics, encoding));
            });
        }
    }
    let metrics =
        plain(StateMetrics::builder().join_labels(JOINS.parse().expect("JOINS is valid")));
    let metrics = metrics.build().expect("the built-in families are valid");
    let mut pods = writer(&metrics, BuiltIn::Pods);
    pods.begin_list();
    for at in 0..PODS {
        let mut pod = support::pod(at, 0);
        pod["metadata"]["namespace"] = json!(if at % 2 == 0 { "a" } else { "b" });
        apply(&mut pods, &pod);
    }
    pods.end_list();
    let mut namespaces = writer(&metrics, BuiltIn::Namespaces);
    scrape(&metrics, Encoding::Gzip);
    let mut state = 0;
    let mut relabel = || {
        state += 1;
        let labels = json!({ "team": format!("team-{state}"), "cost": "4711" });
        apply(&mut namespaces, &named("", "a", &labels));
    };
    group.bench_function("relabel a namespace of 5,000 pods", |b| {
        b.iter(&mut relabel)
    });
    group.bench_function(
        "gzip scrape after a relabelled namespace of 5,000 pods",
        |b| {
            b.iter_batched(
                &mut relabel,
                |()| scrape(&metrics, Encoding::Gzip),
                BatchSize::PerIteration,
            );
        },
    );
    group.finish();
}

/// Adds the objects from which labels are joined: the namespaces, nodes and workloads of the pods.
fn feed_sources(metrics: &StateMetrics, setup: &Setup) {
    let mut namespaces = writer(metrics, BuiltIn::Namespaces);
    let mut nodes = writer(metrics, BuiltIn::Nodes);
    let mut sets = writer(metrics, BuiltIn::ReplicaSets);
    let mut deployments = writer(metrics, BuiltIn::Deployments);
    for pod in &setup.pods {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        apply(
            &mut namespaces,
            &named("", namespace, &json!({ "team": namespace, "cost": "4711" })),
        );
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let zone = json!({ "topology.kubernetes.io/zone": "eu-west-1a" });
        apply(&mut nodes, &named("", node.unwrap_or_default(), &zone));
        for owner in pod.metadata.owner_references.iter().flatten() {
            let app = owner.name.rsplit_once('-').map_or("", |(app, _)| app);
            let mut set = named(namespace, &owner.name, &json!({}));
            set["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": app, "uid": app, "controller": true,
            }]);
            apply(&mut sets, &set);
            let labels = json!({ "app.kubernetes.io/part-of": "shop" });
            apply(&mut deployments, &named(namespace, app, &labels));
        }
    }
}

fn memory(setup: &Setup, joined: &StateMetrics) {
    let bytes = |metrics: &StateMetrics| metrics.stores()[0].stats().memory_bytes as f64;
    let (plain, joined) = (bytes(&setup.metrics), bytes(joined));
    println!(
        "memory of five joined labels: {:.0} bytes per pod, {:.1} % of the store",
        (joined - plain) / PODS as f64,
        (joined - plain) * 100.0 / plain,
    );
}

fn named(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "labels": labels } })
}

fn writer(metrics: &StateMetrics, resource: BuiltIn) -> Box<dyn ObjectWriter> {
    metrics
        .feeds_of(resource)
        .expect("the host feeds it")
        .remove(0)
}

fn apply(writer: &mut Box<dyn ObjectWriter>, object: &Value) {
    let json = object.to_string();
    writer
        .apply_json(json.as_bytes())
        .expect("the object decodes");
}
