//! Series continue while replicas are replaced and while the configuration is reloaded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Api;
use super::prometheus::{Prometheus, block};
use super::scraper::{Report, Scraper};
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
        replica.becomes_ready();
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
    // A gap of up to an interval. On a busy machine, scrapes are late by up to another interval.
    assert!(
        longest <= 2.0 * SCRAPE_INTERVAL.as_secs_f64(),
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

// === reloads ===

const RELOADS: u32 = 100;

#[test]
fn reloads_lose_and_double_no_series_while_the_api_server_restarts() {
    let api = api();
    let directory = Directory::new("reloads");
    let config = |more: &str| {
        let text = format!("resources: {{namespaces: {{}}, nodes: {{}}{more}}}\n");
        directory.write("config.yaml", &text)
    };
    let path = config("");
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&url, "--config", &path]);
    let count = |series: &str| exporter.metrics("").matches(series).count();
    eventually("all objects", || {
        (count("\nkube_namespace_created{") == 3).then_some(())
    });
    let scraper = Scraper::start(|texts| {
        let series = [
            "kube_namespace_created{namespace=\"shop\"}",
            "kube_namespace_created{namespace=\"payments\"}",
            "kube_namespace_created{namespace=\"search\"}",
            "kube_node_created{node=\"n\"}",
        ];
        let counts = series.map(|series| texts[0].matches(series).count());
        (counts != [1; 4]).then(|| format!("{counts:?} in {} bytes", texts[0].len()))
    });
    scraper.add(&exporter);
    let reloaded = || exporter.log().matches("configuration reloaded").count();
    for reload in 1..=RELOADS {
        config(if reload % 2 == 0 { "" } else { ", pods: {}" });
        if reload % 10 == 0 {
            // The API server restarts.
            for plural in ["namespaces", "nodes"] {
                api.say(plural, "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n");
            }
            api.cut();
            std::thread::sleep(Duration::from_millis(300));
            for plural in ["namespaces", "nodes"] {
                api.say(plural, "");
            }
        }
        eventually_or(
            "the change is in use",
            || (reloaded() == reload as usize).then_some(()),
            || exporter.log(),
        );
    }
    let Report { scrapes, problems } = scraper.end();
    println!("{scrapes} scrapes during {RELOADS} reloads");
    assert!(problems.is_empty(), "{problems:#?} of {scrapes} scrapes");
    assert!(scrapes > RELOADS);
}

// === shards ===

/// The replicas of a StatefulSet, each of which is a shard.
struct Shards {
    api: Api,
    scraper: Scraper,
    replicas: Vec<Exporter>,
    /// Versions of the StatefulSet.
    version: u32,
}

const NAMESPACES: usize = 40;

impl Shards {
    fn start() -> Self {
        let api = Api::start(&[]);
        for number in 0..NAMESPACES {
            let name = format!("n{number}");
            api.put("namespaces", json!({ "metadata": {
                "name": name, "uid": format!("uid-{number}"), "creationTimestamp": CREATED, "resourceVersion": "3" } }));
        }
        let scraper = Scraper::start(|texts| {
            let is_missing = |number: &usize| {
                let series = format!("kube_namespace_created{{namespace=\"n{number}\"}}");
                !texts.iter().any(|text| text.contains(&series))
            };
            let missing: Vec<_> = (0..NAMESPACES).filter(is_missing).collect();
            (!missing.is_empty()).then(|| format!("{missing:?} of {} replicas", texts.len()))
        });
        Self {
            api,
            scraper,
            replicas: Vec::new(),
            version: 10,
        }
    }

    /// Changes the StatefulSet, as its controller does.
    fn set(&mut self, replicas: usize, ready: usize) {
        self.version += 1;
        self.api.put("statefulsets", json!({ "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": "ksm", "namespace": "a", "uid": "u", "resourceVersion": self.version.to_string() },
            "spec": { "replicas": replicas }, "status": { "replicas": ready, "readyReplicas": ready } }));
    }

    fn add(&mut self) {
        let name = format!("ksm-{}", self.replicas.len());
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ksm", "uid": "u", "controller": true }]);
        self.api.put("pods", json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": name, "namespace": "a", "uid": name, "resourceVersion": "3", "ownerReferences": owner } }));
        let (url, pod) = (
            format!("--apiserver={}", self.api.url),
            format!("--pod={name}"),
        );
        let replica = Exporter::serving(&[
            &url,
            &pod,
            "--pod-namespace=a",
            "--resources=namespaces",
            "--shard-handover=3s",
        ]);
        replica.becomes_ready();
        self.scraper.add(&replica);
        self.replicas.push(replica);
    }

    /// Changes the number of shards, and waits until each object is in one shard.
    fn scale(&mut self, total: usize) {
        let before = self.replicas.len();
        self.set(total, before.min(total));
        while self.replicas.len() < total {
            self.add();
            self.set(total, self.replicas.len());
        }
        let knows = |replica: &Exporter| {
            replica.own("kube_state_metrics_total_shards") == Some(total as f64)
        };
        for replica in &self.replicas {
            eventually("the replica knows the shards", || {
                knows(replica).then_some(())
            });
        }
        while self.replicas.len() > total {
            let mut last = self.replicas.pop().unwrap();
            last.signal("TERM");
            assert!(last.wait().success());
            self.scraper.remove(&last);
        }
        eventually("the hand-over is over", || {
            let counts = self.replicas.iter().map(|replica| {
                replica
                    .metrics("")
                    .matches("\nkube_namespace_created{")
                    .count()
            });
            (counts.sum::<usize>() == NAMESPACES).then_some(())
        });
    }
}

/// Scales a StatefulSet of shards; checks that no scrape of all replicas misses an object.
fn reshard(times: usize) {
    let mut shards = Shards::start();
    shards.set(1, 0);
    // Without the first replica, there are no metrics, and the scraper has nothing to scrape.
    shards.add();
    for (number, total) in [3, 10, 2, 1].into_iter().cycle().take(times).enumerate() {
        if number % 3 == 1 {
            // The API server restarts. It sends no events to watches that begin later.
            shards.api.cut();
            eventually("all replicas watch again", || {
                let watches = shards.api.count("/statefulsets?");
                (watches >= shards.replicas.len()).then_some(())
            });
        }
        shards.scale(total);
    }
    let Report { scrapes, problems } = shards.scraper.end();
    println!("{scrapes} scrapes during {times} reshardings");
    assert!(problems.is_empty(), "{problems:#?} of {scrapes} scrapes");
}

#[test]
fn reshardings_lose_no_series() {
    reshard(4);
}

#[test]
#[ignore = "takes minutes"]
fn many_reshardings_lose_no_series() {
    reshard(20);
}
