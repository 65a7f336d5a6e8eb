//! Series continue while replicas are replaced.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Api;
use super::prometheus::{Prometheus, block};
use super::support::{Directory, Exporter, eventually, eventually_or};

const SCRAPING: &str = include_str!("../../../docs/how-to/scrape.md");
const CREATED: &str = "2024-01-01T00:00:00Z";

/// An API server with objects whose series have labels that targets also have.
fn api() -> Api {
    let api = Api::start(&[]);
    let of_cluster = |name: &str| {
        json!({ "metadata": {
        "name": name, "uid": name, "creationTimestamp": CREATED, "resourceVersion": "3" } })
    };
    for name in ["shop", "payments", "search"] {
        api.put("namespaces", of_cluster(name));
    }
    api.put("nodes", of_cluster("n"));
    let metadata = |name: &str| {
        json!({
        "name": name, "namespace": "shop", "uid": name, "creationTimestamp": CREATED, "resourceVersion": "3" })
    };
    api.put(
        "services",
        json!({ "metadata": metadata("web"), "spec": { "clusterIP": "10.0.0.1" } }),
    );
    api.put("pods", json!({
        "metadata": metadata("web-1"),
        "spec": { "nodeName": "n", "containers": [{ "name": "app", "image": "i" }] },
        "status": { "phase": "Running", "podIP": "10.0.0.2", "containerStatuses": [{ "name": "app", "image": "i",
            "imageID": "i", "ready": true, "restartCount": 0, "state": { "running": { "startedAt": CREATED } } }] },
    }));
    api
}

// === rollouts ===

/// Two replicas in a Prometheus that finds its targets in a file.
struct Rollouts {
    api: Api,
    prometheus: Prometheus,
    directory: Directory,
    replicas: Vec<(String, Exporter)>,
    started: u32,
}

const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
const ROLLOUTS: u32 = 5;

impl Rollouts {
    /// `None` if Prometheus is not installed.
    fn start() -> Option<Self> {
        let directory = Directory::new("continuity");
        let targets = directory.write("targets.json", "[]");
        let mixin = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/mixin");
        let global = format!(
            "scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{mixin}/rules.yaml, {mixin}/alerts.yaml]"
        );
        let file = format!("file_sd_configs:\n      - files: [{targets}]");
        let text = block(SCRAPING, "stable-series", "yaml");
        let text = text.replace("scrape_interval: 30s", &global);
        let text = text.replace("kubernetes_sd_configs:\n      - role: endpoints", &file);
        Some(Self {
            api: api(),
            prometheus: Prometheus::run(&text, &[])?,
            directory,
            replicas: Vec::new(),
            started: 0,
        })
    }

    /// Starts a replica, as a Deployment does before it stops an old one.
    fn add(&mut self) {
        self.started += 1;
        let name = format!("ksm-{}", self.started);
        let (url, identity) = (
            format!("--apiserver={}", self.api.url),
            format!("--ha-identity={name}"),
        );
        let replica = Exporter::serving(&[
            &url,
            "--resources=namespaces,nodes,pods,services",
            "--ha",
            "--ha-lease-duration=3s",
            &identity,
        ]);
        let is_ready = || (replica.get("/readyz").status == 200).then_some(());
        eventually_or("the replica is ready", is_ready, || replica.log());
        self.replicas.push((name, replica));
        self.publish();
    }

    /// Stops the oldest replica.
    fn remove(&mut self) {
        let (_, mut old) = self.replicas.remove(0);
        old.signal("TERM");
        assert!(old.wait().success());
        self.publish();
    }

    /// Writes the targets that the discovery of endpoints would find.
    fn publish(&self) {
        let targets = self.replicas.iter().map(|(name, replica)| {
            json!({ "targets": [replica.main], "labels": {
                "__meta_kubernetes_service_name": "kube-state-metrics",
                "__meta_kubernetes_endpoint_port_name": "http-metrics",
                "__meta_kubernetes_namespace": "monitoring",
                "__meta_kubernetes_pod_name": name,
            } })
        });
        let targets: Value = targets.collect();
        self.directory.write("targets.json", &targets.to_string());
    }

    /// The label sets of a metric since the start.
    fn series(&self, name: &str) -> Vec<Value> {
        let answer = self
            .prometheus
            .api(&format!("/api/v1/series?match[]={name}"));
        answer["data"].as_array().unwrap().clone()
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[test]
fn rollouts_of_two_replicas_end_and_double_no_series_in_prometheus() {
    let Some(mut rollouts) = Rollouts::start() else {
        return;
    };
    rollouts.add();
    rollouts.add();
    let query = "kube_namespace_created{namespace=\"shop\"}";
    eventually("the series of the leader", || {
        (rollouts.prometheus.query(query).len() == 1).then_some(())
    });
    eventually("both targets are up", || {
        (rollouts.prometheus.query("up") == [1.0, 1.0]).then_some(())
    });
    let start = now();
    for _ in 0..2 * ROLLOUTS {
        rollouts.add();
        rollouts.remove();
    }
    let end = now();
    // Instant queries, ten per second.
    let range =
        format!("query=count({query})&start={start}&end={end}&step=0.1").replace('"', "%22");
    let answer = rollouts
        .prometheus
        .api(&format!("/api/v1/query_range?{range}"));
    let points = answer["data"]["result"][0]["values"].as_array();
    let points = points.unwrap_or_else(|| panic!("{answer}"));
    let (mut longest, mut before) = (0.0_f64, start);
    for point in points {
        assert_eq!(point[1], "1", "{point}");
        let at = point[0].as_f64().unwrap();
        longest = longest.max(at - before);
        before = at;
    }
    longest = longest.max(end - before);
    println!(
        "{ROLLOUTS} rollouts in {:.0} s, longest gap {longest:.1} s",
        end - start
    );
    // A gap of up to an interval, plus a step and the jitter of scrapes.
    assert!(
        longest <= SCRAPE_INTERVAL.as_secs_f64() + 0.3,
        "{longest}: {answer}"
    );

    let prometheus = &rollouts.prometheus;
    let job = json!({ "instance": "kube-state-metrics", "job": "kube-state-metrics" });
    let expect = |name: &str, labels: Value| {
        let found = rollouts.series(name);
        assert_eq!(found.len(), 1, "{found:?}");
        for (key, value) in job
            .as_object()
            .unwrap()
            .iter()
            .chain(labels.as_object().unwrap())
        {
            assert_eq!(found[0][key], *value, "{key} of {}", found[0]);
        }
        let absent = ["pod", "service", "container", "endpoint"];
        for key in absent.iter().filter(|key| labels[**key].is_null()) {
            assert!(found[0][*key].is_null(), "{key} of {}", found[0]);
        }
        assert!(!found[0].to_string().contains("exported_"), "{}", found[0]);
        assert!(!found[0].to_string().contains("__tmp"), "{}", found[0]);
    };
    expect(
        "kube_pod_container_info",
        json!({ "namespace": "shop", "pod": "web-1", "container": "app" }),
    );
    expect(
        "kube_service_info",
        json!({ "namespace": "shop", "service": "web" }),
    );
    // A sample without a namespace has that of the target, as with `honor_labels`.
    expect(
        "kube_node_created",
        json!({ "namespace": "monitoring", "node": "n" }),
    );
    for own in ["up", "kube_state_metrics_leader"] {
        let series = rollouts.series(own);
        // Prometheus applies new targets every five seconds, so it may not see each replica.
        assert!(series.len() > 2, "{own}: {series:?}");
        assert!(
            series
                .iter()
                .all(|labels| labels["pod"].is_string() && labels["service"].is_string())
        );
    }
    let own = prometheus.own_metrics();
    let failures: Vec<_> = own
        .lines()
        .filter(|line| line.starts_with("prometheus_rule_evaluation_failures_total{"))
        .collect();
    assert!(
        failures.iter().all(|line| line.ends_with(" 0")),
        "{failures:#?}"
    );
    assert!(!failures.is_empty());
}
