//! Tests the rules and the dashboards in deploy/mixin. A real Prometheus evaluates their queries over the example
//! cluster (examples/cluster).

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kube_state_metrics::BuiltIn;
use serde_json::{Value, json};

use super::api::Api;
use super::deploy::kustomize::has_kubectl;
use super::limits::closed;
use super::prometheus::{Prometheus, value};
use super::support::{CLUSTER, Directory, Exporter, eventually, eventually_or, get, run_program};

/// A Custom Resource State configuration. Its family reads a value that is not a number, so that the panel about
/// unreadable values has data.
pub(super) const UNREADABLE: &str = "\
spec:
  resources:
  - groupVersionKind: { group: '', version: v1, kind: Node }
    metricNamePrefix: node
    metrics:
    - name: os
      each: { type: Gauge, gauge: { path: [metadata, labels], valueFrom: [kubernetes.io/os] } }
";

/// The alerts that must fire, because the test causes their conditions.
const CAUSED: [&str; 6] = [
    "KubeStateMetricsCustomResourceErrors",
    "KubeStateMetricsResourceFailing",
    "KubeStateMetricsResourceMissing",
    "KubeStateMetricsShardGap",
    "KubeStateMetricsShardingMismatch",
    "KubeStateMetricsShardsMissing",
];
/// Alerts that may fire, but do not have to. This depends on the number of retries and on the speed of the machine. On
/// a slow machine, a scrape can take more than 3 s.
const POSSIBLE: [&str; 4] = [
    "KubeStateMetricsDown",
    "KubeStateMetricsListErrors",
    "KubeStateMetricsScrapeNearLimit",
    "KubeStateMetricsWatchErrors",
];

fn mixin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mixin")
}

/// Returns the objects of the example cluster.
fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(CLUSTER).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> = match path.extension().unwrap().to_str().unwrap() {
            "yaml" => (text.split("\n---\n"))
                .map(|document| serde_saphyr::from_str(document).unwrap())
                .collect(),
            "jsonl" => (text.lines().filter(|line| !line.is_empty()))
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            "json" => vec![serde_json::from_str(&text).unwrap()],
            _ => continue,
        };
        for mut document in documents {
            match document["items"].take() {
                Value::Array(items) => objects.extend(items),
                _ => objects.push(document),
            }
        }
    }
    objects.retain(|object| object["kind"].is_string());
    assert!(objects.len() > 150, "{}", objects.len());
    objects
}

/// Starts a simulated API server that has the objects of the example cluster.
fn api() -> Api {
    let api = Api::start(&[]);
    for object in objects() {
        let resource = BuiltIn::ALL
            .iter()
            .find(|own| own.info().kind() == object["kind"]);
        api.put(resource.unwrap().name(), object);
    }
    api
}

/// One query of a panel.
struct Query {
    dashboard: &'static str,
    title: String,
    /// The letter that identifies the query in its panel. `A` is the first query.
    letter: String,
    /// The query after the replacement of its variables by values.
    query: String,
}

fn queries(dashboard: &'static str, cluster: &str) -> Vec<Query> {
    let path = mixin().join(format!("dashboards/{dashboard}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in json["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            queries.push(Query {
                dashboard,
                title: panel["title"].as_str().unwrap().to_owned(),
                letter: target["refId"].as_str().unwrap().to_owned(),
                query: query
                    .replace("$__rate_interval", "1m")
                    .replace("$cluster", cluster)
                    .replace("$job", "kube-state-metrics")
                    .replace("$instance", ".*")
                    .replace("$namespace", ".*"),
            });
        }
    }
    queries
}

/// Returns samples from yesterday for all series of an exporter, except the series about pods.
fn yesterday(exporter: &Exporter, cluster: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The step is shorter than five minutes: Prometheus ignores a sample that is older than five minutes.
    let times = (now.as_secs() - 25 * 3600..now.as_secs() - 23 * 3600).step_by(240);
    let mut samples = String::new();
    let ports = [&exporter.main, &exporter.telemetry];
    for (port, text) in ports.map(|port| (port, get(port, "/metrics", &[]).text())) {
        let own = format!("cluster=\"{cluster}\",instance=\"{port}\",job=\"kube-state-metrics\"");
        let is_older =
            |line: &&str| line.starts_with("kube_") && !line.to_lowercase().contains("pod");
        for sample in text.lines().filter(is_older) {
            let (name, rest) = sample.split_at(sample.find(['{', ' ']).unwrap());
            let sample = match rest.strip_prefix('{') {
                Some(rest) => format!("{name}{{{own},{rest}"),
                None => format!("{name}{{{own}}}{rest}"),
            };
            samples.extend(times.clone().map(|time| format!("{sample} {time}\n")));
        }
    }
    samples
}

/// Starts a Prometheus that scrapes both ports of the exporters every 3 s. With a shorter interval, scrapes would also
/// have a shorter timeout, and on a busy machine they would exceed this timeout. If `cluster` is not empty, all series
/// have the label `cluster`.
fn prometheus(exporters: &[&Exporter], cluster: &str) -> Option<Prometheus> {
    let targets: Vec<_> = exporters
        .iter()
        .flat_map(|own| [&own.main, &own.telemetry])
        .collect();
    let rules = ["alerts", "rules", "v1-names"].map(|name| mixin().join(format!("{name}.yaml")));
    // The configuration is JSON. Prometheus accepts it, because JSON is valid YAML. If the value of a label is empty,
    // Prometheus ignores the label.
    let config = json!({
        "global": { "scrape_interval": "3s", "evaluation_interval": "1s" },
        "rule_files": rules,
        "scrape_configs": [{
            "job_name": "kube-state-metrics",
            "honor_labels": true,
            "sample_limit": 100_000,
            "static_configs": [{ "targets": targets, "labels": { "cluster": cluster } }],
        }],
    });
    let flags = ["--enable-feature=extra-scrape-metrics"];
    Prometheus::run_with(
        &yesterday(exporters[0], cluster),
        &config.to_string(),
        &flags,
    )
}

#[test]
fn each_panel_has_data_and_each_rule_evaluates_with_and_without_a_cluster_label() {
    let api = api();
    let directory = Directory::new("dashboards");
    let config = directory.write("config.yaml", "log_format: text\n");
    let url = format!("--apiserver={}", api.url);
    let custom = directory.write("custom.yaml", UNREADABLE);
    let watching = [
        "--config",
        &config,
        &url,
        "--object-limit=1000",
        "--custom-resource-state-config-file",
        &custom,
        "--readiness-deadline=1s",
    ];
    // The API server responds to lists of Leases with an error. So the first list is never complete, and the panel
    // about readiness has data.
    api.fail("leases");
    // Two exporters export the same objects, as two replicas do during a rollout. A third exporter has the settings of
    // one of three shards. The other two shards do not run, so the panel about missing shards has data.
    let shard = [
        &*url,
        "--shard=1",
        "--total-shards=3",
        "--server-read-header-timeout=1s",
        "--readiness-deadline=1s",
    ];
    let exporters = [
        &Exporter::start(&[]),
        &Exporter::serving(&watching),
        &Exporter::serving(&shard),
    ];
    // This client sends its request too slowly, so the exporter closes the connection, and the panel about closed
    // connections has data.
    let mut slow = TcpStream::connect(&exporters[2].main).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    closed(&mut slow);
    eventually("the lists are complete", || {
        (exporters[1].get("/readyz").status == 200).then_some(())
    });
    // The API server revokes a permission, so that the panels about failures have data.
    api.revoke("secrets");
    api.cut();
    eventually("secrets fail", || {
        exporters[1].own("kube_state_metrics_failing{reason=\"forbidden\",resource=\"*v1.Secret\"}")
    });
    let clusters = ["", "example"];
    let servers = clusters.map(|cluster| prometheus(&exporters, cluster));
    for (server, cluster) in servers.into_iter().zip(clusters) {
        let Some(server) = server else {
            return;
        };
        let mut changes = 0;
        eventually_or(
            "all ports were scraped some times",
            || {
                // The test changes a node again and again to cause events, so that the panels about rates have data.
                changes += 1;
                let mut node = objects().into_iter().find(|own| own["kind"] == "Node")?;
                node["metadata"]["labels"]["changes"] = json!(changes.to_string());
                api.put("nodes", node);
                let scrapes = server.query("sum_over_time(up[1m])");
                (scrapes.len() == 6 && scrapes[0] >= 6.0).then_some(())
            },
            || format!("{:#}", server.api("/api/v1/targets")),
        );
        has_data(&server, cluster);
        evaluates(&server);
        // If the series have the label `cluster`, the variable `cluster` of the dashboards has the name of the cluster
        // as its only value. Without this label, the variable has no value.
        let values = server.api("/api/v1/label/cluster/values?match[]=kube_node_info");
        let expected: Vec<_> = clusters
            .iter()
            .filter(|own| **own == cluster && !own.is_empty())
            .collect();
        assert_eq!(values["data"], json!(expected));
    }
}

#[test]
fn a_panel_and_an_alert_name_the_missing_shard() {
    let api = Api::start(&[]);
    let url = format!("--apiserver={}", api.url);
    let shard = |index| Exporter::serving(&[&url, index, "--total-shards=3"]);
    let shards = [&shard("--shard=0"), &shard("--shard=2")];
    let Some(server) = prometheus(&shards, "") else {
        return;
    };
    let panels = queries("exporter", ".*");
    let panel = panels.iter().find(|own| own.title == "Missing shards");
    let query = &panel.unwrap().query;
    // Until Prometheus has scraped both shards, the panel also shows a running shard. So the test waits for one row.
    let row = eventually("the panel has one row", || {
        let mut rows = server.rows(query);
        (rows.len() == 1).then(|| rows.remove(0))
    });
    assert_eq!(row["metric"], json!({ "shard_ordinal": "1" }));
    assert_eq!(row["value"][1], "3", "the number of shards");
    let alert = eventually("the alert is pending", || {
        let alerts = server.api("/api/v1/alerts")["data"]["alerts"].take();
        let alerts = alerts.as_array()?.iter();
        let mut alerts = alerts.filter(|own| {
            let labels = &own["labels"];
            labels["alertname"] == "KubeStateMetricsShardsMissing" && labels["shard_ordinal"] == "1"
        });
        alerts.next().cloned()
    });
    let summary = "Shard 1 of 3 of kube-state-metrics is missing.";
    assert_eq!(alert["annotations"]["summary"], summary);
}

#[test]
fn the_kustomization_has_the_rules_and_the_dashboards() {
    if !has_kubectl() {
        return;
    }
    let output = run_program("kubectl", &["kustomize", mixin().to_str().unwrap()], "");
    assert!(output.status.success(), "{}", output.stderr);
    let documents = output.stdout.split("\n---\n");
    let objects: Vec<Value> = documents
        .map(|own| serde_saphyr::from_str(own).unwrap())
        .collect();
    let of_kind = |kind: &'static str| objects.iter().filter(move |own| own["kind"] == kind);
    let mut dashboards = 0;
    for (object, name) in of_kind("ConfigMap").zip(["cluster", "exporter"]) {
        assert_eq!(object["metadata"]["labels"]["grafana_dashboard"], "1");
        let path = mixin().join(format!("dashboards/{name}.json"));
        let file = format!("kube-state-metrics-{name}.json");
        assert_eq!(
            object["data"][&file],
            std::fs::read_to_string(path).unwrap()
        );
        dashboards += 1;
    }
    assert_eq!(
        (objects.len(), dashboards, of_kind("PrometheusRule").count()),
        (4, 2, 2)
    );
}

/// Evaluates every query of every panel, and checks that each query has results.
fn has_data(server: &Prometheus, cluster: &str) {
    // If the series have no label `cluster`, the variable `cluster` in the queries has the value `.*`, which selects
    // all series.
    let selected = if cluster.is_empty() { ".*" } else { cluster };
    let dashboards = ["exporter", "cluster"];
    let queries: Vec<_> = dashboards
        .iter()
        .flat_map(|own| queries(own, selected))
        .collect();
    // On a busy machine, a scrape may exceed its timeout. Then the series of this target have no value until the next
    // scrape, so the test repeats each query.
    for own in &queries {
        let (dashboard, title, letter) = (own.dashboard, &own.title, &own.letter);
        let what = format!("{dashboard}: {title} {letter} has data");
        let values = eventually(&what, || {
            let values = server.query(&own.query);
            values.iter().any(|own| own.is_finite()).then_some(values)
        });
        println!("{what}: {values:?}");
    }
    let query = |title| &queries.iter().find(|own| own.title == title).unwrap().query;
    // The families of pods have grown most, because the samples from yesterday have no series about pods.
    for (title, label, grown) in [
        ("Growth of families since yesterday", "family", "kube_pod_"),
        ("Growth of resources since yesterday", "resource", "*v1.Pod"),
    ] {
        eventually(title, || {
            let rows = server.rows(query(title)).into_iter();
            let most = rows.max_by(|one, other| value(one).total_cmp(&value(other)))?;
            let name = most["metric"][label].as_str().unwrap();
            name.starts_with(grown).then_some(())
        });
    }
    // Three exporters export the same objects, but the panels must count each object once.
    for (title, expected) in [("Nodes", 3.0), ("Pods by phase", 27.0)] {
        let sum = || server.query(query(title)).iter().sum::<f64>();
        eventually(title, || (sum() == expected).then_some(()));
    }
}

/// Checks that Prometheus evaluates all rules without error, and that only the expected alerts are active.
fn evaluates(server: &Prometheus) {
    let mut active = BTreeSet::new();
    eventually_or(
        "the caused alerts are active",
        || {
            active = active_alerts(server);
            let is_active = |own: &&str| active.contains(*own);
            CAUSED.iter().all(is_active).then_some(())
        },
        || format!("{:#}", server.api("/api/v1/alerts")),
    );
    let is_expected = |own: &str| CAUSED.contains(&own) || POSSIBLE.contains(&own);
    active.retain(|name| !is_expected(name));
    assert_eq!(active, BTreeSet::new());
    eventually("the recorded series have values", || {
        let recorded = server.query("cluster_resource:kube_state_metrics_objects:sum");
        (recorded.len() > 20).then_some(())
    });
}

/// Returns the names of the alerts that are pending or firing. Asserts that Prometheus evaluates each rule without
/// error.
fn active_alerts(server: &Prometheus) -> BTreeSet<String> {
    let answer = server.api("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let mut active = BTreeSet::new();
    let mut count = 0;
    for rule in rules {
        count += 1;
        assert_eq!(rule["health"], "ok", "{rule:#}");
        let alerts = rule["alerts"].as_array();
        if alerts.is_some_and(|alerts| !alerts.is_empty()) {
            active.insert(rule["name"].as_str().unwrap().to_owned());
        }
    }
    assert!(count > 40, "{count}");
    active
}
