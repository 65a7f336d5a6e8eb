//! Tests that the exposition follows changes of the cluster and restarts of its components.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::DeleteParams;
use kube_state_metrics::source::health::{ReadinessPolicy, ResourceState};
use serde_json::json;

use crate::support::{
    ONE_AT_A_TIME, client, cluster, create, create_at_last, everything, fresh_namespace, nodes,
    scale, start, template, until,
};

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
            // Other tests restart components, so the controllers may not be ready yet.
            let mut there = 0;
            for _ in 0..240 {
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
        // Each change must appear in the exposition within a second.
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
            "the last state stays"
        );
        let name = format!("after-{round}");
        let object = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        create_at_last(&config_maps, &object, 10).await;
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
        until("all resources are synced again", 30, synced).await;
    }
}
