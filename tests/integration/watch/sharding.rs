//! Tests shards. Together, the shards must export all objects, even while the number of shards changes. If no hand-over
//! is in progress, two shards must not export the same object.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Running, config_map, exposed, metrics, server, start, text};
use crate::support::{ApiServer, Fault, On, eventually, pass, within};
use kube_state_metrics::registry::Shard;
use kube_state_metrics::{BuiltIn, StateMetrics};

fn of_shard(shard: Shard) -> StateMetrics {
    let resources = [BuiltIn::ConfigMaps, BuiltIn::Namespaces];
    StateMetrics::builder()
        .built_in(resources)
        .shard(shard)
        .build()
        .unwrap()
}

pub(super) fn big_server() -> ApiServer {
    let server = server();
    for number in 0..200 {
        server.put("configmaps", config_map("c", &format!("many{number}")));
    }
    server
}

fn all(server: &ApiServer) -> Vec<String> {
    exposed(&super::expected(server))
}

/// Returns all objects that the shards export. If several shards export an object, the result contains the object
/// several times.
fn union(parts: &[Running]) -> Vec<String> {
    let mut union: Vec<_> = parts.iter().flat_map(Running::config_maps).collect();
    union.sort();
    union
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn fixed_shards_are_the_whole_and_nothing_twice() {
    let server = big_server();
    for by_range in [false, true] {
        for total in [1, 3, 10] {
            let mut parts = Vec::new();
            for index in 0..total {
                let shard = Shard::new(index, total).unwrap();
                let shard = if by_range { shard.by_range() } else { shard };
                let part = start(&server, of_shard(shard), |watch| watch);
                part.ready().await;
                let gauge =
                    format!("kube_state_metrics_shard_ordinal{{shard_ordinal=\"{index}\"}}");
                assert_eq!(part.metric(&gauge), Some(f64::from(index)));
                assert_eq!(
                    part.metric("kube_state_metrics_total_shards"),
                    Some(f64::from(total))
                );
                parts.push(part);
            }
            assert_eq!(union(&parts), sorted(all(&server)));
            let new = format!("of{total}-{by_range}");
            server.put("configmaps", config_map("a", &new));
            server.delete("configmaps", "a", &new);
            server.put("configmaps", config_map("b", &new));
            eventually("changes reach one shard", || {
                union(&parts) == sorted(all(&server))
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shards_that_change_settle_on_the_whole() {
    for by_range in [false, true] {
        let server = big_server();
        let shard = |index, total| {
            let shard = Shard::new(index, total).unwrap();
            if by_range { shard.by_range() } else { shard }
        };
        let mut parts = vec![start(&server, of_shard(shard(0, 1)), |watch| watch)];
        for total in [1, 3, 10, 2] {
            parts.truncate(total as usize);
            for (index, part) in parts.iter().enumerate() {
                let stays: BTreeSet<_> = part.config_maps().into_iter().collect();
                part.handle
                    .set_shard(shard(u32::try_from(index).unwrap(), total));
                let now: BTreeSet<_> = part.config_maps().into_iter().collect();
                assert!(
                    now.is_subset(&stays),
                    "objects of other shards are removed immediately; no object is added"
                );
            }
            while parts.len() < total as usize {
                let index = u32::try_from(parts.len()).unwrap();
                parts.push(start(&server, of_shard(shard(index, total)), |watch| watch));
            }
            server.put("configmaps", config_map("a", &format!("during{total}")));
            eventually("settled", || union(&parts) == sorted(all(&server))).await;
            pass(Duration::from_secs(10)).await;
            assert_eq!(union(&parts), sorted(all(&server)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn objects_that_stay_are_never_interrupted() {
    let server = big_server();
    let running = start(&server, of_shard(Shard::default()), |watch| watch);
    running.ready().await;
    let third = Shard::new(0, 3).unwrap();
    let uid = |key: &str| format!("{}-uid", key.replace('/', "-"));
    let stays: Vec<_> = running
        .config_maps()
        .into_iter()
        .filter(|key| third.owns(&uid(key)))
        .collect();
    assert!(stays.len() > 20);
    for on in [On::StreamingList, On::List, On::Watch] {
        server.fault(on, "configmaps", 2, Fault::Status(500, "InternalError"));
    }
    running.handle.set_shard(third);
    assert_eq!(running.handle.shard(), third);
    let mut watched = 0;
    while server.counts("configmaps").1 < 3 {
        assert_eq!(running.config_maps(), stays);
        pass(Duration::from_millis(100)).await;
        watched += 1;
        assert!(watched < 6000);
    }
    pass(Duration::from_secs(1)).await;
    assert_eq!(running.config_maps(), stays);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_may_double_for_its_time_but_never_misses() {
    for by_range in [false, true] {
        let server = big_server().with_shards();
        let shard = |index, total| {
            let shard = Shard::new(index, total).unwrap();
            if by_range { shard.by_range() } else { shard }
        };
        let handover = Duration::from_secs(30);
        let mut parts = vec![start(&server, of_shard(shard(0, 1)), |watch| {
            watch.shard_handover(handover)
        })];
        parts[0].ready().await;
        for total in [3, 10, 2] {
            for (index, part) in parts.iter().enumerate() {
                let index = u32::try_from(index).unwrap();
                if index < total {
                    part.handle.set_shard(shard(index, total));
                }
            }
            while parts.len() < total as usize {
                let index = u32::try_from(parts.len()).unwrap();
                parts.push(start(&server, of_shard(shard(index, total)), |watch| {
                    watch.shard_handover(handover)
                }));
            }
            for second in 0..29 {
                // Changes of objects during the hand-over must also be visible.
                server.put(
                    "configmaps",
                    config_map("a", &format!("of{total}-{second}")),
                );
                pass(Duration::from_secs(1)).await;
                let shown: BTreeSet<_> = union(&parts).into_iter().collect();
                let missing: Vec<_> = all(&server)
                    .into_iter()
                    .filter(|key| !shown.contains(key))
                    .collect();
                assert_eq!(missing, [""; 0], "{total} shards, after {second} s");
            }
            pass(Duration::from_secs(3)).await;
            parts.truncate(total as usize);
            assert_eq!(
                union(&parts),
                sorted(all(&server)),
                "{total} shards, settled"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_is_asked_for_the_range_and_may_ignore_it() {
    for server in [big_server(), big_server().with_shards()] {
        let shard = Shard::new(1, 2).unwrap().by_range();
        let running = start(&server, of_shard(shard), |watch| {
            watch.shard_handover(Duration::from_secs(5))
        });
        running.ready().await;
        let selector =
            "shardRange(object.metadata.uid, '0x8000000000000000', '0x10000000000000000')";
        assert_eq!(
            server.log("configmaps")[0].get("shardSelector"),
            Some(selector)
        );
        let own = running.config_maps();
        assert!(own.len() > 50 && own.len() < 160);
        server.clear_log();
        running
            .handle
            .set_shard(Shard::new(0, 2).unwrap().by_range());
        pass(Duration::from_secs(1)).await;
        let both = server.log("configmaps")[0]
            .get("shardSelector")
            .unwrap()
            .to_owned();
        assert_eq!(both.matches("shardRange").count(), 2);
        assert_eq!(running.config_maps().len(), all(&server).len());
        pass(Duration::from_secs(6)).await;
        assert_eq!(running.config_maps().len(), all(&server).len() - own.len());
        server.clear_log();
        server.cut_watches("configmaps");
        pass(Duration::from_secs(5)).await;
        let one = server.log("configmaps")[0]
            .get("shardSelector")
            .unwrap()
            .to_owned();
        assert_eq!(one.matches("shardRange").count(), 1);
    }
    // The server supports only shards that are ranges of hashes. The shards of kube-state-metrics are not ranges, so
    // the request has no shard selector.
    let server = big_server().with_shards();
    let running = start(&server, of_shard(Shard::new(1, 2).unwrap()), |watch| watch);
    running.ready().await;
    assert_eq!(server.log("configmaps")[0].get("shardSelector"), None);
}

// === following a StatefulSet ===

pub(super) fn exporter(set: &str, name: &str) -> Value {
    json!({ "metadata": {
        "namespace": "monitoring", "name": name,
        "ownerReferences": [
            { "apiVersion": "v1", "kind": "Other", "name": "x", "uid": "1" },
            { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set, "uid": "2", "controller": true }
        ]
    } })
}

pub(super) fn stateful_set(replicas: Option<u32>) -> Value {
    json!({ "metadata": { "namespace": "monitoring", "name": "ksm" }, "spec": { "replicas": replicas } })
}

#[tokio::test(start_paused = true)]
async fn shards_follow_the_replicas_of_the_statefulset() {
    let server = big_server();
    server.put("statefulsets", stateful_set(Some(1)));
    let mut parts: Vec<Running> = Vec::new();
    let new_part = |parts: &mut Vec<Running>| {
        let name = format!("ksm-{}", parts.len());
        server.put("pods", exporter("ksm", &name));
        parts.push(start(&server, metrics(), |watch| {
            watch.shard_of_pod("monitoring", name)
        }));
    };
    new_part(&mut parts);
    for total in [1, 3, 10, 2] {
        server.put("statefulsets", stateful_set(Some(total)));
        while parts.len() < total as usize {
            new_part(&mut parts);
        }
        for part in &parts {
            part.ready().await;
        }
        let told = || {
            parts
                .iter()
                .all(|part| part.handle.shard().total() == total)
        };
        eventually("all receive the shard", told).await;
        eventually("settled", || union(&parts) == sorted(all(&server))).await;
        for (index, part) in parts.iter().enumerate().skip(total as usize) {
            assert_eq!(
                part.config_maps().len(),
                0,
                "{index} of {total} serves nothing"
            );
        }
        parts.truncate(total as usize);
        let shards = parts[0].metric("kube_state_metrics_total_shards");
        assert_eq!(shards, Some(f64::from(total)));
    }
    // The shards must not change if other fields of the StatefulSet change, or if the StatefulSet is deleted.
    server.clear_log();
    let mut same = stateful_set(Some(2));
    same["metadata"]["labels"] = json!({ "a": "b" });
    server.put("statefulsets", same);
    server.delete("statefulsets", "monitoring", "ksm");
    pass(Duration::from_secs(20)).await;
    assert_eq!(server.log("configmaps").len(), 0);
    assert_eq!(union(&parts), sorted(all(&server)));
    // A StatefulSet without `replicas` has one replica.
    server.put("statefulsets", stateful_set(None));
    eventually("the first has all", || {
        parts[0].config_maps() == all(&server)
    })
    .await;
    let asked = &server.log("statefulsets");
    assert!(
        asked
            .iter()
            .all(|own| own.get("fieldSelector") == Some("metadata.name=ksm"))
    );
}

/// Returns a StatefulSet with `ready` ready replicas in its status.
pub(super) fn stateful_set_with_ready(replicas: u32, ready: u32) -> Value {
    let mut set = stateful_set(Some(replicas));
    set["status"] = json!({ "replicas": ready, "readyReplicas": ready });
    set
}

#[tokio::test(start_paused = true)]
async fn scaling_from_one_to_three_with_the_defaults_loses_nothing() {
    // Each pod starts when the previous pod is ready. The start of a pod takes 5 s in the first iteration and 60 s in
    // the second iteration.
    for start_time in [5, 60] {
        let server = big_server();
        server.put("statefulsets", stateful_set_with_ready(1, 1));
        let mut parts: Vec<Running> = Vec::new();
        let missing = |parts: &[Running]| {
            let shown: BTreeSet<_> = union(parts).into_iter().collect();
            let all = all(&server).into_iter();
            all.filter(|key| !shown.contains(key)).collect::<Vec<_>>()
        };
        for ready in 1..=3 {
            let name = format!("ksm-{}", parts.len());
            server.put("pods", exporter("ksm", &name));
            parts.push(start(&server, metrics(), |watch| {
                watch.shard_of_pod("monitoring", name)
            }));
            parts[parts.len() - 1].ready().await;
            let replicas = if ready == 1 { 1 } else { 3 };
            server.put("statefulsets", stateful_set_with_ready(replicas, ready));
            if ready == 1 {
                assert_eq!(parts[0].config_maps(), all(&server));
                server.put("statefulsets", stateful_set_with_ready(3, 1));
            }
            for second in 0..if ready == 3 { 120 } else { start_time } {
                assert_eq!(missing(&parts), [""; 0], "{ready} ready, {second} s");
                pass(Duration::from_secs(1)).await;
            }
        }
        assert_eq!(
            union(&parts),
            sorted(all(&server)),
            "no object is in two shards"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_does_not_wait_for_ever_and_can_be_switched_off() {
    let server = big_server();
    server.put("statefulsets", stateful_set_with_ready(1, 1));
    server.put("pods", exporter("ksm", "ksm-0"));
    let start = |handover: Option<Duration>| {
        start(&server, metrics(), |watch| {
            let watch = watch.shard_of_pod("monitoring", "ksm-0");
            match handover {
                Some(handover) => watch.shard_handover(handover),
                None => watch,
            }
        })
    };
    let (by_default, off) = (start(None), start(Some(Duration::ZERO)));
    by_default.ready().await;
    off.ready().await;
    // The second replica never starts.
    server.put("statefulsets", stateful_set_with_ready(2, 1));
    pass(Duration::from_secs(5)).await;
    assert!(off.config_maps().len() < 150);
    pass(Duration::from_secs(500)).await;
    assert_eq!(by_default.config_maps(), all(&server));
    pass(Duration::from_secs(110)).await;
    assert_eq!(by_default.config_maps(), off.config_maps());
}

#[tokio::test(start_paused = true)]
async fn the_partition_by_range_is_kept_when_a_statefulset_is_followed() {
    let server = big_server().with_shards();
    server.put("statefulsets", stateful_set(Some(2)));
    server.put("pods", exporter("ksm", "ksm-1"));
    let metrics = of_shard(Shard::default().by_range());
    let running = start(&server, metrics, |watch| {
        watch.shard_of_pod("monitoring", "ksm-1")
    });
    running.ready().await;
    assert!(server.log("configmaps")[0].get("shardSelector").is_some());
    let shard = Shard::new(1, 2).unwrap().by_range();
    assert_eq!(running.handle.shard(), shard);
    assert_eq!(
        exposed(&text(&running.metrics)).len(),
        running.config_maps().len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_changes_during_a_list_is_listed_anew() {
    for streaming in [true, false] {
        let server = big_server();
        for on in [On::StreamingList, On::List] {
            server.fault(on, "configmaps", 1, Fault::Slow(1000));
        }
        let half = |index| Shard::new(index, 2).unwrap();
        let running = start(&server, of_shard(half(0)), |watch| {
            watch.streaming_lists(streaming)
        });
        pass(Duration::from_secs(20)).await;
        assert_eq!(running.config_maps().len(), 0, "the list is in progress");
        running.handle.set_shard(half(1));
        running.ready().await;
        let other = start(&server, of_shard(half(0)), |watch| watch);
        other.ready().await;
        assert_eq!(union(&[running, other]), sorted(all(&server)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_statefulset_count_from_its_start_ordinal() {
    let server = big_server();
    let set = |replicas: u32| {
        let mut set = stateful_set(Some(replicas));
        set["spec"]["ordinals"] = json!({ "start": 5 });
        set
    };
    server.put("statefulsets", set(2));
    let mut parts = Vec::new();
    for name in ["ksm-5", "ksm-6", "ksm-4"] {
        server.put("pods", exporter("ksm", name));
        parts.push(start(&server, metrics(), |watch| {
            watch.shard_of_pod("monitoring", name)
        }));
        parts.last().unwrap().ready().await;
    }
    let shards: Vec<_> = parts
        .iter()
        .map(|part| part.handle.shard().to_string())
        .collect();
    assert_eq!(shards, ["0 of 2", "1 of 2", "none of 2"]);
    assert_eq!(parts[2].config_maps(), [""; 0]);
    parts.truncate(2);
    assert_eq!(union(&parts), sorted(all(&server)));
    server.put("statefulsets", set(0));
    eventually("nothing is left", || {
        parts[0].handle.shard().to_string() == "none of 0"
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_statefulset_that_changes_all_the_time_lists_once_in_a_while() {
    let server = big_server();
    server.put("statefulsets", stateful_set(Some(1)));
    server.put("pods", exporter("ksm", "ksm-0"));
    let running = start(&server, metrics(), |watch| {
        watch.shard_of_pod("monitoring", "ksm-0")
    });
    running.ready().await;
    server.clear_log();
    for change in 0..1000 {
        server.put("statefulsets", stateful_set(Some(2 + change % 7)));
        pass(Duration::from_millis(20)).await;
    }
    let lists = server.log("configmaps").len();
    assert!((2..20).contains(&lists), "{lists} lists in 20 s");
    server.put("statefulsets", stateful_set(Some(3)));
    let is_last = || running.handle.shard().total() == 3;
    within("the last state counts", Duration::from_secs(6), is_last).await;
}
