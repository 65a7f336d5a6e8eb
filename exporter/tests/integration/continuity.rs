//! Tests that no series ends while the exporter reloads its configuration, or while the number of shards changes.

use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::scraper::{Report, Scraper};
use super::support::{Directory, Exporter, eventually, eventually_or};

pub(super) const CREATED: &str = "2024-01-01T00:00:00Z";

/// Returns an API server that has objects. The series of these objects have labels that scrape targets also have, such
/// as `namespace`. The tests of rollouts check these labels.
pub(super) fn api() -> Api {
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
            // Simulates a restart of the API server.
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

/// The replicas of a StatefulSet. Each replica is a shard.
struct Shards {
    api: Api,
    scraper: Scraper,
    replicas: Vec<Exporter>,
    /// The last resource version of the StatefulSet. Each change increases it.
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

    /// Changes the StatefulSet and its status, as a controller does.
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

    /// Changes the number of shards, and waits until each object is exported by exactly one shard.
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

/// Changes the number of shards several times. Checks that a scrape of all replicas never lacks an object.
fn reshard(times: usize) {
    let mut shards = Shards::start();
    shards.set(1, 0);
    // The scraper needs at least one replica, so the first replica starts before the scraper.
    shards.add();
    for (number, total) in [3, 10, 2, 1].into_iter().cycle().take(times).enumerate() {
        if number % 3 == 1 {
            // The API server closes all connections. On the new connections, the watches do not receive the earlier
            // events again.
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

/// If the number of shards decreases, the removed shard may receive SIGTERM before its watch receives the change of the
/// StatefulSet.
#[test]
fn a_shard_that_is_stopped_before_it_knows_of_its_removal_hands_over() {
    let mut shards = Shards::start();
    shards.set(1, 0);
    shards.add();
    shards.scale(2);
    let mut last = shards.replicas.pop().unwrap();
    last.signal("TERM");
    last.tells("a shard that its StatefulSet removes waits");
    shards.set(1, 1);
    assert!(last.wait().success());
    shards.scraper.remove(&last);
    shards.scale(1);
    let Report { scrapes, problems } = shards.scraper.end();
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
