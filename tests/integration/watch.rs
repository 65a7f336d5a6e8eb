//! Tests watches with a simulated server that can inject faults. The clock is paused, so no test waits in real time.

mod audit;
mod chaos;
#[cfg(feature = "custom-resources")]
mod custom;
#[cfg(feature = "cel")]
mod expensive;
#[cfg(feature = "cel")]
mod expensive_lists;
mod faults;
mod health;
mod hostile;
mod joins;
mod large;
mod lists;
mod log;
mod long_lists;
mod metadata_only;
mod not_utf8;
mod partial;
mod protobuf;
mod scope;
mod selfmetrics;
mod shard_faults;
mod sharding;
mod sharing;
mod streams;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::source::health::{Health, ReadinessPolicy, ResourceHealth};
use kube_state_metrics::source::watch::{WatchBuilder, WatchHandle};
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};
use serde_json::{Value, json};

use crate::support::{ApiServer, Background, background, eventually};

/// A running set of watches, with the simulated server and the registry.
struct Running {
    server: ApiServer,
    metrics: StateMetrics,
    registry: prometheus::Registry,
    health: Health,
    handle: WatchHandle,
    task: Background,
}

fn config_map(namespace: &str, name: &str) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "creationTimestamp": "2023-11-14T22:13:20Z" } })
}

/// Returns a configmap that does not decode.
fn broken(namespace: &str, name: &str) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "creationTimestamp": [5] } })
}

fn namespace(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "status": { "phase": "Active" } })
}

/// Returns families for pods. One family shows the node of a pod.
fn pods() -> Collector<Pod> {
    let on = Family::gauge("pod_on", "Node of the pod.").labels(["node"]);
    Collector::new().family(on.generate(|pod: &Pod, s| {
        let spec = pod.spec.as_ref();
        let node = spec.and_then(|spec| spec.node_name.as_deref());
        s.label("node", node.unwrap_or_default()).value(1);
    }))
}

/// Returns a builder for configmaps and namespaces.
fn two_resources() -> Builder {
    StateMetrics::builder().built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
}

fn metrics() -> StateMetrics {
    two_resources().build().unwrap()
}

/// Returns a server with some configmaps and namespaces.
fn server() -> ApiServer {
    let server = ApiServer::new();
    for name in ["a", "b"] {
        server.put("namespaces", namespace(name));
        for number in 0..6 {
            server.put("configmaps", config_map(name, &format!("cm{number}")));
        }
    }
    server
}

/// Starts the watches of `metrics` in the background. Audits are disabled by default. `configure` can enable audits.
fn start(
    server: &ApiServer,
    metrics: StateMetrics,
    configure: impl FnOnce(WatchBuilder) -> WatchBuilder,
) -> Running {
    let registry = prometheus::Registry::new();
    let watch = metrics.watch(server.client()).registry(&registry);
    let watch = watch.audit_interval(Duration::ZERO);
    let watcher = configure(watch).build().unwrap();
    Running {
        server: server.clone(),
        registry,
        health: watcher.health(),
        handle: watcher.handle(),
        task: background(watcher.run()),
        metrics,
    }
}

/// Starts to watch configmaps and namespaces, and waits until both are synced.
async fn synced(
    server: &ApiServer,
    configure: impl FnOnce(WatchBuilder) -> WatchBuilder,
) -> Running {
    let running = start(server, metrics(), configure);
    running.ready().await;
    running.agrees().await;
    running
}

fn text(metrics: &StateMetrics) -> String {
    metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string()
}

/// Returns the expected exposition of configmaps and namespaces.
fn expected(server: &ApiServer) -> String {
    let metrics = two_resources().all_fed_by_host().build().unwrap();
    for writer in &mut metrics.feeds() {
        for object in server.objects(writer.resource().plural()) {
            // The error is ignored: an object that does not decode has no samples in the expected exposition either.
            let _ = writer.apply_json(object.to_string().as_bytes());
        }
    }
    text(&metrics)
}

impl Running {
    async fn ready(&self) {
        let wait = self.health.ready(ReadinessPolicy::Default);
        let ready = tokio::time::timeout(Duration::from_secs(600), wait).await;
        assert!(ready.expect("never ready").ready);
    }

    fn text(&self) -> String {
        text(&self.metrics)
    }

    /// Waits until the exposition contains the objects of the server, and all resources are synced.
    async fn agrees(&self) {
        let holds = || {
            self.text() == expected(&self.server)
                && self
                    .health
                    .resources()
                    .iter()
                    .all(|own| own.state == SYNCED)
        };
        eventually("the exposition is the server's state", holds).await;
        assert!(self.task.is_running());
    }

    fn health_of(&self, resource: &str) -> ResourceHealth {
        let mut resources = self.health.resources().into_iter();
        resources.find(|own| own.resource == resource).unwrap()
    }

    /// Returns the value of a metric of the watches. `series` is the name of the metric with its labels, as in the text
    /// format. The labels must be in alphabetical order.
    fn metric(&self, series: &str) -> Option<f64> {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Returns the exported configmaps as `namespace/name`.
    fn config_maps(&self) -> Vec<String> {
        exposed(&self.text())
    }
}

/// Returns the configmaps of an exposition, as `namespace/name`.
fn exposed(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("kube_configmap_info{namespace=\"")?;
        let (namespace, rest) = rest.split_once("\",configmap=\"")?;
        let (name, _) = rest.split_once('"')?;
        Some(format!("{namespace}/{name}"))
    });
    lines.collect()
}

/// The two encodings that a watch can request: `true` means protobuf, `false` means JSON.
const ENCODINGS: [bool; 2] = [true, false];

const SYNCED: kube_state_metrics::source::health::ResourceState =
    kube_state_metrics::source::health::ResourceState::Synced;
