//! Watching a real control plane: what is exposed is what the API says.
//!
//! Needs `KUBECONFIG` of a cluster that may be broken, with the controller manager, the scheduler and
//! pretend nodes, and in `CLUSTER_SH` the path of the script that runs it (`restart-apiserver`,
//! `restart-etcd`); see docs/testing.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config, Resource};
use kube_state_metrics::watch::{
    FailureReason, Health, ReadinessPolicy, ResourceState, Timing, Watch, tuned,
};
use kube_state_metrics::{
    BuiltIn, Collector, Family, Format, Scope, Selection, Shard, StateMetrics,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Tests share the cluster and restart it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn config() -> Config {
    tuned(Config::infer().await.expect("KUBECONFIG names a cluster"))
}

async fn client() -> Client {
    Client::try_from(config().await).unwrap()
}

/// Runs the script that runs the cluster.
async fn cluster(command: &'static str) {
    let beside =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/cluster/cluster.sh");
    let script = std::env::var_os("CLUSTER_SH").map_or(beside, PathBuf::from);
    let done = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .arg(script)
            .args([command, "3"])
            .status()
            .unwrap()
    });
    assert!(done.await.unwrap().success(), "{command}");
}

struct Running {
    metrics: StateMetrics,
    health: Health,
    handle: kube_state_metrics::watch::WatchHandle,
    registry: prometheus::Registry,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start(metrics: StateMetrics, client: Client, configure: impl FnOnce(Watch) -> Watch) -> Running {
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
    async fn ready(&self) {
        let ready = self.health.ready(ReadinessPolicy::Default);
        let ready = tokio::time::timeout(Duration::from_secs(60), ready).await;
        assert!(
            ready.is_ok(),
            "{}",
            self.health.readiness(ReadinessPolicy::Default)
        );
    }

    fn text(&self) -> String {
        text(&self.metrics)
    }

    /// Waits until the exposition is what the API says.
    async fn agrees(&self, client: &Client) {
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

    /// The configmaps of a namespace that are exposed.
    fn config_maps(&self, namespace: &str) -> Vec<String> {
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
        .exposition(Format::Text, Selection::default())
        .to_string()
}

fn everything() -> StateMetrics {
    // Leases change all the time, so no two lists of them agree.
    let resources = BuiltIn::ALL
        .iter()
        .copied()
        .filter(|own| *own != BuiltIn::Leases);
    StateMetrics::builder()
        .built_in(resources)
        .opt_in_metrics([".*"])
        .build()
        .unwrap()
}

/// What the API says, as it would be exposed.
async fn listed(client: &Client) -> String {
    let metrics = everything();
    for writer in &mut metrics.object_writers() {
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
            writer.apply(item.to_string().as_bytes()).unwrap();
        }
    }
    text(&metrics)
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).unwrap();
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        result => drop(result.unwrap()),
    }
}

/// An empty namespace; what was there before is gone.
async fn fresh_namespace(client: &Client, name: &str) {
    let api: Api<Namespace> = Api::all(client.clone());
    let _ = api.delete(name, &DeleteParams::default()).await;
    for _ in 0..120 {
        if api.get_opt(name).await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    create(&api, json!({ "metadata": { "name": name } })).await;
}

async fn nodes(client: &Client) {
    for name in ["node-a", "node-b"] {
        let capacity = json!({ "cpu": "32", "memory": "256Gi", "pods": "250" });
        let node = json!({
            "metadata": { "name": name, "annotations": { "kwok.x-k8s.io/node": "fake" } },
            "status": { "allocatable": capacity, "capacity": capacity }
        });
        create(&Api::<Node>::all(client.clone()), node).await;
    }
}

fn template(app: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{ "name": "main", "image": "registry.example/app:1" }] }
    })
}

async fn scale<K>(api: &Api<K>, name: &str, replicas: u32)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) -> Duration {
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn workloads_come_and_go_and_the_exposition_follows() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    nodes(&client).await;
    fresh_namespace(&client, "ksm-workloads").await;
    for streaming in [true, false] {
        let running = start(everything(), client.clone(), |watch| {
            watch.streaming_lists(streaming)
        });
        running.ready().await;
        running.agrees(&client).await;
        assert!(running.health.readiness(ReadinessPolicy::Strict).ready);

        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "ksm-workloads");
        let deployment = json!({
            "metadata": { "name": "web" },
            "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": template("web") }
        });
        create(&deployments, deployment).await;
        let pods: Api<Pod> = Api::namespaced(client.clone(), "ksm-workloads");
        for replicas in [3, 8, 1] {
            scale(&deployments, "web", replicas).await;
            let mut there = 0;
            for _ in 0..60 {
                there = pods
                    .list(&kube::api::ListParams::default())
                    .await
                    .unwrap()
                    .items
                    .len();
                if there == replicas as usize {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            assert_eq!(there, replicas as usize);
            running.agrees(&client).await;
        }
        // Changes show within a second.
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-workloads");
        let mut longest = Duration::ZERO;
        for number in 0..20 {
            let name = format!("quick-{number}");
            create(&config_maps, json!({ "metadata": { "name": name } })).await;
            let own = || running.config_maps("ksm-workloads").contains(&name);
            longest = longest.max(until("the configmap shows", 1, own).await);
            config_maps
                .delete(&name, &DeleteParams::default())
                .await
                .unwrap();
            let gone = || !running.config_maps("ksm-workloads").contains(&name);
            longest = longest.max(until("the configmap goes", 1, gone).await);
        }
        println!("longest delay of a change: {longest:?}");
        deployments
            .delete("web", &DeleteParams::default())
            .await
            .unwrap();
        running.agrees(&client).await;
        let errors = running
            .registry
            .gather()
            .into_iter()
            .filter(|own| own.name().ends_with("watch_total"));
        let errors = errors
            .flat_map(|own| own.get_metric().to_vec())
            .filter(|own| {
                own.get_label().iter().any(|label| label.value() == "error")
                    && own.get_counter().get_value() > 0.0
            });
        assert_eq!(errors.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn restarts_of_the_api_server_and_of_etcd_are_survived() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    nodes(&client).await;
    fresh_namespace(&client, "ksm-restart").await;
    let running = start(everything(), client.clone(), |watch| watch);
    running.ready().await;
    running.agrees(&client).await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-restart");
    for (round, command) in ["restart-apiserver", "restart-etcd", "restart-apiserver"]
        .into_iter()
        .enumerate()
    {
        let before = running.text();
        cluster(command).await;
        assert!(
            !before.is_empty() && !running.text().is_empty(),
            "what is known stays"
        );
        let name = format!("after-{round}");
        let mut created = false;
        for _ in 0..100 {
            let object = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
            created = config_maps
                .create(&PostParams::default(), &object)
                .await
                .is_ok();
            if created {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(created);
        let own = || running.config_maps("ksm-restart").contains(&name);
        let delay = until("changes show after the return", 5, own).await;
        println!("{command}: a change showed after {delay:?}");
        running.agrees(&client).await;
        let synced = || {
            running
                .health
                .resources()
                .iter()
                .all(|own| own.state == ResourceState::Synced)
        };
        until("all is followed again", 30, synced).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn withdrawn_rights_and_absent_kinds_concern_only_themselves() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-rights").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-rights");
    create(&config_maps, json!({ "metadata": { "name": "one" } })).await;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let rule = |resources: &[&str]| json!({ "rules": [{ "apiGroups": [""], "resources": resources, "verbs": ["list", "watch"] }] });
    let mut role = rule(&["configmaps", "namespaces"]);
    role["metadata"] = json!({ "name": "ksm-reader" });
    create(&roles, role).await;
    let api_group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": "ksm-reader" },
        "roleRef": { "apiGroup": api_group, "kind": "ClusterRole", "name": "ksm-reader" },
        "subjects": [{ "apiGroup": api_group, "kind": "User", "name": "ksm-reader" }]
    });
    create(&bindings, binding).await;
    let grant = async |resources: &[&str]| {
        let patch = Patch::Merge(rule(resources));
        roles
            .patch("ksm-reader", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    grant(&["configmaps", "namespaces"]).await;

    let widgets = ApiResource::from_gvk(&GroupVersionKind::gvk("acme.dev", "v1", "Widget"));
    let seen = Family::gauge("widget_seen", "Always 1.");
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces, BuiltIn::Secrets])
        .collector(Collector::dynamic(&widgets, Scope::Namespaced).family(seen));
    let mut config = config().await;
    config.auth_info.impersonate = Some("ksm-reader".into());
    let reader = Client::try_from(config).unwrap();
    let mut timing = Timing::default();
    timing.watch = Duration::from_secs(4)..Duration::from_secs(6);
    let running = start(metrics.build().unwrap(), reader, |watch| {
        watch.timing(timing)
    });
    running.ready().await;
    let state = |name: &str| {
        let own = running
            .health
            .resources()
            .into_iter()
            .find(|own| own.resource == name);
        own.unwrap().state
    };
    assert_eq!(
        state("secrets"),
        ResourceState::Failing(FailureReason::Forbidden)
    );
    assert_eq!(
        state("widgets.acme.dev"),
        ResourceState::Failing(FailureReason::Forbidden)
    );
    assert_eq!(state("configmaps"), ResourceState::Synced);
    let body = running
        .health
        .readiness(ReadinessPolicy::Default)
        .to_string();
    assert!(body.contains("refused: secrets (forbidden)"), "{body}");

    grant(&["namespaces"]).await;
    let withdrawn = || state("configmaps") == ResourceState::Failing(FailureReason::Forbidden);
    until("the withdrawal shows", 20, withdrawn).await;
    assert_eq!(
        running.config_maps("ksm-rights").len(),
        2,
        "one, and the root certificate"
    );
    assert_eq!(state("namespaces"), ResourceState::Synced);
    grant(&["namespaces", "configmaps", "secrets"]).await;
    let granted = || ["configmaps", "secrets"].map(state) == [ResourceState::Synced; 2];
    until("the grant shows", 90, granted).await;

    // An administrator may ask for anything, so what is absent is not found.
    let metrics = StateMetrics::builder();
    let seen = Family::gauge("widget_seen", "Always 1.");
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let metrics = metrics.collector(Collector::dynamic(&widgets, Scope::Namespaced).family(seen));
    let running = start(metrics.build().unwrap(), client.clone(), |watch| watch);
    running.ready().await;
    assert_eq!(
        running.health.resources()[0].state,
        ResourceState::Failing(FailureReason::NotFound)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn replicas_of_a_statefulset_share_the_objects() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    nodes(&client).await;
    fresh_namespace(&client, "ksm-shards").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-shards");
    for number in 0..60 {
        create(
            &config_maps,
            json!({ "metadata": { "name": format!("cm-{number:02}") } }),
        )
        .await;
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), "ksm-shards");
    let set = json!({
        "metadata": { "name": "ksm" },
        "spec": {
            "replicas": 1, "serviceName": "ksm", "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": "ksm" } }, "template": template("ksm")
        }
    });
    create(&sets, set).await;
    for by_range in [false, true] {
        let mut parts: Vec<Running> = Vec::new();
        for total in [1, 3, 10, 2] {
            scale(&sets, "ksm", total).await;
            // Controllers may take a minute to find their way after a restart.
            let pods: Api<Pod> = Api::namespaced(client.clone(), "ksm-shards");
            let last = format!("ksm-{}", total - 1);
            for _ in 0..240 {
                if pods.get_opt(&last).await.unwrap().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            while parts.len() < total as usize {
                let shard = if by_range {
                    Shard::default().by_range()
                } else {
                    Shard::default()
                };
                let metrics = StateMetrics::builder()
                    .built_in([BuiltIn::ConfigMaps])
                    .shard(shard);
                let name = format!("ksm-{}", parts.len());
                parts.push(start(metrics.build().unwrap(), client.clone(), |watch| {
                    watch.shard_of_pod("ksm-shards", name)
                }));
            }
            let told = || {
                parts
                    .iter()
                    .all(|part| part.handle.shard().total() == total)
            };
            until("all are told", 30, told).await;
            let all = config_maps
                .list(&kube::api::ListParams::default())
                .await
                .unwrap();
            let mut all: Vec<_> = all
                .items
                .into_iter()
                .map(|own| own.metadata.name.unwrap())
                .collect();
            all.sort();
            let union = || {
                let union = parts.iter().flat_map(|part| part.config_maps("ksm-shards"));
                let mut union: Vec<_> = union.collect();
                union.sort();
                union
            };
            let delay = until("settled", 30, || union() == all).await;
            println!("{total} shards, by range {by_range}: settled after {delay:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(union(), all);
            parts.truncate(total as usize);
        }
    }
    sets.delete("ksm", &DeleteParams::default()).await.unwrap();
}

/// The sample lines of the families whose names begin with one of `starts`.
fn lines(running: &Running, starts: &[&str]) -> Vec<String> {
    let text = running.text();
    let lines = text.lines();
    let mut lines: Vec<_> = lines
        .filter(|line| starts.iter().any(|start| line.starts_with(start)))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// The same of all parts together, each line as often as it is there.
fn all_lines(parts: &[Running], starts: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = parts.iter().flat_map(|part| lines(part, starts)).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn namespaces_and_nodes_divide_the_objects() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    nodes(&client).await;
    let spaces = ["ksm-part-a", "ksm-part-b"];
    for space in spaces {
        fresh_namespace(&client, space).await;
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), space);
        for name in ["one", "two"] {
            create(&config_maps, json!({ "metadata": { "name": name } })).await;
        }
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), space);
        let deployment = json!({
            "metadata": { "name": "web" },
            "spec": { "replicas": 6, "selector": { "matchLabels": { "app": "web" } }, "template": template("web") }
        });
        create(&deployments, deployment).await;
        // No node will ever have this one.
        let mut pending = template("pending");
        pending["metadata"]["name"] = json!("pending");
        pending["spec"]["nodeSelector"] = json!({ "no": "such-node" });
        create(&Api::<Pod>::namespaced(client.clone(), space), pending).await;
    }
    let resources = [BuiltIn::ConfigMaps, BuiltIn::Pods, BuiltIn::Deployments];
    let build = |spaces: &[&str]| {
        let metrics = StateMetrics::builder()
            .built_in(resources)
            .namespaces(spaces.iter().copied());
        metrics.build().unwrap()
    };
    let whole = start(build(&[]), client.clone(), |watch| watch);
    let both = start(build(&spaces), client.clone(), |watch| watch);
    let parts = spaces.map(|space| start(build(&[space]), client.clone(), |watch| watch));
    both.ready().await;
    let starts = ["kube_configmap_", "kube_pod_", "kube_deployment_"];
    let in_spaces = || {
        let mut lines = lines(&whole, &starts);
        lines.retain(|line| {
            spaces
                .iter()
                .any(|space| line.contains(&format!("{{namespace=\"{space}\"")))
        });
        lines
    };
    let same = || {
        let expected = in_spaces();
        let running = format!("kube_pod_status_phase{{namespace=\"{}\"", spaces[1]);
        expected.iter().any(|line| line.starts_with(&running))
            && lines(&both, &starts) == expected
            && all_lines(&parts, &starts) == expected
    };
    until("the parts are the whole", 60, same).await;
    // It stays so while pods come and go.
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), spaces[0]);
    scale(&deployments, "web", 2).await;
    until("the parts are the whole", 60, same).await;

    let names = Api::<Node>::all(client.clone());
    let names = names.list(&kube::api::ListParams::default()).await.unwrap();
    let names = names
        .items
        .into_iter()
        .filter_map(|node| node.metadata.name);
    let pods = || StateMetrics::builder().built_in([BuiltIn::Pods]).build();
    let mut by_node: Vec<_> = names
        .map(|name| start(pods().unwrap(), client.clone(), |watch| watch.node(name)))
        .collect();
    by_node.push(start(
        pods().unwrap(),
        client.clone(),
        Watch::unscheduled_pods,
    ));
    let starts = ["kube_pod_"];
    let same = || {
        let expected = lines(&whole, &starts);
        let pending = lines(by_node.last().unwrap(), &["kube_pod_info{"]);
        pending.len() >= 2 && all_lines(&by_node, &starts) == expected
    };
    until("the nodes are the whole", 60, same).await;
    scale(&deployments, "web", 8).await;
    let grown = || lines(&whole, &["kube_pod_info{namespace=\"ksm-part-a\""]).len() == 9;
    until("the pods are there", 60, grown).await;
    until("the nodes are the whole", 60, same).await;
    println!(
        "{} parts by node, {} lines",
        by_node.len(),
        lines(&whole, &starts).len()
    );
    for space in spaces {
        let api: Api<Namespace> = Api::all(client.clone());
        api.delete(space, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn nothing_is_missing_while_shards_are_handed_over() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-handover").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-handover");
    for number in 0..60 {
        let name = format!("cm-{number:02}");
        create(&config_maps, json!({ "metadata": { "name": name } })).await;
    }
    let mut all: Vec<String> = Vec::new();
    // A root certificate is put beside them by and by.
    while all.len() < 61 {
        let list = config_maps.list(&kube::api::ListParams::default()).await;
        let names = list.unwrap().items.into_iter();
        all = names.filter_map(|own| own.metadata.name).collect();
        all.sort();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let handover = Duration::from_secs(5);
    for by_range in [false, true] {
        let shard = |index: usize, total: u32| {
            let shard = Shard::new(u32::try_from(index).unwrap(), total).unwrap();
            if by_range { shard.by_range() } else { shard }
        };
        let part = |shard: Shard| {
            let metrics = StateMetrics::builder()
                .built_in([BuiltIn::ConfigMaps])
                .shard(shard);
            start(metrics.build().unwrap(), client.clone(), |watch| {
                watch.shard_handover(handover)
            })
        };
        let mut parts = vec![part(shard(0, 1))];
        parts[0].ready().await;
        for total in [3, 10, 2] {
            let began = Instant::now();
            for (index, part) in parts.iter().enumerate().take(total as usize) {
                part.handle.set_shard(shard(index, total));
            }
            while parts.len() < total as usize {
                parts.push(part(shard(parts.len(), total)));
            }
            let union = |parts: &[Running]| {
                let union = parts
                    .iter()
                    .flat_map(|part| part.config_maps("ksm-handover"));
                let mut union: Vec<_> = union.collect();
                union.sort();
                union
            };
            let (mut looks, mut most) = (0, 0);
            while began.elapsed() < handover - Duration::from_millis(200) {
                let mut shown = union(&parts);
                most = most.max(shown.len());
                shown.dedup();
                assert_eq!(shown, all, "{total} shards, after {:?}", began.elapsed());
                looks += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Those that are not needed any more are stopped once the others have all.
            parts.truncate(total as usize);
            let delay = until("settled", 10, || union(&parts) == all).await;
            println!(
                "{total} shards, by range {by_range}: {looks} looks, at most {most} of {} shown, \
                 settled {delay:?} after the hand-over",
                all.len()
            );
        }
    }
}

/// With `APISERVER_FLAGS=--feature-gates=ShardedListAndWatch=true` the server selects; without, the
/// result is the same and only the savings are missing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn a_server_that_selects_ranges_sends_each_object_to_one_shard() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-ranges").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-ranges");
    for number in 0..60 {
        create(
            &config_maps,
            json!({ "metadata": { "name": format!("cm-{number:02}") } }),
        )
        .await;
    }
    let query = "shardSelector=shardRange(object.metadata.uid,%20'0x0000000000000000',%20'0x8000000000000000')";
    let list = http::Request::get(format!("/api/v1/configmaps?{query}"))
        .body(Vec::new())
        .unwrap();
    let list = client.request::<Value>(list).await.unwrap();
    let selects = list["metadata"]["shardInfo"].is_object();
    let objects = config_maps
        .list(&kube::api::ListParams::default())
        .await
        .unwrap()
        .items
        .len();
    for streaming in [true, false] {
        let (mut union, mut sent, mut all) = (0, 0.0, 0);
        for index in 0..2 {
            let shard = Shard::new(index, 2).unwrap().by_range();
            let metrics = StateMetrics::builder()
                .built_in([BuiltIn::ConfigMaps])
                .shard(shard);
            let running = start(metrics.build().unwrap(), client.clone(), |watch| {
                watch.streaming_lists(streaming)
            });
            running.ready().await;
            union += running.config_maps("ksm-ranges").len();
            all += running.health.resources()[0].objects;
            let events = running.registry.gather().into_iter();
            let events = events.filter(|own| own.name() == "kube_state_metrics_events_total");
            let events = events.flat_map(|own| own.get_metric().to_vec());
            let added =
                events.filter(|own| own.get_label().iter().any(|label| label.value() == "added"));
            sent += added.map(|own| own.get_counter().get_value()).sum::<f64>();
        }
        assert_eq!(union, objects);
        println!("the server selects: {selects}; {all} objects, {sent} sent by streams");
        if streaming {
            let factor = if selects { 1.0 } else { 2.0 };
            #[allow(clippy::cast_precision_loss, reason = "hundreds")]
            let expected = all as f64 * factor;
            assert!((sent - expected).abs() < 1.0, "{sent} of {expected}");
        }
    }
}

#[cfg(feature = "custom-resources")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn custom_resources_come_and_go_with_their_definitions() {
    use kube_state_metrics::custom_resource_state::Config;

    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-custom").await;
    let config = "
spec:
  resources:
  - groupVersionKind: { group: ksm.example, version: '*', kind: Widget }
    metricNamePrefix: widget
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: size
      help: Size the widget asks for.
      each: { type: Gauge, gauge: { path: [spec, size] } }
";
    let resource = |group: &str, version: &str, kind: &str| {
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    let definitions: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    );
    let widgets: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "ksm-custom",
        &resource("ksm.example", "v1", "Widget"),
    );
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.ksm.example" },
        "spec": {
            "group": "ksm.example", "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }]
        }
    });
    let definition: DynamicObject = serde_json::from_value(definition).unwrap();
    let _ = definitions
        .delete("widgets.ksm.example", &DeleteParams::default())
        .await;
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces])
        .custom_resources(&Config::parse(config).unwrap());
    let running = start(metrics.build().unwrap(), client, |watch| {
        watch.discover_custom_resources(true)
    });
    running.ready().await;
    let samples = || {
        let text = running.text();
        text.lines()
            .filter(|line| line.starts_with("widget_size{"))
            .count()
    };
    for round in 0..3 {
        for _ in 0..100 {
            if definitions
                .create(&PostParams::default(), &definition)
                .await
                .is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let widget = json!({
            "apiVersion": "ksm.example/v1", "kind": "Widget",
            "metadata": { "name": "one" }, "spec": { "size": 3 }
        });
        let widget: DynamicObject = serde_json::from_value(widget).unwrap();
        for _ in 0..100 {
            if widgets
                .create(&PostParams::default(), &widget)
                .await
                .is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let delay = until("the widget shows", 5, || samples() == 1).await;
        println!("round {round}: a widget of a new kind showed after {delay:?}");
        definitions
            .delete("widgets.ksm.example", &DeleteParams::default())
            .await
            .unwrap();
        until("it goes with its definition", 10, || samples() == 0).await;
    }
}
