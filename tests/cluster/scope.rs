//! Tests several instances, each of which exports the objects of some namespaces or nodes. Together, the instances must
//! export all objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::Api;
use kube::api::DeleteParams;
use kube_state_metrics::source::watch::WatchBuilder;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::json;

use crate::support::{
    ONE_AT_A_TIME, Running, client, create, fresh_namespace, nodes, scale, start, template, until,
};

/// Returns the sample lines of the families whose names begin with one of `starts`.
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

/// Returns the sample lines of all instances together, including repeated lines.
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
        // No node has this label, so the pod is never assigned to a node.
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
    until("all parts together have all objects", 60, same).await;
    // While pods are created and deleted, all instances together must still export all pods.
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), spaces[0]);
    scale(&deployments, "web", 2).await;
    until("all parts together have all objects", 60, same).await;

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
        WatchBuilder::unscheduled_pods,
    ));
    let starts = ["kube_pod_"];
    let same = || {
        let expected = lines(&whole, &starts);
        let pending = lines(by_node.last().unwrap(), &["kube_pod_info{"]);
        pending.len() >= 2 && all_lines(&by_node, &starts) == expected
    };
    until("all nodes together have all pods", 60, same).await;
    scale(&deployments, "web", 8).await;
    let grown = || lines(&whole, &["kube_pod_info{namespace=\"ksm-part-a\""]).len() == 9;
    until("the new pods are exported", 60, grown).await;
    until("all nodes together have all pods", 60, same).await;
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
