//! Tests published alerts with joined labels. promtool evaluates the alerts over the example cluster
//! (examples/cluster). A real Prometheus evaluates the alerts while the test changes pods and labels.
//!
//! *Published* alerts and rules come from public projects; `well_known.rs` reads them from
//! tests/conformance/used_queries.yaml.

use serde_json::{Value, json};

use super::api::Api;
use super::prometheus::Prometheus;
use super::promtool::has_promtool;
use super::rollouts::now;
use super::support::{Exporter, eventually_or};
use super::well_known::{expect, expressions, judge, rules, series, with_job};

const PAGE: &str = include_str!("../../../docs/how-to/join-labels.md");

/// Alerts that have results for the example cluster. An aggregation in their expressions removes the label that is
/// joined from the namespace.
pub(super) const AGGREGATED: [&str; 2] = ["KubePodNotReady", "KubeStatefulSetUpdateNotRolledOut"];
/// The alerts about cluster-scoped objects. These objects have no namespace.
pub(super) const CLUSTER_SCOPED: [&str; 2] = ["KubePersistentVolumeErrors", "KubeNodeUnreachable"];

/// Returns the name and the expression of each published alert that has results over the example.
fn alerts() -> Vec<(String, String)> {
    let alerts = expressions().filter(|own| own.is_alert() && own.silent.is_none());
    alerts.map(|own| (own.rule, own.query)).collect()
}

#[test]
fn published_alerts_keep_the_label_unless_they_aggregate_it_away() {
    let joins = "--join-labels=*=[namespace/kubernetes.io/metadata.name=team]";
    let is_listed = |alert: &str| AGGREGATED.contains(&alert) || CLUSTER_SCOPED.contains(&alert);
    let mut tests = Vec::new();
    for (alert, query) in alerts() {
        // This expression has a result if a result of the alert has the label `team`.
        let labelled = format!("group by (team) ({query}) unless on (team) vector(1)");
        tests.push(expect(&labelled, !is_listed(&alert)));
        tests.push(expect(&query, true));
    }
    assert!(tests.len() > 30, "{}", tests.len());
    for alert in AGGREGATED {
        assert!(
            PAGE.contains(&format!("`{alert}`")),
            "{alert} is not on the page"
        );
    }
    // The test also evaluates all other published expressions, which must not fail.
    tests.extend(expressions().map(|own| expect(&own.query, own.silent.is_none())));
    if has_promtool() {
        judge(&with_job(&series(&[joins])), &[], &tests);
    }
}

/// A cluster, and a Prometheus with all published rules. The cluster has a Deployment whose pods do not start.
struct Cluster {
    api: Api,
    prometheus: Prometheus,
    _exporter: Exporter,
}

impl Cluster {
    /// Starts the API server, the exporter and Prometheus. Returns `None` if Prometheus is not installed.
    fn start() -> Option<Self> {
        let api = Api::start(&[]);
        put_namespace(&api, "storefront");
        put_pod(&api, "web-1", "web-1-a");
        let exporter = Exporter::serving(&[
            &format!("--apiserver={}", api.url),
            "--resources=pods",
            "--join-labels=pods=[namespace/team,workload:name=workload]",
        ]);
        exporter.becomes_ready();
        Some(Self {
            api,
            prometheus: Prometheus::with_rules(&rules(), &exporter)?,
            _exporter: exporter,
        })
    }

    /// Waits until `count` alerts of this name fire. At least one of them must have these labels.
    #[track_caller]
    fn fires(&self, alert: &str, count: usize, labels: &[(&str, &str)]) {
        let query = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        let rows = || self.prometheus.rows(&query);
        let has_labels = |row: &Value| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| row["metric"][*name] == *value)
        };
        let fires = || {
            let rows = rows();
            (rows.len() == count && rows.iter().any(has_labels)).then_some(())
        };
        eventually_or(&format!("{alert} {labels:?}"), fires, || {
            format!("{:#?}", rows())
        });
    }
}

fn put_namespace(api: &Api, team: &str) {
    api.put(
        "namespaces",
        json!({ "metadata": {
        "name": "shop", "uid": "shop", "resourceVersion": "3", "labels": { "team": team } } }),
    );
}

/// Creates a pod of a ReplicaSet of the Deployment `web`.
fn put_pod(api: &Api, set: &str, name: &str) {
    let metadata = |name: &str, kind: &str, owner: &str| {
        json!({ "name": name, "namespace": "shop", "uid": name, "resourceVersion": "3", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true }] })
    };
    api.put(
        "replicasets",
        json!({ "metadata": metadata(set, "Deployment", "web") }),
    );
    let status = |name: &str, reason: &str| {
        json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 1,
            "state": { "waiting": { "reason": reason } } })
    };
    api.put("pods", json!({
        "metadata": metadata(name, "ReplicaSet", set),
        "spec": { "nodeName": "n", "containers": [{ "name": "app", "image": "i" }, { "name": "side", "image": "i" }] },
        "status": { "phase": "Running",
            "containerStatuses": [status("app", "CrashLoopBackOff"), status("side", "ImagePullBackOff")] },
    }));
}

#[test]
fn alerts_keep_the_team_through_a_rollout_and_a_relabelled_namespace() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let waiting = |pod: &'static str, team: &'static str| {
        let labels = [
            ("pod", pod),
            ("team", team),
            ("workload", "web"),
            ("container", "side"),
        ];
        cluster.fires("KubeContainerWaiting", 1, &labels);
    };
    // The alert reads the samples of the last 5 minutes. So the alerts about earlier series still fire, and `count`
    // grows.
    let crashing = |pod: &'static str, team: &'static str, count| {
        let labels = [("pod", pod), ("team", team), ("workload", "web")];
        cluster.fires("KubePodCrashLooping", count, &labels);
    };
    waiting("web-1-a", "storefront");
    crashing("web-1-a", "storefront", 1);
    let start = now();
    // The test simulates a rollout: a pod of another ReplicaSet replaces the first pod.
    put_pod(&cluster.api, "web-2", "web-2-b");
    cluster.api.delete("pods", "web-1-a");
    waiting("web-2-b", "storefront");
    crashing("web-2-b", "storefront", 2);
    put_namespace(&cluster.api, "payments");
    waiting("web-2-b", "payments");
    crashing("web-2-b", "payments", 3);
    let end = now();

    let prometheus = &cluster.prometheus;
    // At each moment, each series must exist exactly once and must have the label `team`.
    let counts = "count by (pod, container) (kube_pod_container_info)";
    let series = prometheus.history(counts, start, end);
    let pods: Vec<_> = series.iter().map(|row| &row["metric"]["pod"]).collect();
    assert!(
        pods.contains(&&json!("web-1-a")) && pods.contains(&&json!("web-2-b")),
        "{series:?}"
    );
    let points = series
        .iter()
        .flat_map(|row| row["values"].as_array().unwrap());
    points.for_each(|point| assert_eq!(point[1], "1", "{series:?}"));
    let teams = prometheus.history("count by (team) (kube_pod_container_info)", start, end);
    let mut teams: Vec<_> = teams
        .iter()
        .map(|row| row["metric"]["team"].clone())
        .collect();
    teams.sort_by_key(ToString::to_string);
    assert_eq!(teams, ["payments", "storefront"]);
    let alerts = "count by (pod, container) (ALERTS{alertname=\"KubeContainerWaiting\"})";
    for row in prometheus.history(alerts, start, end) {
        let values = row["values"].as_array().unwrap();
        assert!(values.iter().all(|point| point[1] == "1"), "{row}");
    }
    prometheus.assert_no_rule_failed();
}
