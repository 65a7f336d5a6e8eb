//! Helper functions that read and change the cluster, and that read the exposition.

use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config, Resource};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::source::health::{Health, ReadinessPolicy};
use kube_state_metrics::source::watch::{WatchBuilder, WatchHandle, configure_for_watching};
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Lets the tests run one after another, because all tests use the same cluster and restart its components.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) async fn config() -> Config {
    configure_for_watching(Config::infer().await.expect("KUBECONFIG names a cluster"))
}

pub(crate) async fn client() -> Client {
    Client::try_from(config().await).unwrap()
}

/// Runs the script that controls the cluster.
pub(crate) async fn cluster(command: &'static str) {
    let script = std::env::var_os("CLUSTER_SH").expect("CLUSTER_SH is the script of the cluster");
    let done = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .arg(script)
            .args([command, "3"])
            .status()
            .unwrap()
    });
    assert!(done.await.unwrap().success(), "{command}");
}

pub(crate) struct Running {
    metrics: StateMetrics,
    pub(crate) health: Health,
    pub(crate) handle: WatchHandle,
    pub(crate) registry: prometheus::Registry,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn start(
    metrics: StateMetrics,
    client: Client,
    configure: impl FnOnce(WatchBuilder) -> WatchBuilder,
) -> Running {
    let registry = prometheus::Registry::new();
    let watcher = configure(metrics.watch(client).registry(&registry))
        .build()
        .unwrap();
    Running {
        metrics,
        registry,
        health: watcher.health(),
        handle: watcher.handle(),
        task: tokio::spawn(watcher.run()),
    }
}

impl Running {
    pub(crate) async fn ready(&self) {
        let ready = self.health.ready(ReadinessPolicy::Default);
        let ready = tokio::time::timeout(Duration::from_secs(60), ready).await;
        assert!(
            ready.is_ok(),
            "{}",
            self.health.readiness(ReadinessPolicy::Default)
        );
    }

    pub(crate) fn text(&self) -> String {
        text(&self.metrics)
    }

    /// Waits until the exposition is equal to the exposition of the objects that the API server lists.
    pub(crate) async fn agrees(&self, client: &Client) {
        let mut expected = String::new();
        for _ in 0..60 {
            expected = listed(client).await;
            if self.text() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let text = self.text();
        let difference = |a: &str, b: &str| {
            let lines = a.lines().filter(|line| !b.lines().any(|own| own == *line));
            lines.take(10).collect::<Vec<_>>().join("\n")
        };
        panic!(
            "missing:\n{}\ntoo much:\n{}\n{}",
            difference(&expected, &text),
            difference(&text, &expected),
            self.health.readiness(ReadinessPolicy::Default)
        );
    }

    /// Returns the names of the configmaps in a namespace that have samples.
    pub(crate) fn config_maps(&self, namespace: &str) -> Vec<String> {
        let start = format!("kube_configmap_info{{namespace=\"{namespace}\",configmap=\"");
        let text = self.text();
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix(&*start)?.split_once('"'));
        names.map(|(name, _)| name.to_owned()).collect()
    }
}

fn text(metrics: &StateMetrics) -> String {
    metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string()
}

pub(crate) fn everything() -> StateMetrics {
    builder().build().unwrap()
}

fn builder() -> Builder {
    // Leases are excluded, because they change continuously, so that a comparison would fail.
    let resources = BuiltIn::ALL
        .iter()
        .copied()
        .filter(|own| *own != BuiltIn::Leases);
    StateMetrics::builder()
        .built_in(resources)
        .opt_in_metrics([".*"])
}

/// Lists the objects from the API server, and renders their exposition.
async fn listed(client: &Client) -> String {
    let metrics = builder().all_fed_by_host().build().unwrap();
    for writer in &mut metrics.feeds() {
        let resource = writer.resource().clone();
        let prefix = if resource.group().is_empty() {
            "/api"
        } else {
            "/apis"
        };
        let path = format!("{prefix}/{}/{}", resource.api_version(), resource.plural());
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let Ok(list) = client.request::<Value>(request).await else {
            continue;
        };
        for item in list["items"].as_array().unwrap() {
            writer.apply_json(item.to_string().as_bytes()).unwrap();
        }
    }
    text(&metrics)
}

pub(crate) async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).unwrap();
    match insist(async || api.create(&PostParams::default(), &object).await).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        result => drop(result.unwrap()),
    }
}

/// Repeats a request if its connection breaks, because the API server may have been restarted.
async fn insist<T>(mut request: impl AsyncFnMut() -> kube::Result<T>) -> kube::Result<T> {
    for _ in 0..50 {
        match request().await {
            Err(kube::Error::HyperError(_) | kube::Error::Service(_)) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
    request().await
}

/// Creates an object. If the server does not accept the object, repeats the request for at most `seconds` seconds.
pub(crate) async fn create_at_last<K>(api: &Api<K>, object: &K, seconds: u64)
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let start = Instant::now();
    while let Err(error) = api.create(&PostParams::default(), object).await {
        let late = start.elapsed() > Duration::from_secs(seconds);
        assert!(!late, "not accepted within {seconds} s: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// If `there` is true, waits until an object exists. Otherwise, waits until the object no longer exists. The timeout is
/// two minutes, because controllers may need a minute after a restart.
pub(crate) async fn until_there<K>(api: &Api<K>, name: &str, there: bool)
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    for _ in 0..240 {
        let own = insist(async || api.get_opt(name).await).await.unwrap();
        if own.is_some() == there {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{name}: not within two minutes: there is one: {there}");
}

/// Creates a namespace. If the namespace already exists, first deletes it with all its objects. The new namespace
/// contains only the configmap with the root certificate.
pub(crate) async fn fresh_namespace(client: &Client, name: &str) {
    let api: Api<Namespace> = Api::all(client.clone());
    let _ = insist(async || api.delete(name, &DeleteParams::default()).await).await;
    until_there(&api, name, false).await;
    create(&api, json!({ "metadata": { "name": name } })).await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
    until_there(&config_maps, "kube-root-ca.crt", true).await;
}

pub(crate) async fn nodes(client: &Client) {
    for name in ["node-a", "node-b"] {
        let capacity = json!({ "cpu": "32", "memory": "256Gi", "pods": "250" });
        let node = json!({
            "metadata": { "name": name, "annotations": { "kwok.x-k8s.io/node": "fake" } },
            "status": { "allocatable": capacity, "capacity": capacity }
        });
        create(&Api::<Node>::all(client.clone()), node).await;
    }
}

pub(crate) fn template(app: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{ "name": "main", "image": "registry.example/app:1" }] }
    })
}

pub(crate) async fn scale<K>(api: &Api<K>, name: &str, replicas: u32)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    insist(async || api.patch(name, &PatchParams::default(), &patch).await)
        .await
        .unwrap();
}

pub(crate) async fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(seconds),
            "not within {seconds} s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}
