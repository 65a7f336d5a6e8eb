//! Tests the shards of one cluster: together, all shards must export all objects.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use kube_state_metrics::registry::Shard;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use crate::support::{
    ONE_AT_A_TIME, Running, client, create, fresh_namespace, nodes, scale, start, template, until,
    until_there,
};

/// Creates a new namespace with sixty configmaps. Kubernetes adds the configmap with the root certificate.
async fn sixty_config_maps(client: &Client, namespace: &str) -> Api<ConfigMap> {
    fresh_namespace(client, namespace).await;
    let config_maps = Api::namespaced(client.clone(), namespace);
    for number in 0..60 {
        let name = format!("cm-{number:02}");
        create(&config_maps, json!({ "metadata": { "name": name } })).await;
    }
    config_maps
}

/// Returns the names of the configmaps in the cluster.
async fn names(config_maps: &Api<ConfigMap>) -> Vec<String> {
    let list = config_maps.list(&ListParams::default()).await.unwrap();
    let names = list.items.into_iter().map(|own| own.metadata.name.unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Returns the names of the configmaps that the shards export. If several shards export a configmap, its name is
/// repeated.
fn shown(parts: &[Running], namespace: &str) -> Vec<String> {
    let shown = parts.iter().flat_map(|part| part.config_maps(namespace));
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    shown
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn replicas_of_a_statefulset_share_the_objects() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    nodes(&client).await;
    let config_maps = sixty_config_maps(&client, "ksm-shards").await;
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
            let pods: Api<Pod> = Api::namespaced(client.clone(), "ksm-shards");
            until_there(&pods, &format!("ksm-{}", total - 1), true).await;
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
                    let watch = watch.shard_of_pod("ksm-shards", name);
                    // During the hand-over, two shards export the objects that move.
                    watch.shard_handover(Duration::from_secs(1))
                }));
            }
            let told = || {
                parts
                    .iter()
                    .all(|part| part.handle.shard().total() == total)
            };
            until("all receive the shard", 30, told).await;
            let all = names(&config_maps).await;
            let union = || shown(&parts, "ksm-shards");
            let delay = until("settled", 30, || union() == all).await;
            println!("{total} shards, by range {by_range}: settled after {delay:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(union(), all);
            parts.truncate(total as usize);
        }
    }
    sets.delete("ksm", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn nothing_is_missing_while_shards_are_handed_over() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    let config_maps = sixty_config_maps(&client, "ksm-handover").await;
    let all = names(&config_maps).await;
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
            let (mut looks, mut most) = (0, 0);
            while began.elapsed() < handover - Duration::from_millis(200) {
                let mut now = shown(&parts, "ksm-handover");
                most = most.max(now.len());
                now.dedup();
                assert_eq!(now, all, "{total} shards, after {:?}", began.elapsed());
                looks += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // The first `total` replicas now have all objects, so the test stops the other replicas.
            parts.truncate(total as usize);
            let delay = until("settled", 10, || shown(&parts, "ksm-handover") == all).await;
            println!(
                "{total} shards, by range {by_range}: {looks} looks, at most {most} of {} shown, \
                 settled {delay:?} after the hand-over",
                all.len()
            );
        }
    }
}

/// If `APISERVER_FLAGS` is `--feature-gates=ShardedListAndWatch=true`, the server sends only the objects of a shard.
/// Otherwise, the server sends all objects to each shard. In both cases, the shards must export the same objects.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn a_server_that_selects_ranges_sends_each_object_to_one_shard() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    let config_maps = sixty_config_maps(&client, "ksm-ranges").await;
    let query = "shardSelector=shardRange(object.metadata.uid,%20'0x0000000000000000',%20'0x8000000000000000')";
    let list = http::Request::get(format!("/api/v1/configmaps?{query}"))
        .body(Vec::new())
        .unwrap();
    let list = client.request::<Value>(list).await.unwrap();
    let selects = list["metadata"]["shardInfo"].is_object();
    let objects = names(&config_maps).await.len();
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
