//! Tests joined labels with 2,000 pods on a cluster. After a change of a label, all series must have the new value
//! within a second. All series must change in the same response.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::{Applied, kubectl};
use crate::support::{Exporter, eventually_or};

const PODS: usize = 2_000;
const NAMESPACE: &str = "joined-labels-test";
const JOINS: &str = "--join-labels=pods=[namespace/team,namespace@acme.dev/cost-centre=cost,\
                     node/topology.kubernetes.io/zone=zone,workload/app.kubernetes.io/part-of=app,\
                     workload:name=workload]";
/// The start of each sample line of one family. This family has one series for each pod.
const FAMILY: &str = "kube_pod_info{namespace=\"joined-labels-test\"";

fn objects() -> String {
    let labels = json!({ "app.kubernetes.io/part-of": "shop", "app": "web" });
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE, "labels": { "team": "storefront" }, "annotations": { "acme.dev/cost-centre": "4711" },
        },
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": NAMESPACE, "labels": labels },
        "spec": {
            "replicas": PODS, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "web" }] },
            },
        },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [namespace, deployment] }).to_string()
}

/// Returns, for each value of a label, the number of pods with this value. Pods without the label count as pods with an
/// empty value.
fn values(text: &str, label: &str) -> BTreeMap<String, usize> {
    let start = format!(",{label}=\"");
    let mut values = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(FAMILY)) {
        let value = (line.split_once(&start))
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or_default();
        *values.entry(value.to_owned()).or_default() += 1;
    }
    values
}

/// Waits until all pods have this value of the label.
#[track_caller]
fn all_have(exporter: &Exporter, label: &str, value: &str) {
    let found = || values(&exporter.metrics(""), label);
    let expected = BTreeMap::from([(value.to_owned(), PODS)]);
    let mut left = Duration::from_secs(600);
    while found() != expected {
        left = left.checked_sub(Duration::from_secs(1)).unwrap_or_else(|| {
            panic!("{label}: {:?} instead of {expected:?}", found());
        });
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Runs `kubectl`, and returns the time until all series have the new value. Fails if a response has the new value in
/// some series but not in all.
#[track_caller]
fn change(exporter: &Exporter, args: &[&str], label: &str, value: &str) -> Duration {
    let before = values(&exporter.metrics(""), label);
    kubectl(args, "").unwrap();
    let changed = Instant::now();
    let after = BTreeMap::from([(value.to_owned(), PODS)]);
    loop {
        let found = values(&exporter.metrics(""), label);
        if found == after {
            return changed.elapsed();
        }
        assert_eq!(found, before, "a response has a part of the change");
        assert!(changed.elapsed() < Duration::from_secs(60), "{found:?}");
    }
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster with nodes for 2,000 pods"]
fn a_changed_source_of_2000_pods_shows_within_a_second() {
    let nodes = kubectl(&["get", "nodes", "-o", "name"], "").unwrap();
    let nodes: Vec<_> = nodes.lines().collect();
    let zone = |node: &str, zone: &str| {
        let label = format!("topology.kubernetes.io/zone={zone}");
        kubectl(&["label", "--overwrite", node, &label], "").unwrap()
    };
    nodes.iter().for_each(|node| drop(zone(node, "a")));
    let _applied = Applied::new(objects());
    let kubeconfig = std::env::var("KUBECONFIG").unwrap();
    let args = ["--kubeconfig", &*kubeconfig, JOINS, "--resources=pods"];
    let exporter = Exporter::serving(&args);
    for (label, value) in [
        ("team", "storefront"),
        ("cost", "4711"),
        ("zone", "a"),
        ("app", "shop"),
        ("workload", "web"),
    ] {
        all_have(&exporter, label, value);
    }

    let mut longest = Duration::ZERO;
    for at in 0..10 {
        let team = format!("team-{at}");
        let label = format!("team={team}");
        let args = ["label", "--overwrite", "namespace", NAMESPACE, &label];
        longest = longest.max(change(&exporter, &args, "team", &team));
    }
    println!("a relabelled namespace of {PODS} pods shows after at most {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");

    let node = nodes.first().expect("the cluster has nodes");
    let with_zone = |zone: &str| {
        values(&exporter.metrics(""), "zone")
            .get(zone)
            .copied()
            .unwrap_or(0)
    };
    let of_node = kubectl(
        &[
            "-n",
            NAMESPACE,
            "get",
            "pods",
            "-o",
            "name",
            "--field-selector",
            &format!("spec.nodeName={}", node.trim_start_matches("node/")),
        ],
        "",
    );
    let count = of_node.unwrap().lines().count();
    assert!(count > 0, "{node} has no pods");
    zone(node, "b");
    let changed = Instant::now();
    eventually_or(
        "the zone of the pods of the node",
        || match with_zone("b") {
            0 => None,
            found => {
                assert_eq!(found, count, "a response has a part of the change");
                Some(())
            }
        },
        || format!("{} pods", with_zone("b")),
    );
    println!(
        "a relabelled node of {count} pods shows after {:?}",
        changed.elapsed()
    );
    assert!(changed.elapsed() < Duration::from_secs(1));
}
