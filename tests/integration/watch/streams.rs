//! Tests the events and the faults of an open watch.

use std::time::Duration;

use serde_json::json;

use super::{ENCODINGS, broken, config_map, expected, server, synced};
use crate::support::{Fault, On, eventually, pass, within};

#[tokio::test(start_paused = true)]
async fn changes_show_within_a_second() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    for number in 0..20 {
        server.put("configmaps", config_map("a", &format!("new{number}")));
        server.delete("configmaps", "a", &format!("new{number}"));
        server.put("configmaps", config_map("b", &format!("new{number}")));
        let holds = || running.text() == expected(&server);
        within("the change shows", Duration::from_secs(1), holds).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_resumed_without_a_list() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    for round in 0..3 {
        pass(Duration::from_secs(10)).await;
        if round == 1 {
            server.end_watches("");
        } else {
            server.cut_watches("");
        }
        server.put("configmaps", config_map("a", &format!("new{round}")));
        running.agrees().await;
    }
    let (lists, streams, watches) = server.counts("configmaps");
    assert_eq!((lists, streams, watches), (0, 1, 3));
    assert_eq!(running.health_of("configmaps").lists, 1);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_keep_a_quiet_watch_resumable() {
    for protobuf in ENCODINGS {
        let server = server();
        server.set_protobuf(protobuf);
        let running = synced(&server, |watch| watch).await;
        // Changes of other kinds increase the resource version of the server, and bookmarks contain this version.
        server.put("namespaces", super::namespace("c"));
        pass(Duration::from_secs(70)).await;
        server.compact();
        server.cut_watches("configmaps");
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
        assert_eq!(server.counts("configmaps"), (0, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_is_relisted_at_once() {
    for protobuf in ENCODINGS {
        for by_status in [false, true] {
            let server = server();
            server.set_protobuf(protobuf);
            let running = synced(&server, |watch| watch).await;
            pass(Duration::from_secs(5)).await;
            if by_status {
                server.expire_by_status();
            }
            server.mute_watches("configmaps");
            server.delete("configmaps", "a", "cm0");
            server.put("configmaps", config_map("a", "new"));
            server.compact();
            server.cut_watches("configmaps");
            let holds = || running.text() == expected(&server);
            within("the relist shows", Duration::from_secs(1), holds).await;
            assert_eq!(server.counts("configmaps"), (0, 2, 1));
            // The requested version of the list must not be lower than the version of the last event that the watch has
            // received.
            assert!(server.log("configmaps")[2].version().unwrap() > 100);
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_event_leads_to_a_list() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    for (code, reason) in [
        (500, "InternalError"),
        (410, "Gone"),
        (429, "TooManyRequests"),
    ] {
        let error = json!({ "kind": "Status", "code": code, "reason": reason, "message": "x" });
        server.mute_watches("configmaps");
        server.put("configmaps", config_map("a", reason));
        server.send_event("configmaps", "ERROR", &error);
        running.agrees().await;
        pass(Duration::from_secs(200)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn duplicate_events_change_nothing() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    let new = server.put("configmaps", config_map("a", "new"));
    server.send_event("configmaps", "ADDED", &new);
    server.send_event("configmaps", "MODIFIED", &new);
    server.put("configmaps", config_map("a", "last"));
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn events_out_of_order_are_not_trusted() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    // The event that adds `dead` arrives late, after an event with a higher version. If the watch applied this late
    // event, the deleted object would have samples again.
    server.mute_watches("configmaps");
    let dead = server.put("configmaps", config_map("a", "dead"));
    server.delete("configmaps", "a", "dead");
    let other = server.put("configmaps", config_map("a", "other"));
    server.send_event("configmaps", "ADDED", &other);
    server.send_event("configmaps", "ADDED", &dead);
    running.agrees().await;
    assert!(!running.text().contains("dead"));
    assert_eq!(running.health_of("configmaps").lists, 2);
}

#[tokio::test(start_paused = true)]
async fn another_object_of_the_same_name_takes_its_place() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.mute_watches("configmaps");
    server.delete("configmaps", "a", "cm0");
    let mut other = config_map("a", "cm0");
    other["metadata"]["uid"] = json!("another");
    other["metadata"]["creationTimestamp"] = json!("2024-01-01T00:00:00Z");
    let other = server.put("configmaps", other);
    server.send_event("configmaps", "ADDED", &other);
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_frame_is_asked_for_again_and_then_listed() {
    for (frame, again) in [("{\"type\":\"ADDED\",\"obj\n", false), ("<html>\n", true)] {
        let server = server();
        let running = synced(&server, |watch| watch).await;
        pass(Duration::from_secs(5)).await;
        server.mute_watches("configmaps");
        server.put("configmaps", config_map("a", "new"));
        if again {
            server.fault(On::Watch, "configmaps", 1, Fault::Body("<html>\n"));
        }
        server.send_raw("configmaps", frame);
        running.agrees().await;
        let lists = if again { 2 } else { 1 };
        assert_eq!(running.health_of("configmaps").lists, lists);
        let errors = "kube_state_metrics_watch_total{resource=\"*v1.ConfigMap\",result=\"error\"}";
        assert_eq!(running.metric(errors), Some(if again { 2.0 } else { 1.0 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_cut_is_sent_again() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.mute_watches("configmaps");
    let new = server.put("configmaps", config_map("a", "new"));
    let frame = format!("{{\"type\":\"ADDED\",\"object\":{new}}}\n");
    server.send_raw("configmaps", frame[..frame.len() - 9].to_owned());
    server.end_watches("configmaps");
    running.agrees().await;
    assert_eq!(running.health_of("configmaps").lists, 1);
    assert_eq!(running.health_of("configmaps").decode_errors, 0);
}

#[tokio::test(start_paused = true)]
async fn frames_in_pieces_are_put_together() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.mute_watches("configmaps");
    let new = server.put("configmaps", config_map("a", "new"));
    for byte in format!("{{\"type\":\"ADDED\",\"object\":{new}}}\n").bytes() {
        server.send_raw("configmaps", vec![byte]);
    }
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_decode_loses_its_samples_and_blocks_nobody() {
    for streaming in [true, false] {
        let server = server();
        server.put("configmaps", broken("a", "bad"));
        let running = synced(&server, |watch| watch.streaming_lists(streaming)).await;
        assert_eq!(running.config_maps().len(), 12);
        assert_eq!(running.health_of("configmaps").decode_errors, 1);
        // Before the change, `cm0` decodes and `bad` does not. After the change, `bad` decodes and `cm0` does not.
        server.put("configmaps", broken("a", "cm0"));
        server.put("configmaps", config_map("a", "bad"));
        running.agrees().await;
        assert_eq!(running.config_maps().len(), 12);
        server.put("configmaps", broken("a", "gone"));
        server.delete("configmaps", "a", "gone");
        running.agrees().await;
        // An event with an object that does not decode still advances the resource version of the watch.
        pass(Duration::from_secs(5)).await;
        let version = server.version();
        server.cut_watches("configmaps");
        pass(Duration::from_secs(5)).await;
        assert_eq!(
            server.log("configmaps").last().unwrap().version(),
            Some(version)
        );
        let errors =
            "kube_state_metrics_decode_errors_total{reason=\"field\",resource=\"*v1.ConfigMap\"}";
        assert_eq!(running.metric(errors), Some(4.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_torn_down_and_resumed() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.mute_watches("configmaps");
    server.put("configmaps", config_map("a", "missed"));
    pass(Duration::from_secs(80)).await;
    assert!(!running.text().contains("missed"));
    let age = "kube_state_metrics_last_event_age_seconds{resource=\"*v1.ConfigMap\"}";
    assert!(running.metric(age).unwrap() > 79.0);
    pass(Duration::from_secs(20)).await;
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 1, 1));
    assert_eq!(running.health_of("configmaps").lists, 1);
    assert!(running.metric(age).unwrap() < 21.0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stays_silent_after_it_was_resumed_is_listed_anew() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    // A proxy keeps the connections of all watches open, but forwards no events.
    server.mute_watches("configmaps");
    server.fault(On::Watch, "configmaps", usize::MAX, Fault::Stall(0));
    server.put("configmaps", config_map("a", "missed"));
    pass(Duration::from_secs(260)).await;
    assert!(!running.text().contains("missed"));
    pass(Duration::from_secs(20)).await;
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 2, 2));
    // The list does not reset the time since the last event. Therefore, an alert about silent watches can fire.
    let age = "kube_state_metrics_last_event_age_seconds{resource=\"*v1.ConfigMap\"}";
    assert!(running.metric(age).unwrap() > 275.0);
    // An event resets the number of silent watches. Therefore, the next silent watch is resumed without a list.
    pass(Duration::from_secs(60)).await;
    server.put("configmaps", config_map("a", "seen"));
    running.agrees().await;
    assert!(running.metric(age).unwrap() < 10.0);
    server.mute_watches("configmaps");
    pass(Duration::from_secs(200)).await;
    assert_eq!(server.counts("configmaps"), (0, 2, 4));
}

#[tokio::test(start_paused = true)]
async fn lists_of_a_resource_that_stays_silent_become_rare() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.mute_watches("configmaps");
    server.fault(On::Watch, "configmaps", usize::MAX, Fault::Stall(0));
    pass(Duration::from_secs(280)).await;
    assert_eq!(
        server.counts("configmaps").1,
        2,
        "after three silent watches"
    );
    server.mute_watches("configmaps");
    pass(Duration::from_secs(500)).await;
    assert_eq!(server.counts("configmaps").1, 2);
    pass(Duration::from_secs(50)).await;
    assert_eq!(
        server.counts("configmaps").1,
        3,
        "after six more silent watches"
    );
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_a_proxy_ends_before_the_first_bookmark_are_resumed_without_a_list() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    for _ in 0..20 {
        server.mute_watches("configmaps");
        pass(Duration::from_secs(35)).await;
        server.cut_watches("configmaps");
    }
    pass(Duration::from_secs(1)).await;
    running.agrees().await;
    let (lists, streams, watches) = server.counts("configmaps");
    assert_eq!((lists, streams), (0, 1));
    assert_eq!(watches, 20);
}

#[tokio::test(start_paused = true)]
async fn quiet_watches_with_bookmarks_live_on() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(290)).await;
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
    // When the server ends the watch after its maximum duration, the watch is resumed without a relist.
    pass(Duration::from_secs(3600)).await;
    let (lists, streams, watches) = server.counts("configmaps");
    assert_eq!((lists, streams), (0, 1));
    assert!((6..13).contains(&watches), "{watches}");
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_set_back_is_listed_anew() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.delete("configmaps", "a", "cm0");
    running.agrees().await;
    // The server is restored from a backup, so its resource versions start again at 50. `cm0` exists again, and its
    // version is lower than before.
    server.set_back(50);
    server.cut_watches("");
    server.put("configmaps", config_map("a", "cm0"));
    server.put("configmaps", config_map("a", "cm1"));
    running.agrees().await;
    server.put("configmaps", config_map("a", "later"));
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn many_events_at_once_are_all_applied() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    for number in 0..3_000 {
        server.put("configmaps", config_map("a", &format!("many{number}")));
    }
    eventually("all configmaps have samples", || {
        running.config_maps().len() == 3_012
    })
    .await;
    running.agrees().await;
    let events = "kube_state_metrics_events_total{event=\"added\",resource=\"*v1.ConfigMap\"}";
    assert_eq!(running.metric(events), Some(3_012.0));
}
