//! Tests all published alerts with a joined label: the label `team`, whose value comes from the namespace of the
//! object. A real Prometheus evaluates the alerts over the example cluster (examples/cluster), while the test replaces
//! pods and changes labels of namespaces.
//!
//! *Published* alerts and rules come from public projects; `well_known.rs` reads them from
//! tests/conformance/used_queries.yaml.

use std::fs;

use serde_json::{Value, json};

use super::joined_labels::{AGGREGATED, CLUSTER_SCOPED};
use super::prometheus::Prometheus;
use super::rollouts::now;
use super::support::{CLUSTER, Directory, Exporter, eventually_or};
use super::well_known::{expressions, rules};

/// Alerts that have no results over the example cluster. In other clusters, their results do not have the joined label:
/// the results have no namespace, or the expression removes the label by aggregation.
const NOT_OVER_THE_EXAMPLE: [&str; 6] = [
    "KubeCPUQuotaOvercommit",
    "KubeJobNotCompleted",
    "KubeMemoryQuotaOvercommit",
    "KubeNodeNotReady",
    "KubeNodePressure",
    "KubeNodeReadinessFlapping",
];
/// This alert evaluates samples of the last 5 minutes. So it also has results for series that no longer exist.
const READS_THE_PAST: &str = "KubePodCrashLooping";
/// The label of namespaces whose value becomes the joined label `team`. All namespaces of the example cluster have this
/// label.
const LABEL: &str = "kubernetes.io/metadata.name: ";
/// The text that the test appends to the label value of each namespace.
const NEW_TEAM: &str = "-renamed";
/// Two pairs of ReplicaSets. In each pair, the rollout replaces the first ReplicaSet by the second. A pod of the first
/// pair waits, and a pod of the second pair crashes.
const ROLLOUT: [(&str, &str); 2] = [
    ("payments-66888554", "payments-77999665"),
    ("storefront-5f8b9d7c66", "storefront-6a9c8e8d77"),
];

/// Manifests with the objects of a cluster, an exporter that watches the manifests, and a Prometheus with all published
/// rules.
struct Cluster {
    manifests: Directory,
    _exporter: Exporter,
    prometheus: Prometheus,
}

/// Returns objects in addition to the example cluster. Without them, some alerts that keep the joined label would have
/// no results.
fn more_objects() -> String {
    let object = |api: &str, kind: &str, spec: Value, status: Value| {
        let metadata = json!({ "name": "odd", "namespace": "shop", "uid": kind, "generation": 3 });
        json!({ "apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, "status": status })
    };
    let counts = json!({ "desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberMisscheduled": 0,
        "numberReady": 2, "observedGeneration": 3 });
    let quota = json!({ "hard": { "pods": "10" }, "used": { "pods": "12" } });
    let items = [
        object(
            "apps/v1",
            "Deployment",
            json!({}),
            json!({ "observedGeneration": 2 }),
        ),
        object(
            "apps/v1",
            "StatefulSet",
            json!({}),
            json!({ "observedGeneration": 2, "replicas": 0 }),
        ),
        object("apps/v1", "DaemonSet", json!({}), counts),
        object(
            "v1",
            "ResourceQuota",
            json!({ "hard": { "pods": "10" } }),
            quota,
        ),
    ];
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// Returns the alerts whose results have the joined label of the namespace.
fn alerts() -> Vec<String> {
    let without = [&AGGREGATED[..], &CLUSTER_SCOPED, &NOT_OVER_THE_EXAMPLE].concat();
    let alerts = expressions()
        .filter(|own| own.is_alert())
        .map(|own| own.rule);
    alerts
        .filter(|alert| !without.contains(&alert.as_str()))
        .collect()
}

// === impl Cluster ===

impl Cluster {
    /// Starts the exporter and Prometheus. Returns `None` if Prometheus is not installed.
    fn start() -> Option<Self> {
        let manifests = Directory::new("joined-alerts");
        manifests.write("more.json", &more_objects());
        write_example(&manifests, str::to_owned);
        let exporter = Exporter::serving(&[
            &format!("--manifests={}", manifests.str()),
            "--join-labels=*=[namespace/kubernetes.io/metadata.name=team]",
        ]);
        exporter.becomes_ready();
        Some(Self {
            manifests,
            prometheus: Prometheus::with_rules(&rules(), &exporter)?,
            _exporter: exporter,
        })
    }

    /// Waits until each alert fires, and each result has the right label `team`: the namespace of the result, followed
    /// by `end`.
    #[track_caller]
    fn all_fire_with_the_team(&self, end: &str) {
        let has_team = |row: &Value| {
            let label = |name: &str| row["metric"][name].as_str().unwrap_or_default();
            label("team") == format!("{}{end}", label("namespace"))
        };
        for alert in alerts() {
            let query = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
            let rows = || self.prometheus.rows(&query);
            let fires = || {
                let rows = rows();
                let is_complete = match &*alert {
                    READS_THE_PAST => rows.iter().any(has_team),
                    _ => !rows.is_empty() && rows.iter().all(has_team),
                };
                is_complete.then_some(())
            };
            eventually_or(&alert, fires, || format!("{:#?}", rows()));
        }
    }

    /// Waits until the alerts about the pods of the rollout fire for the new pods.
    #[track_caller]
    fn fire_for_new_pods(&self) {
        for (alert, (old, new)) in ["KubeContainerWaiting", READS_THE_PAST].iter().zip(ROLLOUT) {
            let firing = |set: &str| {
                let query = format!(
                    "ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",pod=~\"{set}-.*\"}}"
                );
                !self.prometheus.rows(&query).is_empty()
            };
            let ended = |set: &str| *alert == READS_THE_PAST || !firing(set);
            let fires = || (firing(new) && ended(old)).then_some(());
            eventually_or(alert, fires, || new.to_owned());
        }
    }

    /// Asserts that no alert had the same result twice, and that no container had the same series twice.
    #[track_caller]
    fn assert_none_doubled(&self, start: f64, end: f64) {
        let alerts = alerts().into_iter().filter(|alert| alert != READS_THE_PAST);
        let queries =
            alerts.map(|alert| format!("count without (team) (ALERTS{{alertname=\"{alert}\"}})"));
        let containers = "count by (namespace, pod, container) (kube_pod_container_info)";
        for query in queries.chain([containers.to_owned()]) {
            let rows = self.prometheus.history(&query, start, end);
            assert!(!rows.is_empty(), "{query}");
            for row in rows {
                let values = row["values"].as_array().unwrap();
                assert!(values.iter().all(|point| point[1] == "1"), "{query}: {row}");
            }
        }
    }
}

/// Writes the manifests of the example cluster. `change` is called for each line, and returns the line to write.
fn write_example(directory: &Directory, change: impl Fn(&str) -> String) {
    for file in fs::read_dir(CLUSTER).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| change(line) + "\n");
        directory.write(name, &lines.collect::<String>());
    }
}

fn roll_out(line: &str) -> String {
    let mut line = line.to_owned();
    for (old, new) in ROLLOUT {
        line = line.replace(old, new);
    }
    line
}

#[test]
fn all_published_alerts_keep_the_team_through_a_rollout_and_relabelled_namespaces() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    assert!(alerts().len() > 15, "{:?}", alerts());
    let start = now();
    cluster.all_fire_with_the_team("");
    write_example(&cluster.manifests, roll_out);
    cluster.fire_for_new_pods();
    cluster.all_fire_with_the_team("");
    write_example(&cluster.manifests, |line| {
        let line = roll_out(line);
        let is_label = line.trim_start().starts_with(LABEL);
        if is_label { line + NEW_TEAM } else { line }
    });
    cluster.all_fire_with_the_team(NEW_TEAM);
    cluster.assert_none_doubled(start, now());
    cluster.prometheus.assert_no_rule_failed();
}
