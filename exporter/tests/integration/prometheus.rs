//! Tests the configurations in docs/how-to/scrape.md with a real Prometheus, which scrapes both ports of the exporter.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::support::{CLUSTER, Directory, Exporter, eventually_or, get};
use crate::tools::{promtool, said, tool};

const DOCS: &str = include_str!("../../../docs/how-to/scrape.md");

/// Returns a code block of a page. A comment before the block contains its name.
#[track_caller]
pub(super) fn block(page: &str, name: &str, language: &str) -> String {
    let marker = format!("<!-- {name} -->\n```{language}\n");
    let Some((_, rest)) = page.split_once(&marker) else {
        panic!("the page has no {name}");
    };
    rest.split_once("```").unwrap().0.to_owned()
}

/// A running Prometheus. When this value is dropped, the process is killed.
pub(super) struct Prometheus {
    child: Child,
    address: String,
    _storage: Directory,
}

impl Prometheus {
    /// Starts Prometheus with a configuration of the documentation, but with other addresses and paths. Returns `None`
    /// if Prometheus is not installed.
    fn start(name: &str, exporter: &Exporter, more: &[(&str, &str)]) -> Option<Self> {
        let mut text = block(DOCS, name, "yaml")
            .replace("scrape_interval: 30s", "scrape_interval: 3s")
            .replace("kube-state-metrics.kube-system.svc:8080", &exporter.main)
            .replace(
                "kube-state-metrics.kube-system.svc:8081",
                &exporter.telemetry,
            );
        for (documented, ours) in more {
            assert!(text.contains(documented), "{documented} is not in {name}");
            text = text.replace(documented, ours);
        }
        Self::run(&text, &[])
    }

    /// Starts Prometheus with a configuration and flags. Returns `None` if Prometheus is not installed.
    pub(super) fn run(text: &str, flags: &[&str]) -> Option<Self> {
        Self::run_in(Directory::new("prometheus"), text, flags)
    }

    /// Starts Prometheus with rules. Prometheus evaluates the rules every second over the metrics of an exporter.
    /// Returns `None` if Prometheus is not installed.
    pub(super) fn with_rules(rules: &Value, exporter: &Exporter) -> Option<Self> {
        let directory = Directory::new("prometheus");
        let file = directory.write("rules.yaml", &rules.to_string());
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [file],
            "scrape_configs": [{
                "job_name": "kube-state-metrics", "honor_labels": true,
                "static_configs": [{ "targets": [exporter.main] }],
            }],
        });
        Self::run_in(directory, &config.to_string(), &[])
    }

    /// Starts Prometheus with samples that already exist. `samples` has lines with timestamps. Returns `None` if
    /// Prometheus is not installed.
    pub(super) fn run_with(samples: &str, text: &str, flags: &[&str]) -> Option<Self> {
        let directory = Directory::new("prometheus");
        let file = directory.write("samples.txt", &format!("{samples}# EOF\n"));
        let data = format!("{}/data", directory.str());
        let mut create = promtool()?;
        let create = create.args(["tsdb", "create-blocks-from", "openmetrics", &file, &data]);
        let created = create.output().unwrap();
        assert!(created.status.success(), "{}", said(&created));
        Self::run_in(directory, text, flags)
    }

    fn run_in(directory: Directory, text: &str, flags: &[&str]) -> Option<Self> {
        let config = directory.write("prometheus.yml", text);
        if let Some(mut promtool) = promtool() {
            let checked = promtool.args(["check", "config", &config]).output();
            let checked = checked.unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
        let mut child = tool("prometheus", &["--version"], "prometheus")?
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}/data", directory.str()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains("msg=\"Listening on\""))
            .expect("it listens");
        // This thread reads the remaining output of Prometheus. Otherwise, the pipe would become full and Prometheus
        // would block.
        std::thread::spawn(move || log.map_while(Result::ok).count());
        Some(Self {
            child,
            address: line.split("address=").nth(1).unwrap().trim().to_owned(),
            _storage: directory,
        })
    }

    /// Returns the response of the Prometheus API to a request for `path`. Returns `null` if Prometheus does not
    /// respond yet.
    pub(super) fn api(&self, path: &str) -> Value {
        serde_json::from_slice(&get(&self.address, path, &[]).body).unwrap_or_default()
    }

    /// Returns the metrics about Prometheus itself.
    pub(super) fn own_metrics(&self) -> String {
        get(&self.address, "/metrics", &[]).text()
    }

    /// Returns the values in the result of a query, in ascending order.
    pub(super) fn query(&self, query: &str) -> Vec<f64> {
        let rows = self.rows(query).into_iter();
        let mut values: Vec<_> = rows.map(|row| value(&row)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Returns the result of a query: rows with labels and a value.
    pub(super) fn rows(&self, query: &str) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let mut answer = self.api(&format!("/api/v1/query?query={query}"));
        if answer.is_null() {
            return Vec::new();
        }
        match answer["data"]["result"].take() {
            Value::Array(rows) => rows,
            other => panic!("{query}: {other}"),
        }
    }

    /// Evaluates a query every 0.1 s from `start` to `end`. Each row of the result has the values of one series with
    /// their times.
    pub(super) fn history(&self, query: &str, start: f64, end: f64) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let range = format!("query={query}&start={start}&end={end}&step=0.1");
        let mut answer = self.api(&format!("/api/v1/query_range?{range}"));
        match answer["data"]["result"].take() {
            Value::Array(rows) => rows,
            other => panic!("{query}: {other}"),
        }
    }

    /// Returns the values of a metric about Prometheus itself.
    pub(super) fn own(&self, metric: &str) -> Vec<f64> {
        let own = self.own_metrics();
        let lines = own.lines().filter(|line| {
            let rest = line.strip_prefix(metric);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = lines.map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse().unwrap()).collect()
    }

    /// Returns the number of failed evaluations of each group of rules.
    pub(super) fn failed_evaluations(&self) -> Vec<f64> {
        self.own("prometheus_rule_evaluation_failures_total")
    }

    /// Asserts that Prometheus has evaluated rules, and that no evaluation failed.
    #[track_caller]
    pub(super) fn assert_no_rule_failed(&self) {
        let failures = self.failed_evaluations();
        assert!(!failures.is_empty());
        let is_zero = |count: &f64| *count == 0.0;
        assert!(failures.iter().all(is_zero), "{}", self.own_metrics());
    }

    /// Waits until there are exactly `count` targets, and the newest scrape of each target was successful.
    fn scrapes(&self, count: usize) {
        let targets = || self.api("/api/v1/targets?state=active")["data"]["activeTargets"].take();
        let what = "all targets are up";
        let is_up = || (self.query("up") == vec![1.0; count]).then_some(());
        eventually_or(what, is_up, || format!("{:#}", targets()));
        assert_eq!(targets().as_array().unwrap().len(), count);
        // The metrics from both ports exist: the metrics of objects, and the metrics about the exporter.
        assert_eq!(self.query("kube_node_info").len(), 3);
        assert_eq!(self.query("kube_state_metrics_build_info"), [1.0]);
    }
}

/// Returns the value in a row of a result.
pub(super) fn value(row: &Value) -> f64 {
    row["value"][1].as_str().unwrap().parse().unwrap()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The certificates of Prometheus and of the exporter, and the exporter's web configuration from the documentation.
struct Place {
    directory: Directory,
    web: String,
}

impl Place {
    fn new(web: &str) -> Self {
        let directory = Directory::new("place");
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let server = servers.issue("exporter");
        directory.write("servers.crt", &servers.pem());
        directory.write("server.crt", &server.certificate);
        directory.write("server.key", &server.key);
        let prometheus = clients.issue_to("prometheus", &["prometheus"]);
        directory.write("clients.crt", &clients.pem());
        directory.write("prometheus.crt", &prometheus.certificate);
        directory.write("prometheus.key", &prometheus.key);
        let path = format!("{}/", directory.str());
        let text = block(DOCS, web, "yaml").replace("/etc/kube-state-metrics/", &path);
        let web = directory.write("web.yaml", &text);
        Self { directory, web }
    }

    fn exporter(&self, args: &[&str]) -> Exporter {
        Exporter::start(&[&["--tls-config", &self.web], args].concat())
    }

    fn prometheus(
        &self,
        name: &str,
        exporter: &Exporter,
        more: &[(&str, &str)],
    ) -> Option<Prometheus> {
        let path = format!("{}/", self.directory.str());
        let own = [("/etc/prometheus/", path.as_str())];
        Prometheus::start(name, exporter, &[&own, more].concat())
    }
}

#[test]
fn a_static_target_is_scraped() {
    let exporter = Exporter::start(&[]);
    if let Some(prometheus) = Prometheus::start("static", &exporter, &[]) {
        prometheus.scrapes(2);
        // Prometheus requests OpenMetrics with gzip, and accepts the whole response.
        let text = exporter.metrics("");
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        let scraped = prometheus.query("scrape_samples_scraped");
        assert_eq!(scraped.last(), Some(&(samples as f64)));
        let pods = text.matches("\nkube_pod_info{").count();
        assert_eq!(prometheus.query("count(kube_pod_info)"), [pods as f64]);
    }
}

#[test]
fn clients_with_certificates_are_scraped_over_https() {
    let place = Place::new("web-client-certificates");
    let exporter = place.exporter(&[]);
    if let Some(prometheus) = place.prometheus("client-certificates", &exporter, &[]) {
        prometheus.scrapes(2);
    }
}

#[test]
fn users_with_passwords_are_scraped() {
    let place = Place::new("web-users");
    place.directory.write("password", "open sesame");
    let exporter = place.exporter(&[]);
    if let Some(prometheus) = place.prometheus("users", &exporter, &[]) {
        prometheus.scrapes(2);
    }
}

#[test]
fn tokens_that_may_read_are_scraped() {
    let api = Api::start(&[]);
    let place = Place::new("web-users");
    // The web configuration is the one from the documentation, but without users.
    let web = std::fs::read_to_string(&place.web).unwrap();
    let (tls, _) = web.split_once("basic_auth_users").unwrap();
    place.directory.write("web.yaml", tls);
    place.directory.write("token", "reader");
    let kubeconfig = place.directory.write("kubeconfig", &api.kubeconfig());
    let exporter = place.exporter(&["--auth-filter", "--kubeconfig", &kubeconfig]);
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount/";
    let path = format!("{}/", place.directory.str());
    if let Some(prometheus) = place.prometheus("tokens", &exporter, &[(secrets, &path)]) {
        prometheus.scrapes(2);
        let asked = api.count("tokenreviews");
        assert!(
            (1..=2).contains(&asked),
            "{asked}: the answer is remembered"
        );
    }
}

#[test]
fn pods_with_the_annotation_are_found_and_scraped() {
    let exporter = Exporter::start(&[]);
    let port = |address: &str| address.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let pod = |name: &str, annotations: Value| {
        json!({
            "metadata": { "name": name, "namespace": "kube-system", "uid": name, "annotations": annotations },
            "spec": { "nodeName": "n", "containers": [{ "name": "kube-state-metrics", "image": "i", "ports": [
                { "name": "http-metrics", "containerPort": port(&exporter.main), "protocol": "TCP" },
                { "name": "telemetry", "containerPort": port(&exporter.telemetry), "protocol": "TCP" },
            ] }] },
            "status": { "phase": "Running", "podIP": "127.0.0.1", "hostIP": "127.0.0.1",
                "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    };
    let pods = vec![
        pod("ksm", json!({ "prometheus.io/scrape": "true" })),
        pod("other", json!({})),
        pod("off", json!({ "prometheus.io/scrape": "false" })),
    ];
    let discovery = "kubernetes_sd_configs:\n      - role: pod";
    let directory = Directory::new("discovered");
    let prometheus = if has_kubernetes_discovery() {
        let api = Api::start(&[]);
        pods.into_iter().for_each(|pod| api.put("pods", pod));
        let ours = format!("{discovery}\n        api_server: {}", api.url);
        Prometheus::start("annotations", &exporter, &[(discovery, &ours)])
    } else {
        // Instead of service discovery, a file names the targets that service discovery would find. The rest of the
        // configuration is from the documentation.
        let file = directory.write("targets.json", &discovered(&pods).to_string());
        let ours = format!("file_sd_configs:\n      - files: [{file}]");
        Prometheus::start("annotations", &exporter, &[(discovery, &ours)])
    };
    if let Some(prometheus) = prometheus {
        prometheus.scrapes(2);
    }
}

/// Whether the installed Prometheus has the service discovery of Kubernetes. The Prometheus of Debian does not have it.
pub(super) fn has_kubernetes_discovery() -> bool {
    let directory = Directory::new("discovery");
    let text = "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs:\n  - role: pod\n";
    let config = directory.write("prometheus.yml", text);
    let checked =
        promtool().map(|mut promtool| promtool.args(["check", "config", &config]).output());
    let has = checked.is_some_and(|checked| checked.unwrap().status.success());
    if !has {
        eprintln!("SKIPPED: this Prometheus has no kubernetes_sd_configs; a file takes its place");
    }
    has
}

/// Returns the targets that Prometheus would discover in these pods: one target for each declared port.
fn discovered(pods: &[Value]) -> Value {
    let mut targets = Vec::new();
    for pod in pods {
        for port in pod["spec"]["containers"][0]["ports"].as_array().unwrap() {
            let address = format!("127.0.0.1:{}", port["containerPort"]);
            let mut labels = json!({ "__meta_kubernetes_pod_name": pod["metadata"]["name"] });
            for (key, value) in pod["metadata"]["annotations"].as_object().unwrap() {
                let name = key.replace(['.', '/'], "_");
                labels[format!("__meta_kubernetes_pod_annotation_{name}")] = value.clone();
            }
            targets.push(json!({ "targets": [address], "labels": labels }));
        }
    }
    Value::Array(targets)
}

#[test]
fn the_documented_configurations_are_all_of_those_that_are_tested() {
    let tested = [
        "static",
        "annotations",
        "stable-series",
        "web-client-certificates",
        "client-certificates",
        "web-users",
        "users",
        "tokens",
    ];
    let marked: Vec<_> = DOCS
        .split("<!-- ")
        .skip(1)
        .map(|rest| rest.split(" -->").next().unwrap())
        .collect();
    assert_eq!(marked, tested);
    assert_eq!(DOCS.matches("```yaml").count(), tested.len());
    assert!(std::path::Path::new(CLUSTER).is_dir());
}
