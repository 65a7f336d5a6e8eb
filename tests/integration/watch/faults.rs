//! Tests every fault of a request. During the fault, the exposition must keep the last samples, and the watch must
//! retry. At the end, all resources must be synced.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::hostile::body;
use super::log::Log;
use super::{broken, config_map, expected, metrics, server, start, synced};
use crate::support::{Fault, On, eventually, pass};
use kube_state_metrics::source::health::{FailureReason, ReadinessPolicy, ResourceState};

/// Returns the faults of a response. For each fault, the result has the reason that the health must report.
fn faults() -> Vec<(Fault, FailureReason)> {
    vec![
        (Fault::Status(403, "Forbidden"), FailureReason::Forbidden),
        (Fault::Status(404, "NotFound"), FailureReason::NotFound),
        (
            Fault::Status(401, "Unauthorized"),
            FailureReason::Unauthorized,
        ),
        (Fault::Status(410, "Expired"), FailureReason::Expired),
        (
            Fault::Status(500, "InternalError"),
            FailureReason::ServerError,
        ),
        (
            Fault::Status(503, "ServiceUnavailable"),
            FailureReason::ServerError,
        ),
        (Fault::RetryAfter(429, 3), FailureReason::Throttled),
        (Fault::RetryAfter(503, 3), FailureReason::ServerError),
        (Fault::Refused, FailureReason::Unreachable),
        (Fault::Hang, FailureReason::Unreachable),
        (Fault::Cut(300), FailureReason::Unreachable),
        (Fault::Cut(0), FailureReason::Unreachable),
        (Fault::Truncate(300), FailureReason::DecodeError),
        (Fault::Truncate(0), FailureReason::DecodeError),
        (Fault::Stall(300), FailureReason::Unreachable),
        (Fault::Body("<html>busy</html>"), FailureReason::DecodeError),
        (Fault::Body("{}"), FailureReason::DecodeError),
        (
            Fault::Body(r#"{"kind":"Status"}"#),
            FailureReason::DecodeError,
        ),
    ]
}

// docs/explanation/testing.md shows the code of this test, so change both together.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_is_resumed() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.fault(
        On::Watch,
        "configmaps",
        2,
        Fault::Status(500, "InternalError"),
    );
    server.cut_watches("configmaps");
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_list_survives_every_fault() {
    for streaming in [true, false] {
        for (fault, reason) in faults() {
            let server = server();
            for on in [On::StreamingList, On::List, On::Watch] {
                server.fault(on, "configmaps", 3, fault.clone());
            }
            let running = start(&server, metrics(), |watch| watch.streaming_lists(streaming));
            // While the requests for configmaps fail, the watch must still list the other resources.
            let others = || running.text().contains("kube_namespace_status_phase");
            eventually("the other kind is there", others).await;
            let said = |own: &str| own.contains(&reason.to_string());
            let error = || running.health_of("configmaps").last_error;
            if !streaming {
                eventually("the fault shows", || error().is_some_and(|own| said(&own))).await;
            }
            running.agrees().await;
            assert!(error().is_some(), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_page_survives_every_fault() {
    for (fault, _) in faults() {
        let server = server();
        server.fault(On::NextPage, "configmaps", 2, fault.clone());
        let running = start(&server, metrics(), |watch| {
            watch.streaming_lists(false).page_size(5)
        });
        running.agrees().await;
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_token_that_expires_leads_to_one_whole_list() {
    let server = server();
    let page = Fault::Status(410, "Expired");
    server.fault(On::NextPage, "configmaps", 1, page);
    synced(&server, |watch| watch.streaming_lists(false).page_size(5)).await;
    let log = server.log("configmaps");
    assert_eq!(server.counts("configmaps"), (3, 0, 1));
    assert!(log[1].get("continue").is_some());
    assert_eq!(
        (log[2].get("limit"), log[2].get("resourceVersion")),
        (None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_relist_survives_every_fault_and_shows_the_old_state_meanwhile() {
    for streaming in [true, false] {
        for (fault, _) in faults() {
            let server = server();
            let running = synced(&server, |watch| watch.streaming_lists(streaming)).await;
            let before = running.text();
            for on in [On::StreamingList, On::List, On::Watch] {
                server.fault(on, "configmaps", 2, fault.clone());
            }
            server.expire_watches("configmaps");
            server.put("configmaps", config_map("a", "new"));
            server.delete("configmaps", "b", "cm0");
            let after = expected(&server);
            let intact = || {
                let now = running.text();
                assert!(now == before || now == after, "{fault:?}: {now}");
                now == after
            };
            eventually("the relist shows", intact).await;
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_be_resumed_at_once_survives_every_fault() {
    for (fault, _) in faults() {
        let server = server();
        let running = synced(&server, |watch| watch).await;
        pass(Duration::from_secs(5)).await;
        server.fault(On::Watch, "configmaps", 2, fault.clone());
        server.cut_watches("configmaps");
        server.put("configmaps", config_map("a", "new"));
        server.delete("configmaps", "b", "cm0");
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn error_events_at_the_start_of_a_stream_are_survived() {
    for (code, reason) in [
        (410, "Expired"),
        (500, "InternalError"),
        (429, "TooManyRequests"),
    ] {
        let server = server();
        let error = Fault::ErrorEvent(code, reason);
        server.fault(On::StreamingList, "configmaps", 1, error.clone());
        let running = synced(&server, |watch| watch).await;
        server.fault(On::Watch, "configmaps", 2, error.clone());
        server.fault(On::StreamingList, "configmaps", 1, error);
        server.cut_watches("configmaps");
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_respected() {
    for on in [On::StreamingList, On::Watch] {
        let server = server();
        server.fault(on, "configmaps", 1, Fault::RetryAfter(429, 40));
        let began = Instant::now();
        let running = start(&server, metrics(), |watch| watch);
        if on == On::Watch {
            running.ready().await;
            server.cut_watches("configmaps");
            server.put("configmaps", config_map("a", "new"));
        }
        pass(Duration::from_secs(39)).await;
        let requests = server.log("configmaps").len();
        assert_eq!(requests, if on == On::Watch { 2 } else { 1 });
        running.agrees().await;
        assert!(
            began.elapsed() < Duration::from_secs(45),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_differ_from_one_another() {
    let server = server();
    server.fault(
        On::Any,
        "configmaps",
        1000,
        Fault::Status(500, "InternalError"),
    );
    let running = start(&server, metrics(), |watch| watch);
    pass(Duration::from_secs(600)).await;
    let (lists, ..) = server.counts("configmaps");
    // Each backoff is twice as long as the previous backoff, from 0.8 s to 30 s. Each backoff is then multiplied by a
    // random factor from 1 to 2. Therefore, there are 14 to 25 requests in ten minutes.
    assert!((14..=25).contains(&lists), "{lists}");
    assert_eq!(server.counts("namespaces"), (0, 1, 1));
    server.heal();
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn changes_show_within_five_seconds_of_the_servers_return() {
    let unavailable = || Fault::Status(503, "ServiceUnavailable");
    // In the first iteration, the server is unreachable. In the second iteration, a proxy reports that the server is
    // unreachable.
    for by_proxy in [false, true] {
        for away in [1, 10, 100, 1000] {
            let server = server();
            let running = synced(&server, |watch| watch).await;
            pass(Duration::from_secs(5)).await;
            if by_proxy {
                for resource in ["configmaps", "namespaces"] {
                    server.fault(On::Any, resource, usize::MAX, unavailable());
                }
                server.cut_watches("");
            } else {
                server.set_down(true);
            }
            pass(Duration::from_secs(away)).await;
            let reason = if by_proxy {
                FailureReason::ServerError
            } else {
                FailureReason::Unreachable
            };
            let failing = ResourceState::Failing(reason);
            assert_eq!(running.health_of("configmaps").state, failing);
            assert_eq!(running.config_maps().len(), 12, "the last state stays");
            server.put("configmaps", config_map("a", "new"));
            server.compact();
            server.heal();
            // A server that has just started may still refuse some requests.
            server.fault(On::Any, "configmaps", 1, unavailable());
            server.set_down(false);
            pass(Duration::from_secs(5)).await;
            assert!(running.text() == expected(&server), "away for {away} s");
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_the_server_does_not_have_yet_is_given_up() {
    // A server that was restored from a backup refuses lists with a version that is higher than its current version.
    for streaming in [true, false] {
        let server = server();
        let running = synced(&server, |watch| watch.streaming_lists(streaming)).await;
        server.set_back(50);
        server.fault(On::Watch, "configmaps", 1, Fault::Status(410, "Expired"));
        server.cut_watches("configmaps");
        server.put("configmaps", config_map("a", "cm0"));
        running.agrees().await;
        let log = server.log("configmaps");
        let too_large = log
            .iter()
            .filter(|asked| asked.version().is_some_and(|own| own > 100));
        assert!(too_large.count() >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn rights_that_are_withdrawn_concern_one_kind_only() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    let forbidden = Fault::Status(403, "Forbidden");
    server.fault(On::Any, "configmaps", usize::MAX, forbidden);
    server.cut_watches("configmaps");
    let failing = ResourceState::Failing(FailureReason::Forbidden);
    let says_so = || running.health_of("configmaps").state == failing;
    eventually("the health shows the refusal", says_so).await;
    server.put("namespaces", super::namespace("c"));
    pass(Duration::from_secs(1)).await;
    assert!(
        running
            .text()
            .contains("kube_namespace_status_phase{namespace=\"c\"")
    );
    assert_eq!(running.config_maps().len(), 12, "the last state stays");
    assert!(running.health.snapshot().ready);
    let series = "kube_state_metrics_failing{reason=\"forbidden\",resource=\"*v1.ConfigMap\"}";
    assert_eq!(running.metric(series), Some(1.0));
    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    assert_eq!(running.metric(series), None);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_gone_for_good_is_forgotten() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.fault(
        On::Any,
        "configmaps",
        usize::MAX,
        Fault::Status(404, "NotFound"),
    );
    server.cut_watches("configmaps");
    pass(Duration::from_secs(30)).await;
    assert_eq!(
        running.config_maps().len(),
        12,
        "the resource may be served again"
    );
    eventually("the objects are removed", || {
        running.config_maps().is_empty()
    })
    .await;
    server.heal();
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_resource_that_stays_forbidden_go_after_an_hour() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    let never = synced(&server, |watch| {
        watch.forget_forbidden_after(Duration::ZERO)
    })
    .await;
    let forbidden = Fault::Status(403, "Forbidden");
    server.fault(On::Any, "configmaps", usize::MAX, forbidden);
    server.cut_watches("configmaps");
    pass(Duration::from_secs(600)).await;
    // The objects are removed after the API server has forbidden the resource for an hour. This hour does not include
    // the time during which the API server is down.
    server.set_down(true);
    pass(Duration::from_secs(600)).await;
    let metric = "kube_state_metrics_forbidden_removal_seconds{resource=\"*v1.ConfigMap\"}";
    assert_eq!(running.metric(metric), None);
    server.set_down(false);
    pass(Duration::from_secs(1830)).await;
    assert_eq!(
        running.config_maps().len(),
        12,
        "the resource may be permitted again"
    );
    let text = running.health.readiness(ReadinessPolicy::Default);
    let seconds = running.metric(metric).unwrap();
    assert!((1100.0..1180.0).contains(&seconds), "{seconds}");
    let minutes = (seconds / 60.0).ceil();
    let stale = format!(
        "stale: 12 stored objects of configmaps are removed within {minutes} min, \
         unless the API server allows listing them\n"
    );
    assert!(text.to_string().ends_with(&stale), "{text}");
    assert_eq!(never.metric(metric), None);

    pass(Duration::from_secs(1300)).await;
    assert_eq!(running.config_maps().len(), 0);
    assert_eq!(running.metric(metric), None);
    assert_eq!(never.config_maps().len(), 12);
    assert!(running.text().contains("kube_namespace_status_phase"));
    pass(Duration::from_secs(7200)).await;
    let words = ["WARN", "configmaps", "removed the objects of a resource"];
    assert_eq!(log.lines(&words).len(), 1);
    assert_eq!(running.health_of("configmaps").lists, 2, "removed once");
    server.heal();
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_without_its_end_is_given_up_though_events_flow() {
    let (log, _guard) = Log::begin();
    let server = server().bookmark_every(Duration::from_secs(80));
    server.set_end_marks(false);
    let running = start(&server, metrics(), |watch| watch);
    for second in 0..90 {
        // The watch receives frequent changes, so that no stream is silent for long.
        server.put("configmaps", config_map("a", &format!("new{second}")));
        server.put("namespaces", super::namespace(&format!("new{second}")));
        pass(Duration::from_secs(1)).await;
        let is_complete = running.config_maps().len() > 12;
        assert_eq!(is_complete, second >= 60, "after {second} s");
    }
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (1, 1, 1));
    let said = log.lines(&[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    let words = ["WARN", "count=2", "streaming lists did not end in time"];
    assert_eq!(log.lines(&words), said);

    // For one hour, the watch requests paged lists instead of streaming lists.
    for (minutes, streams) in [(30, 0), (31, 1)] {
        pass(Duration::from_secs(minutes * 60)).await;
        server.clear_log();
        server.expire_watches("configmaps");
        server.put("configmaps", config_map("a", &format!("after{minutes}")));
        pass(Duration::from_secs(200)).await;
        running.agrees().await;
        assert_eq!(server.counts("configmaps").1, streams);
    }
    assert_eq!(log.lines(&["WARN"]), said, "once");
    // When streaming lists work again, the watch requests streaming lists.
    server.set_end_marks(true);
    pass(Duration::from_secs(3700)).await;
    server.clear_log();
    server.expire_watches("configmaps");
    server.put("configmaps", config_map("a", "last"));
    running.agrees().await;
    assert_eq!(server.counts("configmaps").0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_may_take_three_times_as_long_as_the_last_one() {
    let server = server();
    let server = server.bookmark_every(Duration::from_secs(3600));
    // With this fault, the list takes 25 to 60 seconds.
    server.fault(On::StreamingList, "configmaps", 1, Fault::Slow(90));
    let began = Instant::now();
    let running = synced(&server, |watch| watch).await;
    let last = began.elapsed();
    assert!((25..60).contains(&last.as_secs()), "{last:?}");
    server.set_end_marks(false);
    server.clear_log();
    server.expire_watches("configmaps");
    let began = Instant::now();
    let paged = || {
        // The watch receives frequent changes, so that no stream is silent for long.
        server.put("configmaps", config_map("a", "busy"));
        server.counts("configmaps").0 > 0
    };
    eventually("a paged list is requested", paged).await;
    let waited = began.elapsed();
    assert!(waited > last * 2 && waited < last * 4, "{waited:?}");
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_streaming_list_can_be_set() {
    for (deadline, lists) in [(10, 1), (0, 0)] {
        let server = server().bookmark_every(Duration::from_secs(3600));
        server.set_end_marks(false);
        let _running = start(&server, metrics(), |watch| {
            watch.list_deadline(Duration::from_secs(deadline))
        });
        for second in 0..200 {
            server.put("configmaps", config_map("a", &format!("new{second}")));
            pass(Duration::from_secs(1)).await;
            let (now, ..) = server.counts("configmaps");
            assert_eq!(now, if second < 10 { 0 } else { lists }, "{second}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_that_never_completes_is_replaced_by_pages() {
    for fault in [Fault::Stall(300), Fault::Truncate(300), Fault::Cut(300)] {
        let server = server();
        server.fault(On::StreamingList, "configmaps", usize::MAX, fault);
        synced(&server, |watch| watch).await;
        let (lists, streams, watches) = server.counts("configmaps");
        assert!(
            lists == 1 && streams <= 2 && watches == 1,
            "{:?}",
            server.counts("configmaps")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_whose_response_does_not_begin_is_replaced_by_pages() {
    let (log, _guard) = Log::begin();
    let server = server();
    server.fault(On::StreamingList, "", usize::MAX, Fault::Hang);
    let running = start(&server, metrics(), |watch| {
        watch.list_deadline(Duration::from_secs(10))
    });
    pass(Duration::from_secs(20)).await;
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (1, 1, 1));
    let said = log.lines(&["WARN"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    let words = ["count=2", "streaming lists did not end in time"];
    assert_eq!(log.lines(&words), said);

    // The server is unreachable for a short time. After this time, the proxy still blocks streams.
    server.clear_log();
    server.set_down(true);
    pass(Duration::from_secs(30)).await;
    server.set_down(false);
    server.expire_watches("configmaps");
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    let (lists, streams, _) = server.counts("configmaps");
    assert!(
        lists > 0 && streams == 0,
        "{lists} lists, {streams} streams"
    );
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_sooner_than_the_last_wait_are_not_resumed_at_once() {
    let server = server();
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    server.fault(On::Any, "configmaps", 7, Fault::Status(500, "x"));
    server.cut_watches("configmaps");
    eventually("lists have failed", || server.counts("configmaps").0 >= 6).await;
    eventually("configmaps are synced", || {
        running.health_of("configmaps").state == super::SYNCED
    })
    .await;
    server.clear_log();
    for round in 0..60 {
        if round % 2 == 0 {
            server.fault(On::Watch, "configmaps", 1, Fault::Body(""));
        }
        pass(Duration::from_secs(2)).await;
        server.end_watches("configmaps");
    }
    let (_, _, watches) = server.counts("configmaps");
    assert!(watches < 12, "{watches} watches in two minutes");
    server.heal();
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_watch_between_watches_that_end_at_once_does_not_mean_that_they_work() {
    let server = server();
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    for _ in 0..20 {
        server.fault(On::Watch, "configmaps", 1, Fault::Body(""));
        server.fault(On::Watch, "configmaps", 1, Fault::RetryAfter(429, 2));
    }
    server.cut_watches("configmaps");
    let failing = || running.health_of("configmaps").state != super::SYNCED;
    eventually("the watch fails", failing).await;
    for tenth in 0..200 {
        assert!(failing(), "after {tenth} tenths of a second");
        pass(Duration::from_millis(100)).await;
    }
    server.heal();
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn slow_answers_are_waited_for() {
    for streaming in [true, false] {
        let server = server();
        server.put("configmaps", broken("b", "bad"));
        for on in [On::StreamingList, On::List] {
            server.fault(on, "configmaps", 1, Fault::Slow(100));
        }
        let running = start(&server, metrics(), |watch| watch.streaming_lists(streaming));
        running.agrees().await;
        assert_eq!(server.counts("configmaps").0, usize::from(!streaming));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_server_is_asked_for_streaming_lists_again() {
    let server = server().without_streaming_lists();
    let running = synced(&server, |watch| watch).await;
    server.set_down(true);
    pass(Duration::from_secs(10)).await;
    server.set_streaming_lists(true);
    server.clear_log();
    server.expire_watches("");
    server.set_down(false);
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_never_valid_delay_changes_for_a_limited_time() {
    let server = server();
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    // Each watch begins with the same invalid event, so only lists show changes.
    let invalid = Fault::Script(200, |_| body("{\"type\":\"ADDED\"}\n"));
    server.fault(On::Watch, "configmaps", usize::MAX, invalid);
    server.cut_watches("configmaps");
    server.clear_log();
    let mut missing = VecDeque::new();
    for at in 0..180 {
        let name = format!("at{at}");
        server.put("configmaps", config_map("a", &name));
        missing.push_back((Instant::now(), format!("a/{name}")));
        pass(Duration::from_secs(10)).await;
        let exported = running.config_maps();
        missing.retain(|(_, name)| !exported.contains(name));
        let oldest = missing.front().map(|(since, _)| since.elapsed());
        assert!(
            oldest.is_none_or(|age| age < Duration::from_secs(135)),
            "{oldest:?}"
        );
    }
    let lists = server.counts("configmaps").0;
    assert!((15..=50).contains(&lists), "{lists} lists in half an hour");
    server.heal();
    running.agrees().await;
}
