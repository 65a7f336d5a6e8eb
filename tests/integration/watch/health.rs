//! Tests health and readiness: the report of each resource, and the times in these reports.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::log::Log;
use super::{SYNCED, config_map, metrics, pods, server, start, synced};
use crate::support::{Fault, On, eventually, pass};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::source::health::{
    FailureReason, FeedOrigin, ReadinessPolicy, ResourceState,
};

#[tokio::test(start_paused = true)]
async fn a_resource_goes_from_not_started_over_listing_to_synced() {
    let server = server();
    let watcher = metrics().watch(server.client()).build().unwrap();
    let health = watcher.health();
    let state = || health.resources()[0].state;
    assert_eq!(state(), ResourceState::NotStarted);
    assert!(!health.snapshot().ready);
    server.fault(On::StreamingList, "configmaps", 1, Fault::Slow(100));
    let running = crate::support::background(watcher.run());
    pass(Duration::from_secs(2)).await;
    assert_eq!(state(), ResourceState::Listing);
    assert!(!health.snapshot().ready);
    eventually("configmaps are synced", || state() == SYNCED).await;
    assert!(health.snapshot().ready && running.is_running());
}

#[tokio::test(start_paused = true)]
async fn refusals_do_not_hold_readiness_up_but_are_named() {
    for (code, word) in [(403, "forbidden"), (404, "not found")] {
        let server = server();
        server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(code, "x"));
        let running = start(&server, metrics(), |watch| watch);
        running.ready().await;
        let readiness = running.health.readiness(ReadinessPolicy::Default);
        assert_eq!(
            readiness.to_string(),
            format!(
                "ready: 1 of 2 resources complete\n\
                 refused: configmaps ({word}): {word}: scripted\n"
            )
        );
        let strict = running.health.readiness(ReadinessPolicy::Strict);
        assert!(!strict.ready);
        assert!(strict.to_string().starts_with("not ready: 1 of 2"));
        // The watch repeats the list after a backoff. The list succeeds when the API server allows the list again.
        server.heal();
        let strict = running.health.ready(ReadinessPolicy::Strict).await;
        assert_eq!(strict.to_string(), "ready: 2 of 2 resources complete\n");
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_server_that_starts_do_not_end_the_wait_for_a_list() {
    let server = server();
    server.forbid("");
    let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
    pass(Duration::from_secs(2)).await;
    server.heal();
    server.fault(On::List, "configmaps", 1, Fault::Slow(100));
    let (began, mut was_listing) = (Instant::now(), false);
    loop {
        let is_ready = running.health.readiness(ReadinessPolicy::Default).ready;
        let config_maps = running.health_of("configmaps");
        assert_eq!(is_ready, config_maps.complete, "{config_maps:?}");
        if is_ready {
            break;
        }
        was_listing |= config_maps.state == ResourceState::Listing;
        pass(Duration::from_millis(100)).await;
    }
    assert!(was_listing && began.elapsed() > Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_was_refused_and_fails_now_is_waited_for() {
    let server = server();
    server.fault(On::List, "configmaps", 1, Fault::Status(403, "Forbidden"));
    server.fault(On::List, "configmaps", usize::MAX, Fault::Status(500, "x"));
    server.fault(On::List, "namespaces", 1, Fault::Slow(50));
    let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
    pass(Duration::from_secs(30)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert_eq!((readiness.ready, readiness.complete), (false, 1));
    server.heal();
    running.ready().await;
    assert!(running.health_of("configmaps").complete);
}

#[tokio::test(start_paused = true)]
async fn if_everything_was_refused_a_refusal_counts_after_ten_seconds() {
    for (refusals, range) in [(0, 0..3), (1, 10..12)] {
        let server = server();
        server.fault(On::List, "configmaps", usize::MAX, Fault::Status(403, "x"));
        server.fault(On::List, "namespaces", refusals, Fault::Status(403, "x"));
        let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
        let began = Instant::now();
        running.ready().await;
        let seconds = began.elapsed().as_secs();
        assert!(range.contains(&seconds), "{refusals} refusals: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_fails_holds_readiness_up_until_the_deadline() {
    let hang = (Fault::Hang, "unreachable");
    let broken = (Fault::Status(500, "x"), "server error");
    for (fault, reason) in [hang, broken] {
        let (log, _guard) = Log::begin();
        let server = server();
        server.set_down(true);
        server.fault(On::Any, "configmaps", usize::MAX, fault);
        let running = start(&server, metrics(), |watch| watch);
        // The deadline for readiness starts when the first list is complete. No list is complete yet.
        pass(Duration::from_secs(100)).await;
        assert!(!running.health.readiness(ReadinessPolicy::Default).ready);
        server.set_down(false);
        pass(Duration::from_secs(50)).await;
        let readiness = running.health.readiness(ReadinessPolicy::Default);
        assert!(!readiness.ready);
        let text = readiness.to_string();
        assert!(text.contains("\nwaiting for: configmaps ("), "{text}");
        let metric = "kube_state_metrics_ready_without{resource=\"*v1.ConfigMap\"}";
        assert_eq!(running.metric(metric), None);

        let ready = running.health.ready(ReadinessPolicy::Default);
        let ready = tokio::time::timeout(Duration::from_secs(10), ready).await;
        let text = ready.unwrap().to_string();
        let expected = format!(
            "ready: 1 of 2 resources complete\nready without: configmaps ({reason}): {reason}: "
        );
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(running.metric(metric), Some(1.0));
        assert!(!running.health.readiness(ReadinessPolicy::Strict).ready);
        pass(Duration::from_secs(1)).await;
        let lines = log.lines(&[
            "WARN",
            "ready, but these resources could not be listed",
            "configmaps",
        ]);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        server.heal();
        running.agrees().await;
        assert_eq!(running.metric(metric), None);
        assert!(running.health.readiness(ReadinessPolicy::Strict).ready);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_resource_that_fails_holds_readiness_up_for_good() {
    let server = server();
    server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(500, "x"));
    let running = start(&server, metrics(), |watch| {
        watch.readiness_deadline(Duration::ZERO)
    });
    pass(Duration::from_secs(1000)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert!(!readiness.ready);
    assert_eq!(
        readiness.to_string(),
        "not ready: 1 of 2 resources complete\n\
         waiting for: configmaps (server error): server error: scripted\n"
    );
    server.heal();
    running.ready().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_that_makes_progress_is_waited_for_beyond_the_deadline() {
    let server = server();
    server.fault(On::List, "configmaps", 1, Fault::Slow(20));
    let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
    pass(Duration::from_secs(80)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert_eq!(
        readiness.to_string(),
        "not ready: 1 of 2 resources complete\nwaiting for: configmaps (listing)\n"
    );
    let ready = running.health.ready(ReadinessPolicy::Default).await;
    assert_eq!((ready.complete, ready.waiting.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_but_refusals_or_failures_is_not_ready() {
    for faults in [[403, 403], [404, 403], [500, 500], [403, 500]] {
        let server = server();
        for (resource, code) in ["configmaps", "namespaces"].into_iter().zip(faults) {
            server.fault(On::Any, resource, usize::MAX, Fault::Status(code, "x"));
        }
        let running = start(&server, metrics(), |watch| watch);
        pass(Duration::from_secs(1000)).await;
        let readiness = running.health.readiness(ReadinessPolicy::Default);
        assert!(!readiness.ready, "{faults:?}");
        let text = readiness.to_string();
        if faults == [403, 403] {
            assert_eq!(
                text,
                "not ready: 0 of 2 resources complete\n\
                 refused: configmaps, namespaces (forbidden): forbidden: scripted\n"
            );
        }
        server.heal();
        running.ready().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_namespace_that_may_be_listed_is_enough() {
    let server = server();
    let metrics = StateMetrics::builder()
        .built_in([kube_state_metrics::BuiltIn::ConfigMaps])
        .namespaces(["a", "b"])
        .build()
        .unwrap();
    // The first streaming list and the paged lists fail. The second streaming list succeeds.
    server.fault(On::StreamingList, "configmaps", 1, Fault::Status(403, "x"));
    server.fault(On::List, "configmaps", usize::MAX, Fault::Status(403, "x"));
    let running = start(&server, metrics, |watch| watch);
    let ready = running.health.ready(ReadinessPolicy::Default).await;
    assert_eq!((ready.complete, ready.refused.len()), (0, 1));
    assert_eq!(running.config_maps().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn strict_readiness_tolerates_the_short_refusals_of_a_server_that_starts() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    let strict = || running.health.readiness(ReadinessPolicy::Strict).ready;
    server.set_down(true);
    pass(Duration::from_secs(30)).await;
    server.forbid("");
    server.set_down(false);
    let forbidden = ResourceState::Failing(FailureReason::Forbidden);
    let refused = || running.health_of("configmaps").state == forbidden;
    eventually("configmaps are refused", refused).await;
    for half_second in 0..8 {
        assert!(strict(), "{half_second}");
        pass(Duration::from_millis(500)).await;
    }
    assert!(refused());
    server.heal();
    running.agrees().await;
    assert!(strict());
    // With the policy `strict`, the watch is no longer ready if the API server continues to refuse the resource.
    server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(403, "x"));
    server.cut_watches("configmaps");
    pass(Duration::from_secs(20)).await;
    assert!(!strict());
    server.heal();
    running.agrees().await;
    assert!(strict());
}

#[tokio::test(start_paused = true)]
async fn an_outage_between_two_short_refusals_is_no_long_refusal() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    let refused = || running.health.readiness(ReadinessPolicy::Default).refused;
    pass(Duration::from_secs(5)).await;
    server.forbid("");
    server.cut_watches("");
    pass(Duration::from_secs(1)).await;
    assert_eq!(refused().len(), 2);
    server.set_down(true);
    pass(Duration::from_secs(61 * 60)).await;
    assert_eq!(refused().len(), 0);
    server.set_down(false);
    eventually("both resources are refused again", || refused().len() == 2).await;
    for tenth in 0..15 {
        assert!(
            running.health.readiness(ReadinessPolicy::Strict).ready,
            "{tenth}"
        );
        assert_eq!(running.config_maps().len(), 12);
        pass(Duration::from_millis(100)).await;
    }
    server.heal();
    running.agrees().await;
    assert_eq!(running.health_of("configmaps").refused_seconds, None);
}

#[tokio::test(start_paused = true)]
async fn once_ready_it_stays_ready_while_it_can_serve() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.set_down(true);
    pass(Duration::from_secs(1000)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert!(readiness.ready);
    assert_eq!((readiness.failing.len(), readiness.waiting.len()), (2, 0));
    let text = readiness.to_string();
    assert!(
        text.contains("failing: configmaps, namespaces (unreachable): unreachable: "),
        "{text}"
    );
    assert!(
        running.health.readiness(ReadinessPolicy::Strict).ready,
        "nothing is refused"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_host_feeds_is_not_waited_for() {
    let server = server();
    let metrics = StateMetrics::builder()
        .built_in([kube_state_metrics::BuiltIn::ConfigMaps])
        .collector(pods().fed_by_host())
        .build()
        .unwrap();
    let mut writer = metrics.feed::<k8s_openapi::api::core::v1::Pod>().unwrap();
    let running = start(&server, metrics, |watch| watch);
    running.ready().await;
    assert_eq!(server.log("pods").len(), 0);
    let pods = running.health_of("pods");
    assert_eq!(
        (pods.source, pods.state, pods.complete),
        (FeedOrigin::Host, ResourceState::NotStarted, false)
    );
    writer.begin_list();
    writer.end_list();
    assert_eq!(running.health_of("pods").state, SYNCED);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_tells_all_as_json() {
    let server = server();
    server.forbid("namespaces");
    let running = start(&server, metrics(), |watch| watch);
    running.ready().await;
    pass(Duration::from_secs(10)).await;
    let snapshot = serde_json::to_value(running.health.snapshot()).unwrap();
    assert_eq!(snapshot["ready"], json!(true));
    let [config_maps, namespaces] = &snapshot["resources"].as_array().unwrap()[..] else {
        panic!("{snapshot}");
    };
    for (field, value) in [
        ("resource", json!("configmaps")),
        ("api_version", json!("v1")),
        ("kind", json!("ConfigMap")),
        ("source", json!("watched")),
        ("state", json!("synced")),
        ("complete", json!(true)),
        ("objects", json!(12)),
        ("series", json!(36)),
        ("lists", json!(1)),
        ("decode_errors", json!(0)),
        ("last_error", json!(null)),
    ] {
        assert_eq!(config_maps[field], value, "{field}");
    }
    assert!(config_maps["memory_bytes"].as_u64().unwrap() > 100);
    let silent = config_maps["silent_seconds"].as_f64().unwrap();
    assert!((9.0..12.0).contains(&silent), "{silent}");
    assert_eq!(
        (&namespaces["state"], &namespaces["reason"]),
        (&json!("failing"), &json!("forbidden"))
    );
    assert_eq!(namespaces["last_error"], json!("forbidden: scripted"));
    assert!(namespaces["feeds"][0]["failures"].as_u64().unwrap() > 2);
}

#[test]
fn policies_have_names() {
    for policy in [ReadinessPolicy::Default, ReadinessPolicy::Strict] {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let error = "lax".parse::<ReadinessPolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`lax` is not a readiness policy; use `default` or `strict`"
    );
    assert!(
        FailureReason::ALL
            .iter()
            .all(|reason| !reason.as_str().contains(' '))
    );
}

#[tokio::test(start_paused = true)]
async fn versions_show_whether_another_process_has_received_the_same_changes() {
    for streaming in [true, false] {
        let server = server();
        let leader = synced(&server, |watch| watch.streaming_lists(streaming)).await;
        let versions = |running: &super::Running, resource: &str| {
            let health = running.health_of(resource);
            let feed = &health.feeds[0];
            (feed.newest_version.unwrap(), feed.received_version.unwrap())
        };
        // `listed` is the version of the list. `newest` is the highest version of a configmap.
        let listed = server.version();
        let newest = server.objects("configmaps").pop().unwrap();
        let newest = newest["metadata"]["resourceVersion"].as_str().unwrap();
        let newest = newest.parse::<u64>().unwrap();
        assert_eq!(versions(&leader, "configmaps"), (newest, listed));
        assert!(versions(&leader, "namespaces").0 < newest);
        // A change of one resource does not change the reported versions of other resources.
        server.put("configmaps", config_map("a", "cm0"));
        let changed = server.version();
        eventually("the change arrives", || {
            versions(&leader, "configmaps") == (changed, changed)
        })
        .await;
        assert_eq!(versions(&leader, "namespaces").1, listed);
        // A second process lists later, so it has received at least the changes of the first process.
        let standby = synced(&server, |watch| watch.streaming_lists(streaming)).await;
        assert!(versions(&standby, "namespaces").1 >= versions(&leader, "namespaces").0);
        assert_eq!(versions(&standby, "configmaps"), (changed, changed));
        server.delete("configmaps", "a", "cm0");
        let deleted = server.version();
        for running in [&leader, &standby] {
            eventually("the deletion arrives", || {
                versions(running, "configmaps").0 == deleted
            })
            .await;
        }
        // No namespace has changed, but a bookmark tells the watch of namespaces the current version.
        eventually("a bookmark arrives", || {
            versions(&leader, "namespaces").1 == deleted
        })
        .await;
    }
}
