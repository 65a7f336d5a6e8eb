//! Tests rollouts of the exporter. A real Prometheus discovers the replicas in a cluster while rollouts replace them.
//!
//! The replicas are local processes. Some tests simulate the control plane. The other tests use the cluster of the
//! kubeconfig that `KUBECONFIG` names.

mod cluster;
mod measured;
mod plane;
mod replica;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use self::cluster::Cluster;
use self::measured::Measured;
use self::plane::{ControlPlane, Place, Simulated};
use self::replica::{Program, Replica};
use super::prometheus::{Prometheus, block, has_kubernetes_discovery};
use super::support::{Directory, eventually, eventually_or};
use super::well_known;

const SCRAPING: &str = include_str!("../../../docs/how-to/scrape.md");
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// The name of an environment variable. Its value is a list of further rule files, separated by commas.
const RULE_FILES: &str = "ROLLOUTS_RULE_FILES";
/// The name of an environment variable. Its value is the number of rollouts on the cluster that `KUBECONFIG` names.
const TIMES: &str = "ROLLOUTS_TIMES";
/// The usual scrape configuration of kube-state-metrics. With this configuration, series end in a rollout and new
/// series begin.
const USUAL: &str = "
global:
  scrape_interval: 30s
scrape_configs:
  - job_name: kube-state-metrics
    honor_labels: true
    kubernetes_sd_configs:
      - role: endpointslice
    relabel_configs:
      - source_labels: [__meta_kubernetes_service_name, __meta_kubernetes_endpointslice_port_name]
        regex: kube-state-metrics;http-metrics
        action: keep
";

/// The kind of objects by which Prometheus discovers the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Prometheus discovers EndpointSlices, as with a ServiceMonitor that has this role.
    EndpointSlice,
    /// Prometheus discovers pods, as with a PodMonitor.
    Pod,
}

/// The replicas that rollouts replace, and how Prometheus discovers the replicas.
struct Setup {
    program: Program,
    role: Role,
    replicas: usize,
    /// The time between the start of a replica and its first readiness probe.
    readiness_delay: Duration,
}

/// The replicas of the exporter, and a Prometheus that scrapes them.
struct Rollouts {
    setup: Setup,
    plane: Box<dyn ControlPlane>,
    prometheus: Prometheus,
    /// The directory of the file with the targets; `None` if Prometheus discovers the targets.
    targets: Option<Directory>,
    /// The directory of the file with the published rules.
    _rules: Directory,
    /// All replicas. The oldest replica is first.
    replicas: Vec<Replica>,
    started: u32,
}

/// The state of a pod, as the control plane writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodState {
    Starting,
    Ready,
    /// The pod is still running, but has received SIGTERM.
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

    /// Returns the labels by which the job in the documentation selects targets.
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

// === impl Setup ===

impl Setup {
    /// Returns a setup with two replicas of this exporter that use `--ha`.
    fn highly_available(role: Role) -> Self {
        Self::with(Program::HighlyAvailable, role, 2)
    }

    fn with(program: Program, role: Role, replicas: usize) -> Self {
        let readiness_delay = program.readiness_delay();
        Self {
            program,
            role,
            replicas,
            readiness_delay,
        }
    }

    /// Returns the configuration of Prometheus. `discovery` replaces the service discovery in the documented
    /// configuration.
    fn configuration(&self, discovery: &str, rules: &[String]) -> String {
        let global = format!(
            "scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: {}",
            json!(rules)
        );
        let [documented, selected] = [Role::EndpointSlice, self.role]
            .map(|role| role.selected().map(|(name, _)| name).join(", "));
        let mut text = match self.program {
            Program::HighlyAvailable => block(SCRAPING, "stable-series", "yaml"),
            Program::Other(_) => USUAL.to_owned(),
        };
        for (documented, ours) in [
            ("scrape_interval: 30s", &*global),
            (
                "kubernetes_sd_configs:\n      - role: endpointslice",
                discovery,
            ),
            (&documented, &selected),
        ] {
            assert!(text.contains(documented), "{documented}: {text}");
            text = text.replace(documented, ours);
        }
        text
    }
}

// === impl Rollouts ===

impl Rollouts {
    /// Starts Prometheus. Returns `None` if Prometheus is not installed.
    fn start(setup: Setup, plane: Box<dyn ControlPlane>) -> Option<Self> {
        let targets = (!has_kubernetes_discovery()).then(|| Directory::new("rollouts"));
        let discovery = match &targets {
            Some(directory) => {
                let file = directory.write("targets.json", "[]");
                format!("file_sd_configs:\n      - files: [{file}]")
            }
            None => {
                let role = format!("role: {}", setup.role.name());
                let lines = [vec![role], plane.discovery()].concat();
                format!(
                    "kubernetes_sd_configs:\n      - {}",
                    lines.join("\n        ")
                )
            }
        };
        let published = Directory::new("rollouts-rules");
        let mixin = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/mixin");
        let mut rules = vec![
            format!("{mixin}/rules.yaml"),
            format!("{mixin}/alerts.yaml"),
            published.write("rules.yaml", &well_known::rules().to_string()),
        ];
        let more = std::env::var(RULE_FILES).unwrap_or_default();
        rules.extend(
            more.split(',')
                .filter(|path| !path.is_empty())
                .map(str::to_owned),
        );
        Some(Self {
            prometheus: Prometheus::run(&setup.configuration(&discovery, &rules), &[])?,
            setup,
            plane,
            targets,
            _rules: published,
            replicas: Vec::new(),
            started: 0,
        })
    }

    /// Returns the selector of a series that each leader exports.
    fn series(&self) -> String {
        let namespace = self.plane.place().objects;
        format!("kube_namespace_created{{namespace=\"{namespace}\"}}")
    }

    /// Starts a replica. In a rollout, a Deployment starts a new replica before it stops an old replica.
    fn add(&mut self) {
        self.started += 1;
        let name = format!("ksm-{}", self.started);
        let replica = self.setup.program.start(name, &*self.plane);
        self.replicas.push(replica);
        let at = self.replicas.len() - 1;
        self.publish(at, PodState::Starting);
        self.replicas[at].becomes_ready(self.setup.readiness_delay, &self.series());
        self.publish(at, PodState::Ready);
    }

    /// Stops the oldest replica.
    fn remove(&mut self) {
        self.publish(0, PodState::Ending);
        let old = self.replicas.remove(0);
        let name = old.name.clone();
        old.stop();
        self.plane.delete("endpointslices", &name);
        self.plane.delete("pods", &name);
        self.publish_file();
    }

    /// Writes the pod and the EndpointSlice of a replica, as the control plane would do.
    fn publish(&self, at: usize, state: PodState) {
        let Replica { name, address, .. } = &self.replicas[at];
        let (host, port) = address.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let namespace = self.plane.place().namespace;
        let labels = json!({ "app.kubernetes.io/name": "kube-state-metrics",
            "kubernetes.io/service-name": "kube-state-metrics" });
        let metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
        let is_ready = state == PodState::Ready;
        let status = if is_ready { "True" } else { "False" };
        let ports = json!([{ "name": "http-metrics", "containerPort": port, "protocol": "TCP" }]);
        let pod = json!({
            "metadata": metadata,
            "spec": { "containers": [{ "name": "kube-state-metrics", "image": "i", "ports": ports }] },
            "status": { "phase": "Running", "podIP": host, "podIPs": [{ "ip": host }],
                "conditions": [{ "type": "Ready", "status": status }] },
        });
        match state {
            PodState::Ending => self.plane.end(pod),
            PodState::Starting | PodState::Ready => self.plane.put("pods", pod),
        }
        // A replica that has received SIGTERM still serves requests, so its `serving` condition is true.
        let conditions = json!({ "ready": is_ready, "serving": state != PodState::Starting,
            "terminating": state == PodState::Ending });
        let target = json!({ "kind": "Pod", "name": name, "namespace": namespace });
        self.plane.put("endpointslices", json!({
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [{ "addresses": [host], "conditions": conditions, "targetRef": target }],
            "ports": [{ "name": "http-metrics", "port": port, "protocol": "TCP" }],
        }));
        self.publish_file();
    }

    /// Writes the targets that Prometheus would discover to a file. Prometheus still discovers a pod that is ending,
    /// until the pod is deleted.
    fn publish_file(&self) {
        let Some(directory) = &self.targets else {
            return;
        };
        let namespace = self.plane.place().namespace;
        let targets = self.replicas.iter().map(|replica| {
            let mut labels = json!({ "__meta_kubernetes_namespace": namespace,
                "__meta_kubernetes_pod_name": replica.name });
            for (label, value) in self.setup.role.selected() {
                labels[label] = json!(value);
            }
            json!({ "targets": [replica.address], "labels": labels })
        });
        let targets: Value = targets.collect();
        directory.write("targets.json", &targets.to_string());
    }

    /// Waits until Prometheus scrapes all replicas.
    fn are_scraped(&self) {
        let targets = || self.prometheus.api("/api/v1/targets")["data"].take();
        let expected = vec![1.0; self.replicas.len()];
        eventually_or(
            "all targets are up",
            || (self.prometheus.query("up") == expected).then_some(()),
            || format!("{:#}", targets()),
        );
    }

    /// Adds the first replica, and waits until Prometheus has evaluated all rules over its series. Returns the time
    /// after these evaluations.
    fn add_first(&mut self) -> f64 {
        self.add();
        self.are_scraped();
        let series = self.series();
        eventually("the series", || {
            (self.prometheus.query(&series).len() == 1).then_some(())
        });
        // After one more scrape interval, Prometheus has all series of the replica. The test waits until each group of
        // rules has an evaluation that started after this time.
        let seen = now() + SCRAPE_INTERVAL.as_secs_f64();
        let group = |metric: &str| {
            self.prometheus
                .own(&format!("prometheus_rule_group_{metric}_seconds"))
        };
        eventually("the rules have been evaluated", || {
            let (intervals, times) = (group("interval"), group("last_evaluation_timestamp"));
            let mut groups = intervals.iter().zip(&times);
            // Groups of rules with a longer interval do not read metrics of objects, so the test does not wait for
            // these groups.
            let is_fresh = |(interval, time): (&f64, &f64)| *interval > 1.0 || *time > seen;
            groups.all(is_fresh).then_some(())
        });
        now()
    }

    /// Makes `times` rollouts. Each rollout replaces all replicas.
    fn run(&mut self, times: u32) -> Measured {
        let single = self.add_first();
        while self.replicas.len() < self.setup.replicas {
            self.add();
        }
        self.are_scraped();
        let start = now();
        for _ in 0..times as usize * self.setup.replicas {
            self.add();
            self.remove();
        }
        let time = [start, now()];
        let measured = Measured::new(&self.prometheus, &self.series(), single, time);
        let Setup {
            program,
            role,
            replicas,
            ..
        } = &self.setup;
        println!(
            "{}, {role:?}: {times} rollouts, replicas: {replicas}\n{measured}",
            program.name()
        );
        measured
    }

    /// Returns the labels of each series that the selector has matched since the start.
    fn label_sets(&self, selector: &str) -> Vec<Value> {
        let selector: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let answer = self
            .prometheus
            .api(&format!("/api/v1/series?match[]={selector}"));
        answer["data"].as_array().unwrap().clone()
    }

    /// Checks that the labels of objects come from the samples. Also checks that the labels do not depend on the
    /// replica.
    fn assert_labels(&self) {
        let Place {
            namespace,
            objects,
            node,
            ..
        } = self.plane.place();
        let job = json!({ "instance": "kube-state-metrics", "job": "kube-state-metrics" });
        for (selector, labels) in [
            (
                format!(
                    "kube_pod_container_info{{namespace=\"{objects}\",pod=\"web-1\",container=\"app\"}}"
                ),
                json!({ "pod": "web-1", "container": "app" }),
            ),
            (
                format!("kube_service_info{{namespace=\"{objects}\",service=\"web\"}}"),
                json!({ "service": "web" }),
            ),
            // If a sample has no label `namespace`, the sample gets the namespace of the target, as with
            // `honor_labels`.
            (
                format!("kube_node_created{{node=\"{node}\"}}"),
                json!({ "namespace": namespace, "node": node }),
            ),
        ] {
            let found = self.label_sets(&selector);
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
            let series = self.label_sets(own);
            // Prometheus updates its targets only every five seconds, so it may miss some replicas.
            assert!(series.len() > 2, "{own}: {series:?}");
            let names_its_pod =
                |labels: &Value| labels["pod"].as_str().unwrap().starts_with("ksm-");
            assert!(series.iter().all(names_its_pod), "{own}: {series:?}");
        }
    }
}

pub(super) fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// Makes `times` rollouts of two replicas. Checks that the series of [`Rollouts::series`] has no long gap and exists
/// only once, and that each result of a rule exists only once.
fn roll_out(setup: Setup, plane: Box<dyn ControlPlane>, times: u32) {
    let Some(mut rollouts) = Rollouts::start(setup, plane) else {
        return;
    };
    let measured = rollouts.run(times);
    assert_eq!(measured.doubled, 0, "{measured}");
    // A gap of one scrape interval is normal. On a busy machine, each of the two scrapes around the gap may be late by
    // one further interval. If the replicas handed over too late, the gap would last for the lease duration (15 s).
    assert!(
        measured.longest_gap <= 3.0 * SCRAPE_INTERVAL.as_secs_f64() + 0.05,
        "{measured}"
    );
    assert!(measured.doubled_rules.is_empty(), "{measured}");
    assert!(measured.with_results > 3, "{measured}");
    rollouts.assert_labels();
    rollouts.prometheus.assert_no_rule_failed();
}

fn roll_out_simulated(role: Role, times: u32) {
    let setup = Setup {
        readiness_delay: Duration::ZERO,
        ..Setup::highly_available(role)
    };
    roll_out(setup, Box::new(Simulated::start()), times);
}

#[test]
fn rollouts_end_and_double_no_series_of_endpoint_slices() {
    roll_out_simulated(Role::EndpointSlice, 10);
}

#[test]
fn rollouts_end_and_double_no_series_of_pods() {
    roll_out_simulated(Role::Pod, 10);
}

#[test]
#[ignore = "takes ten minutes"]
fn a_hundred_rollouts_end_and_double_no_series() {
    roll_out_simulated(Role::EndpointSlice, 100);
}

// === a cluster ===

fn times() -> u32 {
    std::env::var(TIMES).map_or(10, |times| times.parse().unwrap())
}

fn roll_out_on_a_cluster(role: Role) {
    assert!(has_kubernetes_discovery());
    let setup = Setup::highly_available(role);
    roll_out(setup, Box::new(Cluster::start()), times());
}

#[test]
#[ignore = "needs kubectl, KUBECONFIG of a cluster, and a Prometheus with kubernetes_sd_configs"]
fn rollouts_on_a_cluster_end_and_double_no_series_of_endpoint_slices() {
    roll_out_on_a_cluster(Role::EndpointSlice);
}

#[test]
#[ignore = "needs kubectl, KUBECONFIG of a cluster, and a Prometheus with kubernetes_sd_configs"]
fn rollouts_on_a_cluster_end_and_double_no_series_of_pods() {
    roll_out_on_a_cluster(Role::Pod);
}

/// Measures another exporter: first one replica, as in the manifests of that exporter, and then two replicas. The test
/// prints the results, but does not check them.
#[test]
#[ignore = "needs kubectl, KUBECONFIG of a cluster, a Prometheus with kubernetes_sd_configs, and ROLLOUTS_OTHER_EXPORTER"]
fn rollouts_of_another_exporter_on_a_cluster_are_measured() {
    assert!(has_kubernetes_discovery());
    for replicas in [1, 2] {
        let setup = Setup::with(Program::other(), Role::EndpointSlice, replicas);
        let rollouts = Rollouts::start(setup, Box::new(Cluster::start()));
        rollouts.unwrap().run(times());
    }
}
