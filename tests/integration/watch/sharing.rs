//! A host's own watches feed the same stores.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};

use super::{config_map, expected, exposed, server, start, text, two_resources};
use crate::support::{background, eventually, pass};
use kube_state_metrics::watch::{FeedOrigin, RecordExt};
use kube_state_metrics::{BuiltIn, Shard, StateMetrics};

/// Config maps from the host, and namespaces from the watch of the crate.
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
    // Streaming lists make the requests of both sides look alike; this host lists.
    let shared = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .record_into(metrics.feed::<ConfigMap>().unwrap());
    let _host = background(shared.for_each(|_| async {}));
    let running = start(&server, metrics, |watch| watch);
    running.ready().await;
    eventually("both are there", || running.text() == expected(&server)).await;
    assert_eq!(running.health_of("configmaps").source, FeedOrigin::Host);
    assert_eq!(running.health_of("namespaces").source, FeedOrigin::Watched);
    assert_eq!(
        server.counts("configmaps").1,
        0,
        "ours would be a streaming list"
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
