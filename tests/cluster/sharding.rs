//! Shards of one cluster: together they are the whole.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::DeleteParams;
use kube_state_metrics::{BuiltIn, Shard, StateMetrics};
use serde_json::{Value, json};

use crate::support::{
    ONE_AT_A_TIME, Running, client, create, fresh_namespace, nodes, scale, start, template, until,
};

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
    let list = config_maps.list(&kube::api::ListParams::default()).await;
    let names = list.unwrap().items.into_iter();
    let mut all: Vec<String> = names.filter_map(|own| own.metadata.name).collect();
    all.sort();
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
