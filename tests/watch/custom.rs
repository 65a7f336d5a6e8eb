//! Custom resources: kinds that appear, change their versions and vanish while running.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ApiServer, Fault, On, eventually, within};
use crate::{Running, SYNCED, server, start};
use kube_state_metrics::custom_resource_state::Config;
use kube_state_metrics::watch::{ReadinessPolicy, Watch};
use kube_state_metrics::{BuiltIn, Shard, StateMetrics};

const CONFIG: &str = r#"
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: "*", kind: Widget }
    metricNamePrefix: widget
    labelsFromPath: { name: [metadata, name], namespace: [metadata, namespace] }
    metrics:
    - name: size
      help: Size the widget asks for.
      each: { type: Gauge, gauge: { path: [spec, size] } }
"#;

const DEFINITIONS: &str = "customresourcedefinitions";

fn with_definitions() -> ApiServer {
    let server = server();
    let group = "apiextensions.k8s.io/v1";
    server.serve(
        &format!("/apis/{group}"),
        group,
        DEFINITIONS,
        "CustomResourceDefinition",
    );
    server
}

fn definition(versions: &[&str]) -> Value {
    let versions = versions.iter().map(|name| {
        // The schema is most of a definition, and of no interest.
        json!({ "name": name, "served": true, "schema": { "openAPIV3Schema": { "type": "object" } } })
    });
    json!({
        "metadata": { "name": "widgets.acme.dev" },
        "spec": {
            "group": "acme.dev", "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets", "singular": "widget" },
            "versions": versions.collect::<Vec<_>>()
        },
        "status": { "conditions": [] }
    })
}

fn widget(name: &str, size: u32) -> Value {
    json!({ "metadata": { "namespace": "a", "name": name }, "spec": { "size": size } })
}

fn configured(shard: Shard) -> StateMetrics {
    let config = Config::parse(CONFIG).unwrap();
    let builder = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .shard(shard);
    builder.custom_resources(&config).build().unwrap()
}

fn discover(watch: Watch) -> Watch {
    watch.discover_custom_resources(true)
}

fn widgets(running: &Running) -> Vec<String> {
    let text = running.text();
    let lines = text.lines().filter(|line| line.starts_with("widget_size{"));
    lines.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_there_at_the_start_is_waited_for() {
    let server = with_definitions();
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put(DEFINITIONS, definition(&["v1"]));
    server.put("widgets", widget("one", 3));
    server.fault(On::StreamingList, "widgets", 1, Fault::Slow(20));
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    let sample = "widget_size{customresource_group=\"acme.dev\",customresource_kind=\"Widget\",\
                  customresource_version=\"v1\",name=\"one\",namespace=\"a\"} 3";
    assert_eq!(widgets(&running), [sample]);
    assert!(running.health.readiness(ReadinessPolicy::Strict).ready);
    let names: Vec<_> = running
        .health
        .resources()
        .into_iter()
        .map(|own| own.resource)
        .collect();
    assert_eq!(
        names,
        [
            "widgets.v1.acme.dev",
            "configmaps",
            "customresourcedefinitions.apiextensions.k8s.io"
        ]
    );
    assert_eq!(
        running
            .health_of("customresourcedefinitions.apiextensions.k8s.io")
            .objects,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn kinds_come_change_their_versions_and_go() {
    let server = with_definitions();
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    let requests = server.log("configmaps").len();
    let before = running.config_maps();

    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put("widgets", widget("one", 3));
    server.put(DEFINITIONS, definition(&["v1"]));
    let one = || widgets(&running).len() == 1;
    within("its objects show", Duration::from_secs(5), one).await;
    server.put("widgets", widget("two", 4));
    eventually("changes show", || widgets(&running).len() == 2).await;

    server.put(DEFINITIONS, definition(&["v1", "v2"]));
    eventually("both versions show", || widgets(&running).len() == 4).await;
    server.put(DEFINITIONS, definition(&["v2"]));
    eventually("one is gone", || widgets(&running).len() == 2).await;
    assert!(
        widgets(&running)
            .iter()
            .all(|line| line.contains("customresource_version=\"v2\""))
    );
    assert_eq!(
        server.log("widgets").last().unwrap().path,
        "/apis/acme.dev/v2/widgets"
    );

    server.delete(DEFINITIONS, "", "widgets.acme.dev");
    eventually("all are gone", || widgets(&running).is_empty()).await;
    eventually("its watches end", || server.open_watches("widgets") == 0).await;
    // Nobody else was disturbed.
    assert_eq!(
        (server.log("configmaps").len(), running.config_maps()),
        (requests, before)
    );
    for (event, count) in [("add", 1.0), ("update", 2.0), ("delete", 1.0)] {
        let series = format!("kube_state_metrics_custom_resource_state_{event}_events_total");
        assert_eq!(running.metric(&series), Some(count), "{event}");
    }
    assert_eq!(
        running.metric("kube_state_metrics_custom_resource_state_cache"),
        Some(0.0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changes_leave_nothing_behind() {
    let server = with_definitions();
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put("widgets", widget("one", 3));
    let samples = || {
        running
            .registry
            .gather()
            .iter()
            .map(|own| own.get_metric().len())
            .sum::<usize>()
    };
    let before = samples();
    for round in 0..500 {
        server.put(DEFINITIONS, definition(&[&format!("v{round}")]));
        eventually("it shows", || widgets(&running).len() == 1).await;
        server.delete(DEFINITIONS, "", "widgets.acme.dev");
        eventually("it is gone", || widgets(&running).is_empty()).await;
    }
    eventually("its watches end", || server.open_watches("widgets") == 0).await;
    assert_eq!(running.health.resources().len(), 2);
    // The requests of all custom resources are counted under one name.
    assert!(samples() <= before + 2, "{} after {before}", samples());
    assert!(running.task.is_running());
}

#[tokio::test(start_paused = true)]
async fn definitions_that_may_not_be_read_are_named_and_block_nobody() {
    let server = with_definitions();
    server.fault(
        On::Any,
        DEFINITIONS,
        usize::MAX,
        Fault::Status(403, "Forbidden"),
    );
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    assert_eq!(running.config_maps().len(), 12);
    let body = running
        .health
        .readiness(ReadinessPolicy::Default)
        .to_string();
    assert!(
        body.contains("refused: customresourcedefinitions.apiextensions.k8s.io (forbidden)"),
        "{body}"
    );
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put("widgets", widget("one", 3));
    server.put(DEFINITIONS, definition(&["v1"]));
    server.heal();
    eventually("they are read", || widgets(&running).len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_collection_comes_late_is_retried() {
    let server = with_definitions();
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    server.put(DEFINITIONS, definition(&["v1"]));
    let known = || running.health.resources().len() == 3;
    eventually("the kind is known", known).await;
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put("widgets", widget("one", 3));
    eventually("its objects show", || widgets(&running).len() == 1).await;
    assert_eq!(running.health_of("widgets.v1.acme.dev").state, SYNCED);
}

#[tokio::test(start_paused = true)]
async fn kinds_that_come_belong_to_the_shard_of_the_hour() {
    let server = with_definitions();
    let half = |index| Shard::new(index, 2).unwrap();
    let parts = [0, 1].map(|index| start(&server, configured(half(index)), discover));
    for (index, part) in parts.iter().enumerate() {
        part.ready().await;
        part.handle
            .set_shard(half(1 - u32::try_from(index).unwrap()));
    }
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    for number in 0..40 {
        server.put("widgets", widget(&format!("w{number}"), number));
    }
    server.put(DEFINITIONS, definition(&["v1"]));
    let union = || parts.iter().map(|part| widgets(part).len()).sum::<usize>();
    eventually("all are there", || union() == 40).await;
    let all = start(&server, configured(half(1)), discover);
    all.ready().await;
    eventually("the same shard", || widgets(&all) == widgets(&parts[0])).await;
}
