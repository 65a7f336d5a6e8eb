//! Tests the first list of a watch, and relists. Both are tested as streaming lists and as paged lists.

use std::time::Duration;

use super::{config_map, expected, metrics, server, start, synced};
use crate::support::{ApiServer, Fault, On, eventually, pass};

#[tokio::test(start_paused = true)]
async fn a_streaming_list_turns_into_the_watch() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
    let asked = &server.log("configmaps")[0];
    assert_eq!(asked.path, "/api/v1/configmaps");
    assert_eq!(asked.get("resourceVersionMatch"), Some("NotOlderThan"));
    assert_eq!(asked.get("allowWatchBookmarks"), Some("true"));
    assert_eq!(asked.get("resourceVersion"), None);
    assert_eq!(asked.accept_encoding.as_deref(), Some("identity"));
    let seconds: u64 = asked.get("timeoutSeconds").unwrap().parse().unwrap();
    assert!((300..600).contains(&seconds));

    server.put("configmaps", config_map("a", "new"));
    server.delete("configmaps", "b", "cm0");
    running.agrees().await;
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_asked_for_pages_and_that_is_no_error() {
    let server = server().without_streaming_lists();
    let running = synced(&server, |watch| watch.page_size(5)).await;
    assert_eq!(server.counts("configmaps"), (3, 1, 1));
    let log = server.log("configmaps");
    assert_eq!(
        (log[1].get("limit"), log[1].get("resourceVersion")),
        (Some("5"), Some("0"))
    );
    assert!(log[2].get("continue").is_some() && log[2].get("resourceVersion").is_none());
    let listed = server.version().to_string();
    assert_eq!(log[4].get("resourceVersion"), Some(&*listed));
    let error = "kube_state_metrics_watch_total{resource=\"*v1.ConfigMap\",result=\"error\"}";
    assert_eq!(running.metric(error), Some(0.0));
    let pages = "kube_state_metrics_list_total{resource=\"*v1.ConfigMap\",result=\"success\"}";
    assert_eq!(running.metric(pages), Some(3.0));

    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn streaming_lists_can_be_switched_off_and_big_lists_come_whole() {
    let server = server().with_whole_lists();
    let running = synced(&server, |watch| watch.streaming_lists(false).page_size(5)).await;
    assert_eq!(server.counts("configmaps"), (1, 0, 1));
    // A relist must be answered from the cache of the server. So its request states a minimum resource version, and
    // does not limit the size of a page.
    server.expire_watches("");
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    let mut lists = server.log("configmaps").into_iter();
    let list = lists.rfind(|asked| !asked.is_watch());
    let list = list.unwrap();
    assert_eq!(list.get("limit"), None);
    assert!(list.version().unwrap() > 100);
}

#[tokio::test(start_paused = true)]
async fn any_version_will_do_where_the_servers_cache_is_asked_for() {
    for streaming in [true, false] {
        let server = server();
        let configure = |watch: kube_state_metrics::source::watch::WatchBuilder| {
            watch.use_api_server_cache(true)
        };
        let running = synced(&server, |watch| configure(watch).streaming_lists(streaming)).await;
        server.expire_watches("");
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
        let lists = server.log("configmaps").into_iter();
        let lists: Vec<_> = lists
            .filter(|asked| !asked.is_watch() || asked.is_stream())
            .collect();
        assert_eq!(lists.len(), 2);
        assert!(lists.iter().all(|asked| asked.version() == Some(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_list_is_cut_and_later_objects_come_on_top() {
    // Each server has twelve objects, and the object limit is 7. The second server ignores the limit, like a server
    // that answers from its cache.
    for server in [server(), server().with_whole_lists()] {
        let running = start(&server, metrics(), |watch| watch.object_limit(7));
        running.ready().await;
        assert_eq!(running.config_maps().len(), 7);
        assert_eq!(server.counts("configmaps"), (1, 0, 1));
        assert_eq!(server.log("configmaps")[0].get("limit"), Some("7"));
        assert!(running.health_of("configmaps").is_limited);
        for number in 0..5 {
            server.put("configmaps", config_map("z", &format!("new{number}")));
        }
        eventually("additions show", || running.config_maps().len() == 12).await;
        for (metric, value) in [("list_objects", 7.0), ("list_objects_limit", 7.0)] {
            let metric = format!("kube_state_metrics_{metric}{{resource=\"*v1.ConfigMap\"}}");
            assert_eq!(running.metric(&metric), Some(value));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readers_see_the_old_state_until_a_relist_is_complete() {
    for streaming in [true, false] {
        let server = server();
        let running = synced(&server, |watch| watch.streaming_lists(streaming)).await;
        let before = running.text();
        let on = if streaming {
            On::StreamingList
        } else {
            On::List
        };
        server.fault(on, "configmaps", 1, Fault::Slow(100));
        server.expire_watches("configmaps");
        server.delete("configmaps", "a", "cm0");
        for number in 0..6 {
            server.put("configmaps", config_map("c", &format!("new{number}")));
        }
        let after = expected(&server);
        let mut seconds = 0;
        while running.text() != after {
            assert_eq!(running.text(), before, "after {seconds} s");
            pass(Duration::from_secs(1)).await;
            seconds += 1;
            assert!(seconds < 600);
        }
        assert!(seconds > 20, "the list took {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_absent_at_the_start_is_waited_for() {
    let server = server();
    server.set_down(true);
    let running = start(&server, metrics(), |watch| watch);
    pass(Duration::from_secs(300)).await;
    assert!(running.task.is_running());
    assert!(!running.health.snapshot().ready);
    assert_eq!(running.text(), "");
    server.set_down(false);
    pass(Duration::from_secs(5)).await;
    assert_eq!(running.text(), expected(&server));
    assert!(running.health.snapshot().ready);
}

#[tokio::test(start_paused = true)]
async fn an_empty_cluster_is_complete() {
    let server = ApiServer::new();
    let running = synced(&server, |watch| watch).await;
    assert_eq!(running.text(), "");
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    assert_eq!(running.text(), "");
}

#[tokio::test(start_paused = true)]
async fn a_plain_watch_in_place_of_a_streaming_list_is_noticed() {
    // The injected response is that of a server that does not support the parameter `sendInitialEvents`.
    let server = server();
    let plain = "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"ghost\",\
                 \"namespace\":\"a\",\"resourceVersion\":\"3\"}}}\n\
                 {\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n";
    server.fault(On::StreamingList, "configmaps", 9, Fault::Body(plain));
    let running = synced(&server, |watch| watch).await;
    assert_eq!(server.counts("configmaps"), (1, 1, 1));
    assert!(!running.text().contains("ghost"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_always_breaks_after_its_start_is_repeated_ever_less_often() {
    let bad_gateway = || Fault::Status(502, "Bad Gateway");
    let breaks = [
        (false, On::NextPage, bad_gateway()),
        (false, On::NextPage, Fault::Refused),
        (false, On::NextPage, Fault::Cut(300)),
        (false, On::List, Fault::Cut(300)),
        (true, On::StreamingList, Fault::Cut(300)),
    ];
    for (streaming, on, fault) in breaks {
        let server = server();
        server.fault(on, "configmaps", usize::MAX, fault.clone());
        if streaming {
            server.fault(On::List, "configmaps", usize::MAX, fault.clone());
        }
        let running = start(&server, metrics(), |watch| {
            watch.streaming_lists(streaming).page_size(5)
        });
        pass(Duration::from_secs(600)).await;
        let (lists, streams, _) = server.counts("configmaps");
        // As with other failures, there are 14 to 25 lists in ten minutes. A list may have two requests.
        assert!(lists + streams <= 50, "{fault:?}: {lists} {streams}");
        server.heal();
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_fails_watches_is_asked_for_few_lists() {
    for status in [502, 503, 504] {
        let server = server();
        let running = synced(&server, |watch| watch.streaming_lists(false)).await;
        pass(Duration::from_secs(5)).await;
        server.clear_log();
        let fault = Fault::Status(status, "ServerError");
        server.fault(On::Watch, "configmaps", usize::MAX, fault);
        server.cut_watches("configmaps");
        pass(Duration::from_secs(900)).await;
        let (lists, _, watches) = server.counts("configmaps");
        assert!(lists <= 40, "{status}: {lists} lists, {watches} watches");
        server.heal();
        running.agrees().await;
    }
}
