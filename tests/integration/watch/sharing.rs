//! Tests hosts that already have a watch, and feed stores with the events of this watch.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};

use super::{config_map, expected, exposed, server, start, text, two_resources};
use crate::support::{background, eventually, pass};
use kube_state_metrics::registry::Shard;
use kube_state_metrics::source::health::{
    FailureReason, FeedOrigin, Health, ReadinessPolicy, ResourceState,
};
use kube_state_metrics::source::watch::RecordExt;
use kube_state_metrics::{BuiltIn, StateMetrics};

/// Returns a registry in which the host feeds config maps, and the watch of the crate feeds namespaces.
fn shared() -> StateMetrics {
    let builder = two_resources().fed_by_host(BuiltIn::ConfigMaps);
    builder.build().unwrap()
}

fn object(namespace: &str, name: &str) -> ConfigMap {
    serde_json::from_value(config_map(namespace, name)).unwrap()
}

#[tokio::test]
async fn events_pass_through_and_a_list_shows_once_complete() {
    let metrics = shared();
    let events = vec![
        Ok(Event::Init),
        Ok(Event::InitApply(object("a", "one"))),
        Ok(Event::InitApply(object("a", "two"))),
        Ok(Event::InitDone),
        Ok(Event::Apply(object("a", "three"))),
        Err(watcher::Error::NoResourceVersion),
        Ok(Event::Delete(object("a", "one"))),
        Ok(Event::Init),
        Ok(Event::InitApply(object("a", "four"))),
    ];
    let writer = metrics.feed::<ConfigMap>().unwrap();
    let mut stream = stream::iter(events).record_into(writer);
    let mut shown = Vec::new();
    while let Some(event) = stream.next().await {
        let word = match event {
            Ok(Event::Init) => "init",
            Ok(Event::InitApply(_)) => "init apply",
            Ok(Event::InitDone) => "init done",
            Ok(Event::Apply(_)) => "apply",
            Ok(Event::Delete(_)) => "delete",
            Err(_) => "error",
        };
        shown.push((word, exposed(&text(&metrics)).len()));
    }
    assert_eq!(
        shown,
        [
            ("init", 0),
            ("init apply", 0),
            ("init apply", 0),
            ("init done", 2),
            ("apply", 3),
            ("error", 3),
            ("delete", 2),
            ("init", 2),
            ("init apply", 2)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hosts_watcher_feeds_its_kind_and_the_crate_watches_the_rest() {
    let server = server();
    let metrics = shared();
    let (reader, writer) = reflector::store();
    let api: Api<ConfigMap> = Api::all(server.client());
    // The host uses paged lists and the crate uses streaming lists, so that the test can distinguish their requests.
    let shared = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .record_into(metrics.feed::<ConfigMap>().unwrap());
    let _host = background(shared.for_each(|_| async {}));
    let running = start(&server, metrics, |watch| watch);
    running.ready().await;
    eventually("both resources are exported", || {
        running.text() == expected(&server)
    })
    .await;
    assert_eq!(running.health_of("configmaps").source, FeedOrigin::Host);
    assert_eq!(running.health_of("namespaces").source, FeedOrigin::Watched);
    assert_eq!(
        server.counts("configmaps").1,
        0,
        "the crate would request a streaming list"
    );
    for round in 0..3 {
        server.put("configmaps", config_map("a", &format!("new{round}")));
        server.delete("configmaps", "b", &format!("cm{round}"));
        server.expire_watches("configmaps");
        eventually("changes show", || running.text() == expected(&server)).await;
        assert_eq!(reader.state().len(), running.config_maps().len());
        pass(std::time::Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_a_feed_of_the_host_that_reports() {
    let server = server();
    let builder = two_resources().fed_by_host(BuiltIn::ConfigMaps);
    let metrics = builder.build().unwrap();
    let writer = metrics.feed::<ConfigMap>().unwrap();
    let running = start(&server, metrics, |watch| watch);
    let reporter = running.health.reporter(BuiltIn::ConfigMaps);
    let waiting = |running: &super::Running| {
        let readiness = running.health.readiness(ReadinessPolicy::Default);
        (
            readiness.complete,
            readiness.expected,
            readiness.waiting.len(),
        )
    };
    eventually("namespaces are complete", || waiting(&running) == (1, 2, 1)).await;
    let events = [
        Ok(Event::Init),
        Ok(Event::InitApply(object("a", "one"))),
        Ok(Event::InitDone),
    ];
    let events = stream::iter(events).chain(stream::pending());
    let host = events.record_into(writer).report_to(reporter);
    let host = background(host.for_each(|_| async {}));
    running.ready().await;
    assert_eq!(waiting(&running), (2, 2, 0));
    // When a feed ends, the health reports the end. A new feed can replace the feed that has ended.
    drop(host);
    let state = |running: &super::Running| running.health_of("configmaps").state;
    eventually("the feed has stopped", || {
        state(&running) == ResourceState::Stopped
    })
    .await;
    let reporter = running.health.reporter(BuiltIn::ConfigMaps);
    assert_eq!(state(&running), ResourceState::NotStarted);
    reporter.complete();
    assert_eq!(state(&running), ResourceState::Synced);
}

#[tokio::test]
async fn failures_of_the_hosts_watcher_are_reported() {
    let builder = two_resources().fed_by_host(BuiltIn::ConfigMaps);
    let metrics = builder.build().unwrap();
    let health = Health::new(&metrics);
    let reporter = health.reporter(BuiltIn::ConfigMaps);
    let writer = metrics.feed::<ConfigMap>().unwrap();
    let status = |code| {
        Box::new(kube::core::Status {
            code,
            ..Default::default()
        })
    };
    let failed = |reason| (ResourceState::Failing(reason), false);
    let events = [
        (Ok(Event::Init), (ResourceState::Listing, false)),
        (
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status(
                403,
            )))),
            failed(FailureReason::Forbidden),
        ),
        (
            Err(watcher::Error::WatchStartFailed(kube::Error::Service(
                "no route".into(),
            ))),
            failed(FailureReason::Unreachable),
        ),
        (
            Ok(Event::InitApply(object("a", "one"))),
            failed(FailureReason::Unreachable),
        ),
        (Ok(Event::InitDone), (ResourceState::Synced, true)),
        (
            Err(watcher::Error::WatchError(status(410))),
            (ResourceState::Failing(FailureReason::Expired), true),
        ),
        (
            Ok(Event::Apply(object("a", "two"))),
            (ResourceState::Synced, true),
        ),
    ];
    let (events, states): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    let mut host = stream::iter(events).record_into(writer).report_to(reporter);
    for expected in states {
        let _ = host.next().await.unwrap();
        let config_maps = health.resources().remove(0);
        assert_eq!((config_maps.state, config_maps.complete), expected);
    }
    let config_maps = health.resources().remove(0);
    assert!(config_maps.feeds[0].was_refused && config_maps.objects == 2);
}

#[tokio::test(start_paused = true)]
async fn filters_apply_to_what_the_host_feeds() {
    let server = server();
    let build = |shard| {
        StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .deny_namespaces(["b"])
            .shard(shard)
            .all_fed_by_host()
            .build()
            .unwrap()
    };
    let mut union = Vec::new();
    for index in 0..2 {
        let metrics = build(Shard::new(index, 2).unwrap());
        let mut writer = metrics.feed::<ConfigMap>().unwrap();
        for object in server.objects("configmaps") {
            writer.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
        }
        let running = start(&server, metrics, |watch| watch);
        running.ready().await;
        union.extend(running.config_maps());
    }
    union.sort();
    assert_eq!(
        union,
        ["a/cm0", "a/cm1", "a/cm2", "a/cm3", "a/cm4", "a/cm5"]
    );
}
