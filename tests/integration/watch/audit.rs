//! Tests that audits find the changes that a watch has missed although its connection works. Also tests that audits
//! report no other differences.

use std::time::Duration;

use fastrand::Rng;
use kube_state_metrics::registry::Shard;
use kube_state_metrics::source::watch::WatchBuilder;
use kube_state_metrics::{BuiltIn, StateMetrics};

use super::log::Log;
use super::{ENCODINGS, Running, broken, config_map, metrics, namespace, server, start, synced};
use crate::support::{ApiRequest, ApiServer, Fault, On, eventually, pass, within};

const INTERVAL: Duration = Duration::from_secs(300);
const TEN_MINUTES: Duration = Duration::from_secs(600);

fn audited(watch: WatchBuilder) -> WatchBuilder {
    watch.audit_interval(INTERVAL)
}

impl Running {
    /// Returns the value of a metric about the audits of configmaps.
    fn audit(&self, metric: &str) -> f64 {
        self.audit_of("*v1.ConfigMap", metric)
    }

    /// Returns the value of a metric about the audits of a resource.
    pub(super) fn audit_of(&self, resource: &str, metric: &str) -> f64 {
        let series = format!("kube_state_metrics_audit_{metric}{{resource=\"{resource}\"}}");
        self.metric(&series).unwrap()
    }

    fn has(&self, key: &str) -> bool {
        self.config_maps().iter().any(|own| own == key)
    }
}

/// Returns the number of lists with the page size `limit` that audits have requested. The function recognizes these
/// lists, because only audits request lists of metadata.
fn audit_lists(server: &ApiServer, limit: &str) -> usize {
    let log = server.log("configmaps").into_iter();
    let lists = log.filter(|request| {
        !request.is_watch()
            && request.accept.contains("PartialObjectMetadataList")
            && request.get("limit") == Some(limit)
    });
    lists.count()
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_that_stayed_is_removed_within_ten_minutes() {
    for protobuf in ENCODINGS {
        for streaming in ENCODINGS {
            let server = server();
            server.set_protobuf(protobuf);
            let configure = |watch| audited(watch).streaming_lists(streaming);
            let running = synced(&server, configure).await;
            pass(INTERVAL * 3).await;
            server.lose_changes("configmaps", 1);
            server.delete("configmaps", "a", "cm3");
            pass(Duration::from_secs(5)).await;
            assert!(running.has("a/cm3"), "the watch knows nothing");
            let removed = || !running.has("a/cm3");
            within("the object is removed", TEN_MINUTES, removed).await;
            running.agrees().await;
            assert_eq!(running.audit("relists_total"), 1.0);
            assert_eq!(running.audit("difference"), 1.0);
            // After the new list, the audit compares the objects again and finds no difference.
            let healed = || running.audit("difference") == 0.0;
            within("the list is verified", Duration::from_secs(90), healed).await;
            pass(INTERVAL * 5).await;
            assert_eq!(running.audit("relists_total"), 1.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missed_object_appears_within_ten_minutes_and_is_named() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, audited).await;
    pass(INTERVAL * 3).await;
    server.lose_changes("configmaps", 1);
    server.put("configmaps", config_map("a", "new"));
    pass(Duration::from_secs(5)).await;
    assert!(!running.has("a/new"));
    within("the object appears", TEN_MINUTES, || running.has("a/new")).await;
    running.agrees().await;
    assert_eq!(running.audit("relists_total"), 1.0);
    let words = ["the watch has missed changes", "a/new (missing)"];
    assert_eq!(log.lines(&words).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_names_of_missed_objects_are_truncated() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, audited).await;
    pass(INTERVAL * 3).await;
    let names = ["x", "y"].map(|letter| format!("{}\u{1b}[31m", letter.repeat(100_000)));
    server.lose_changes("configmaps", names.len());
    for name in &names {
        server.put("configmaps", config_map("a", name));
    }
    running.agrees().await;
    let lines = log.lines(&["the watch has missed changes", "a/xxx"]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 4_000, "{}", lines[0].len());
    assert!(
        lines[0].contains("... (100007 bytes) (missing)"),
        "{}",
        lines[0]
    );
    assert!(!lines[0].contains('\u{1b}'));
}

#[tokio::test(start_paused = true)]
async fn a_missed_change_is_found_by_the_sample() {
    let server = server();
    let running = synced(&server, audited).await;
    pass(INTERVAL).await;
    server.lose_changes("configmaps", 1);
    let mut changed = config_map("a", "cm3");
    changed["immutable"] = serde_json::json!(true);
    server.put("configmaps", changed);
    // Only one of 36 audits compares all objects of a watch, so the test waits for more than 36 audits.
    let found = || running.audit("relists_total") == 1.0;
    within("the change is found", INTERVAL * 38, found).await;
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_old_bookmarks_is_mute_and_found_within_ten_minutes() {
    for change in 0..3 {
        let server = server();
        let running = synced(&server, audited).await;
        pass(INTERVAL * 3).await;
        server.freeze_watches("configmaps");
        match change {
            0 => server.delete("configmaps", "a", "cm3"),
            1 => drop(server.put("configmaps", config_map("a", "new"))),
            _ => drop(server.put("configmaps", config_map("a", "cm3"))),
        }
        let found = || running.audit("relists_total") == 1.0;
        within("the mute watch is found", TEN_MINUTES, found).await;
        running.agrees().await;
        // The watch still receives no events, so only a later audit can find the next change.
        server.put("configmaps", config_map("a", "newer"));
        within("the next change is found", TEN_MINUTES * 2, || {
            running.has("a/newer")
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_delivers_nothing_hides_no_change_for_ten_minutes() {
    let server = server();
    let running = synced(&server, audited).await;
    server.mute_all_watches("configmaps");
    for round in 0..12 {
        pass(Duration::from_secs(137 * round % 600)).await;
        let name = format!("new{round}");
        server.put("configmaps", config_map("a", &name));
        let shows = || running.has(&format!("a/{name}"));
        within("the change shows", TEN_MINUTES, shows).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_without_bookmarks_is_not_mute() {
    let server = server().bookmark_every(Duration::from_secs(1_000_000));
    let running = synced(&server, audited).await;
    // Changes of other resources increase the resource version of the server.
    for number in 0..40 {
        server.put("namespaces", namespace(&format!("n{number}")));
        pass(INTERVAL).await;
    }
    assert_eq!(running.audit("relists_total"), 0.0);
    assert_eq!(running.audit("difference"), 0.0);
    // If comparisons of all objects find no difference, the audits compare all objects less often.
    let comparisons = audit_lists(&server, "500");
    assert!(comparisons < 30, "{comparisons}");
}

#[tokio::test(start_paused = true)]
async fn changes_during_audits_are_no_differences() {
    for seed in 0..12 {
        let mut dice = Rng::with_seed(seed);
        let server = server().bookmark_every(Duration::from_secs(dice.u64(1..60)));
        server.set_protobuf(dice.bool());
        let page = dice.u64(2..9);
        let running = synced(&server, |watch| {
            let watch = watch.page_size(page);
            watch.audit_interval(Duration::from_secs(20))
        })
        .await;
        server.clear_log();
        for _ in 0..300 {
            if dice.u8(0..4) == 0 {
                // One page of the list is slow, so that more changes occur while the list is in progress.
                server.heal();
                let on = if dice.bool() { On::List } else { On::NextPage };
                server.fault(on, "configmaps", 1, Fault::Slow(dice.usize(200..900)));
            }
            for _ in 0..dice.u8(0..5) {
                let name = format!("cm{}", dice.u8(0..9));
                let exists = running.server.objects("configmaps").iter().any(|object| {
                    let metadata = &object["metadata"];
                    metadata["namespace"] == "a" && metadata["name"] == *name
                });
                match dice.u8(0..6) {
                    0..3 if exists => server.delete("configmaps", "a", &name),
                    3 => drop(server.put("configmaps", broken("a", &name))),
                    _ => drop(server.put("configmaps", config_map("a", &name))),
                }
            }
            pass(Duration::from_millis(dice.u64(0..5_000))).await;
            assert_eq!(running.audit("difference"), 0.0, "seed {seed}");
        }
        server.heal();
        assert!(audit_lists(&server, "1") + audit_lists(&server, &page.to_string()) > 20);
        assert_eq!(running.audit("relists_total"), 0.0, "seed {seed}");
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn skipped_objects_are_counted_and_are_no_differences() {
    let server = server();
    server.put("configmaps", broken("a", "broken"));
    let mut large = config_map("a", "large");
    large["data"] = serde_json::json!({ "x": "y".repeat(5_000) });
    server.put("configmaps", large.clone());
    let running = start(&server, metrics(), |watch| {
        audited(watch).object_size_limit(3_000)
    });
    running.ready().await;
    pass(INTERVAL).await;
    server.put("configmaps", broken("b", "broken"));
    server.put("configmaps", large.clone());
    server.delete("configmaps", "a", "broken");
    server.clear_log();
    pass(INTERVAL * 72).await;
    // One of 36 audits compares all objects. The other audits only count the objects. All counts were equal, so no
    // count has caused a further comparison of all objects.
    assert!((1..=3).contains(&audit_lists(&server, "500")));
    assert!((67..=73).contains(&audit_lists(&server, "1")));
    assert_eq!(running.audit("relists_total"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn shards_count_the_objects_of_other_shards() {
    for by_range in [false, true] {
        let server = server().with_shards();
        let shards = (0..2).map(|index| {
            let shard = Shard::new(index, 2).unwrap();
            let shard = if by_range { shard.by_range() } else { shard };
            let builder = StateMetrics::builder().built_in([BuiltIn::ConfigMaps]);
            let builder = builder.shard(shard);
            start(&server, builder.build().unwrap(), audited)
        });
        let shards: Vec<_> = shards.collect();
        for shard in &shards {
            shard.ready().await;
        }
        server.put("configmaps", config_map("a", "new"));
        server.delete("configmaps", "a", "cm0");
        server.clear_log();
        pass(INTERVAL * 72).await;
        // In each of the two shards, one of 36 audits compares all objects.
        let comparisons = audit_lists(&server, "500");
        assert!((2..=6).contains(&comparisons), "{comparisons}");
        server.lose_changes("configmaps", 2);
        server.delete("configmaps", "a", "cm3");
        server.put("configmaps", config_map("a", "newer"));
        let shown = || {
            let all = shards.iter().flat_map(Running::config_maps);
            let all: Vec<_> = all.collect();
            !all.contains(&"a/cm3".into()) && all.contains(&"a/newer".into())
        };
        within("both changes are found", INTERVAL * 40, shown).await;
        for shard in &shards {
            assert!(shard.audit("relists_total") <= 2.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_of_shards_is_no_difference() {
    let server = server();
    let running = start(&server, metrics(), |watch| {
        let watch = watch.shard_handover(Duration::from_secs(400));
        watch.audit_interval(Duration::from_secs(60))
    });
    running.ready().await;
    for (index, total) in [(0, 2), (1, 3), (0, 1), (1, 2)] {
        running.handle.set_shard(Shard::new(index, total).unwrap());
        pass(Duration::from_secs(1_000)).await;
    }
    assert_eq!(running.audit("relists_total"), 0.0);
    assert_eq!(running.audit("difference"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn versions_without_an_order_end_the_audit_and_not_the_watch() {
    let server = server();
    let running = synced(&server, audited).await;
    let mut opaque = config_map("a", "opaque");
    opaque["metadata"]["resourceVersion"] = serde_json::json!("opaque");
    server.send_event("configmaps", "ADDED", &opaque);
    within("the object appears", INTERVAL, || running.has("a/opaque")).await;
    pass(INTERVAL * 3).await;
    server.put("configmaps", config_map("a", "later"));
    within("the watch goes on", INTERVAL, || running.has("a/later")).await;
    // The server no longer has the object. An audit detects this when the versions are numbers again.
    within("the object is removed", INTERVAL * 3, || {
        !running.has("a/opaque")
    })
    .await;
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreliable_watch_is_not_listed_again_without_a_pause() {
    let server = server();
    let running = synced(&server, audited).await;
    for number in 0..60 {
        server.lose_changes("configmaps", 1);
        server.put("configmaps", config_map("a", &format!("new{number}")));
        pass(Duration::from_secs(30)).await;
    }
    // In 30 minutes, there are six audits. The number of relists must be far lower than the number of lost changes.
    let relists = running.audit("relists_total");
    assert!((1.0..=12.0).contains(&relists), "{relists}");
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_removed_by_a_list_that_no_cache_answers() {
    for use_cache in [false, true] {
        let server = server();
        let configure = |watch| audited(watch).use_api_server_cache(use_cache);
        let running = synced(&server, configure).await;
        // The cache of the server lacks the object. A streaming list would therefore lack the object, too.
        server.leave_out_of_streams("configmaps", "a", "new");
        server.lose_changes("configmaps", 1);
        server.clear_log();
        server.put("configmaps", config_map("a", "new"));
        within("the object appears", TEN_MINUTES, || running.has("a/new")).await;
        let log = server.log("configmaps").into_iter();
        let mut lists = log.filter(|asked| asked.get("limit") == Some("500"));
        let heals = |asked: ApiRequest| asked.version().is_none();
        assert!(
            lists.any(heals),
            "a list of any version may come from the cache"
        );
        assert_eq!(running.audit("relists_total"), 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_help_is_repeated_rarely() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, audited).await;
    server.leave_out_of_objects("namespaces", "new");
    server.lose_changes("namespaces", 1);
    server.put("namespaces", namespace("new"));
    let audit = |metric: &str| running.audit_of("*v1.Namespace", metric);
    eventually("the difference shows", || audit("difference") == 1.0).await;
    pass(INTERVAL * 24).await;
    assert_eq!(audit("difference"), 1.0);
    let relists = audit("relists_total");
    assert!((2.0..8.0).contains(&relists), "{relists}");
    assert!(!log.lines(&["a new list did not help"]).is_empty());
    assert!(!running.text().contains("namespace=\"new\""));
}

#[tokio::test(start_paused = true)]
async fn audits_that_fail_change_nothing_become_old_and_are_warned_about_once() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, audited).await;
    pass(INTERVAL * 3).await;
    assert!(running.audit("age_seconds") < 460.0);
    server.fault(
        On::List,
        "configmaps",
        usize::MAX,
        Fault::Status(500, "InternalError"),
    );
    pass(INTERVAL).await;
    let warnings = || {
        log.lines(&["WARN", "configmaps", "audits have failed"])
            .len()
    };
    assert_eq!(warnings(), 0);
    pass(INTERVAL * 3).await;
    assert!(running.audit("age_seconds") > 1_000.0);
    pass(INTERVAL * 6).await;
    assert_eq!(warnings(), 1);
    assert_eq!(running.audit("relists_total"), 0.0);
    running.agrees().await;
    server.heal();
    pass(INTERVAL * 2).await;
    assert!(running.audit("age_seconds") < 460.0);
}

#[tokio::test(start_paused = true)]
async fn without_an_interval_or_with_lists_of_some_objects_there_is_no_audit() {
    for case in 0..3 {
        let server = server();
        let running = synced(&server, |watch| match case {
            0 => watch,
            1 => audited(watch).object_limit(100),
            _ => audited(watch).field_selector("configmaps", "metadata.name!=x"),
        })
        .await;
        server.clear_log();
        pass(INTERVAL * 3).await;
        assert_eq!(server.counts("configmaps").0, 0);
        let age = "kube_state_metrics_audit_age_seconds{resource=\"*v1.ConfigMap\"}";
        assert_eq!(running.metric(age), None);
    }
}

// docs/explanation/reliability.md explains how the ratio in the name of this test is calculated.
#[tokio::test(start_paused = true)]
async fn the_count_of_a_large_resource_costs_a_thousandth_of_its_list() {
    for protobuf in ENCODINGS {
        let server = server();
        server.set_protobuf(protobuf);
        for number in 0..3_000 {
            let mut object = config_map("a", &format!("n{number}"));
            object["data"] = serde_json::json!({ "x": "y".repeat(700) });
            server.put("configmaps", object);
        }
        let running = synced(&server, |watch| audited(watch).streaming_lists(false)).await;
        let list: usize = server.list_bytes("configmaps").iter().sum();
        server.clear_log();
        pass(INTERVAL * 38 + Duration::from_secs(60)).await;
        let bytes = server.list_bytes("configmaps");
        let count = bytes.iter().copied().min().unwrap();
        assert!(count * 1_000 < list, "{count} of {list}");
        let counts = audit_lists(&server, "1");
        assert!((35..=39).contains(&counts), "{counts}");
        // One of 36 audits compares all objects, in pages of 500.
        assert_eq!(audit_lists(&server, "500"), 7);
        assert_eq!(running.audit("requests_total"), counts as f64 + 7.0);
    }
}
