//! A real Prometheus discovers two replicas in a cluster, while rollouts replace them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Api;
use super::continuity::{CREATED, api};
use super::prometheus::{Prometheus, block, has_kubernetes_discovery};
use super::support::{Directory, Exporter, eventually, eventually_or};

const SCRAPING: &str = include_str!("../../../docs/how-to/scrape.md");
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// A series that each leader exports.
const SERIES: &str = "kube_namespace_created{namespace=\"shop\"}";

/// The objects by which Prometheus discovers the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// As for a ServiceMonitor with the role EndpointSlice.
    EndpointSlice,
    /// As for a PodMonitor.
    Pod,
}

/// Two replicas in a cluster, and a Prometheus that scrapes them.
struct Rollouts {
    api: Api,
    prometheus: Prometheus,
    role: Role,
    /// The file with the targets; `None` if Prometheus discovers the targets itself.
    targets: Option<Directory>,
    /// The replicas with their names, from the oldest to the newest.
    replicas: Vec<(String, Exporter)>,
    started: u32,
    /// The version of the last EndpointSlice.
    version: u32,
}

/// What the control plane writes about a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodState {
    Starting,
    Ready,
    /// The pod still runs, but the control plane has sent SIGTERM.
    Ending,
}

// === impl Role ===

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::EndpointSlice => "endpointslice",
            Self::Pod => "pod",
        }
    }

    /// The labels of a target that the documented job selects.
    fn selected(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::EndpointSlice => [
                ("__meta_kubernetes_service_name", "kube-state-metrics"),
                ("__meta_kubernetes_endpointslice_port_name", "http-metrics"),
            ],
            Self::Pod => [
                (
                    "__meta_kubernetes_pod_label_app_kubernetes_io_name",
                    "kube-state-metrics",
                ),
                ("__meta_kubernetes_pod_container_port_name", "http-metrics"),
            ],
        }
    }
}

// === impl Rollouts ===

impl Rollouts {
    /// Starts a simulated API server and a Prometheus; `None` if Prometheus is not installed.
    fn start(role: Role) -> Option<Self> {
        let api = api();
        api.put(
            "services",
            json!({ "metadata": { "name": "kube-state-metrics", "namespace": "monitoring", "uid": "ksm",
                "creationTimestamp": CREATED, "resourceVersion": "3" }, "spec": { "clusterIP": "None" } }),
        );
        let targets = (!has_kubernetes_discovery()).then(|| Directory::new("rollouts"));
        let discovery = match &targets {
            Some(directory) => {
                let file = directory.write("targets.json", "[]");
                format!("file_sd_configs:\n      - files: [{file}]")
            }
            None => format!(
                "kubernetes_sd_configs:\n      - role: {}\n        api_server: {}",
                role.name(),
                api.url
            ),
        };
        let mixin = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/mixin");
        let global = format!(
            "scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{mixin}/rules.yaml, {mixin}/alerts.yaml]"
        );
        let [documented, selected] = [Role::EndpointSlice, role]
            .map(|role| role.selected().map(|(name, _)| name).join(", "));
        let mut text = block(SCRAPING, "stable-series", "yaml");
        for (documented, ours) in [
            ("scrape_interval: 30s", &global),
            (
                "kubernetes_sd_configs:\n      - role: endpointslice",
                &discovery,
            ),
            (documented.as_str(), &selected),
        ] {
            assert!(text.contains(documented), "{documented}: {text}");
            text = text.replace(documented, ours);
        }
        Some(Self {
            api,
            prometheus: Prometheus::run(&text, &[])?,
            role,
            targets,
            replicas: Vec::new(),
            started: 0,
            version: 100,
        })
    }

    /// Starts a replica, as a Deployment does before the Deployment stops an old replica.
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
        self.replicas.push((name, replica));
        self.publish(self.replicas.len() - 1, PodState::Starting);
        self.replicas.last().unwrap().1.becomes_ready();
        self.publish(self.replicas.len() - 1, PodState::Ready);
    }

    /// Stops the oldest replica.
    fn remove(&mut self) {
        self.publish(0, PodState::Ending);
        let (name, mut old) = self.replicas.remove(0);
        old.signal("TERM");
        assert!(old.wait().success());
        self.api.delete("endpointslices", &name);
        self.api.delete("pods", &name);
        self.publish_file();
    }

    /// Writes the pod and the EndpointSlice of a replica, as the control plane does.
    fn publish(&mut self, at: usize, state: PodState) {
        self.version += 1;
        let (name, replica) = &self.replicas[at];
        let port: u16 = replica.main.rsplit(':').next().unwrap().parse().unwrap();
        let labels = json!({ "app.kubernetes.io/name": "kube-state-metrics",
            "kubernetes.io/service-name": "kube-state-metrics" });
        let is_ready = state == PodState::Ready;
        let mut metadata = json!({ "name": name, "namespace": "monitoring", "uid": name, "labels": labels,
            "creationTimestamp": CREATED, "resourceVersion": "3" });
        if state == PodState::Ending {
            metadata["deletionTimestamp"] = json!(CREATED);
        }
        let status = if is_ready { "True" } else { "False" };
        let ports = json!([{ "name": "http-metrics", "containerPort": port, "protocol": "TCP" }]);
        self.api.put("pods", json!({
            "metadata": metadata,
            "spec": { "nodeName": "n", "containers": [{ "name": "kube-state-metrics", "image": "i", "ports": ports }] },
            "status": { "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{ "ip": "127.0.0.1" }],
                "conditions": [{ "type": "Ready", "status": status }] },
        }));
        // A replica that has received SIGTERM still serves requests.
        let conditions = json!({ "ready": is_ready, "serving": state != PodState::Starting,
            "terminating": state == PodState::Ending });
        let target = json!({ "kind": "Pod", "name": name, "namespace": "monitoring", "uid": name });
        let version = self.version.to_string();
        self.api.put("endpointslices", json!({
            "metadata": { "name": name, "namespace": "monitoring", "uid": name, "labels": labels,
                "creationTimestamp": CREATED, "resourceVersion": version },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["127.0.0.1"], "conditions": conditions, "targetRef": target }],
            "ports": [{ "name": "http-metrics", "port": port, "protocol": "TCP" }],
        }));
        self.publish_file();
    }

    /// Writes the targets that Prometheus would discover. Prometheus discovers a pod until the pod is deleted.
    fn publish_file(&self) {
        let Some(directory) = &self.targets else {
            return;
        };
        let targets = self.replicas.iter().map(|(name, replica)| {
            let mut labels = json!({ "__meta_kubernetes_namespace": "monitoring", "__meta_kubernetes_pod_name": name });
            for (label, value) in self.role.selected() {
                labels[label] = json!(value);
            }
            json!({ "targets": [replica.main], "labels": labels })
        });
        let targets: Value = targets.collect();
        directory.write("targets.json", &targets.to_string());
    }

    /// The label sets of a metric since the start.
    fn series(&self, selector: &str) -> Vec<Value> {
        let selector: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let answer = self
            .prometheus
            .api(&format!("/api/v1/series?match[]={selector}"));
        answer["data"].as_array().unwrap().clone()
    }

    /// Returns the longest time without the series, from a range query with ten points per second. Fails if the series
    /// exists twice at one point.
    fn longest_gap(&self, start: f64, end: f64) -> f64 {
        let query = format!("query=count({SERIES})&start={start}&end={end}&step=0.1");
        let answer = self.prometheus.api(&format!(
            "/api/v1/query_range?{}",
            query.replace('"', "%22")
        ));
        let points = answer["data"]["result"][0]["values"].as_array();
        let points = points.unwrap_or_else(|| panic!("{answer}"));
        let (mut longest, mut before) = (0.0_f64, start);
        for point in points {
            assert_eq!(point[1], "1", "{point}");
            let at = point[0].as_f64().unwrap();
            longest = longest.max(at - before);
            before = at;
        }
        longest.max(end - before)
    }

    /// Checks that the labels of objects come from the samples, and that all replicas have the same labels.
    fn assert_labels(&self) {
        let job = json!({ "instance": "kube-state-metrics", "job": "kube-state-metrics" });
        for (selector, labels) in [
            (
                "kube_pod_container_info{namespace=\"shop\"}",
                json!({ "pod": "web-1", "container": "app" }),
            ),
            (
                "kube_service_info{namespace=\"shop\"}",
                json!({ "service": "web" }),
            ),
            // A sample without a namespace has the namespace of the target, as with `honor_labels`.
            (
                "kube_node_created",
                json!({ "namespace": "monitoring", "node": "n" }),
            ),
        ] {
            let found = self.series(selector);
            assert_eq!(found.len(), 1, "{found:?}");
            let expected = job.as_object().unwrap().iter();
            for (key, value) in expected.chain(labels.as_object().unwrap()) {
                assert_eq!(found[0][key], *value, "{key} of {}", found[0]);
            }
            let absent = ["pod", "service", "container", "endpoint"];
            for key in absent.iter().filter(|key| labels[**key].is_null()) {
                assert!(found[0][*key].is_null(), "{key} of {}", found[0]);
            }
            assert!(!found[0].to_string().contains("exported_"), "{}", found[0]);
            assert!(!found[0].to_string().contains("__tmp"), "{}", found[0]);
        }
        for own in ["up", "kube_state_metrics_leader"] {
            let series = self.series(own);
            // Prometheus applies new targets every five seconds, so Prometheus may miss some replicas.
            assert!(series.len() > 2, "{own}: {series:?}");
            let names_its_pod =
                |labels: &Value| labels["pod"].as_str().unwrap().starts_with("ksm-");
            assert!(series.iter().all(names_its_pod), "{own}: {series:?}");
        }
    }

    fn assert_no_failed_rule(&self) {
        self.prometheus.assert_no_rule_failed();
    }
}

pub(super) fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// Replaces two replicas `times` times. Checks that no series has a long gap, and that no series exists twice.
fn roll_out(role: Role, times: u32) {
    let Some(mut rollouts) = Rollouts::start(role) else {
        return;
    };
    rollouts.add();
    rollouts.add();
    let prometheus = &rollouts.prometheus;
    let targets = || prometheus.api("/api/v1/targets")["data"].take();
    eventually("the series of the leader", || {
        (prometheus.query(SERIES).len() == 1).then_some(())
    });
    eventually_or(
        "both targets are up",
        || (prometheus.query("up") == [1.0, 1.0]).then_some(()),
        || format!("{:#}", targets()),
    );
    let start = now();
    for _ in 0..2 * times {
        rollouts.add();
        rollouts.remove();
    }
    let end = now();
    let longest = rollouts.longest_gap(start, end);
    println!(
        "{role:?}: {times} rollouts in {:.0} s, longest gap {longest:.1} s",
        end - start
    );
    // A gap of up to one interval is expected. On a busy machine, a scrape may be late by up to another interval.
    assert!(longest <= 2.0 * SCRAPE_INTERVAL.as_secs_f64(), "{longest}");
    rollouts.assert_labels();
    rollouts.assert_no_failed_rule();
}

#[test]
fn rollouts_end_and_double_no_series_of_endpoint_slices() {
    roll_out(Role::EndpointSlice, 10);
}

#[test]
fn rollouts_end_and_double_no_series_of_pods() {
    roll_out(Role::Pod, 10);
}

#[test]
#[ignore = "takes ten minutes"]
fn a_hundred_rollouts_end_and_double_no_series() {
    roll_out(Role::EndpointSlice, 100);
}
