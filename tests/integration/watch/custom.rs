//! Tests custom resources, whose kinds appear, change their versions and disappear while the watch runs.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::log::Log;
use super::{Running, SYNCED, config_map, server, start, two_resources};
use crate::support::{ApiServer, Fault, On, eventually, pass, within};
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::registry::{Builder, FeedError, Limits, Shard};
use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::watch::WatchBuilder;
use kube_state_metrics::{BuiltIn, StateMetrics};

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

pub(super) const DEFINITIONS: &str = "customresourcedefinitions";

pub(super) fn with_definitions() -> ApiServer {
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

pub(super) fn definition(versions: &[&str]) -> Value {
    let versions = versions.iter().map(|name| {
        // The schema is the largest part of a CustomResourceDefinition. The watch of definitions must ignore the
        // schema.
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

pub(super) fn widget(name: &str, size: u32) -> Value {
    json!({ "metadata": { "namespace": "a", "name": name }, "spec": { "size": size } })
}

pub(super) fn configured(shard: Shard) -> StateMetrics {
    let config = Config::parse(CONFIG).unwrap();
    let builder = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .shard(shard);
    builder.custom_resources(&config).build().unwrap()
}

pub(super) fn discover(watch: WatchBuilder) -> WatchBuilder {
    watch.discover_custom_resources(true)
}

fn widgets(running: &Running) -> Vec<String> {
    let text = running.text();
    let lines = text.lines().filter(|line| line.starts_with("widget_size{"));
    lines.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_kinds_with_older_definitions_are_watched() {
    let server = with_definitions();
    for (plural, kind, created) in [
        ("gadgets", "Gadget", "2026-02-01T00:00:00Z"),
        ("widgets", "Widget", "2026-01-01T00:00:00Z"),
    ] {
        server.serve("/apis/acme.dev", "acme.dev/v1", plural, kind);
        let mut definition = definition(&["v1"]);
        definition["metadata"] = json!({ "name": plural, "creationTimestamp": created });
        definition["spec"]["names"] = json!({ "kind": kind, "plural": plural });
        server.put(DEFINITIONS, definition);
    }
    let config = Config::parse(&CONFIG.replace("kind: Widget", "kind: '*'")).unwrap();
    let metrics = StateMetrics::builder()
        .custom_resources(&config)
        .limits(Limits::default().wildcard_kinds(1))
        .build()
        .unwrap();
    let running = start(&server, metrics, discover);
    running.ready().await;
    let custom = running.metrics.custom_resources();
    assert_eq!(custom.collectors()[0].resource().plural(), "widgets");
    assert_eq!(custom.kinds_left_out()[0].plural(), "gadgets");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_definition_does_not_displace_an_established_one() {
    let server = with_definitions();
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    let with_status = |plural: &str, accepted: &str, established: &str| {
        let mut definition = definition(&["v1"]);
        definition["metadata"]["name"] = json!(format!("{plural}.acme.dev"));
        definition["spec"]["names"]["plural"] = json!(plural);
        definition["status"]["conditions"] = json!([
            { "type": "NamesAccepted", "status": accepted }, { "type": "Established", "status": established },
        ]);
        definition
    };
    server.put(DEFINITIONS, with_status("widgets", "True", "True"));
    server.put("widgets", widget("one", 3));
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    let served = widgets(&running);
    assert_eq!(served.len(), 1);

    // The new definition is the first definition in alphabetical order. Initially, it has no conditions.
    let mut new = with_status("awidgets", "False", "False");
    let conditions = std::mem::take(&mut new["status"]["conditions"]);
    for (known, conditions) in [(3, json!([])), (4, conditions)] {
        new["status"]["conditions"] = conditions;
        server.put(DEFINITIONS, new.clone());
        let mut other = with_status(&format!("other{known}"), "False", "False");
        other["spec"]["names"]["kind"] = json!("Other");
        server.put(DEFINITIONS, other);
        let name = "customresourcedefinitions.apiextensions.k8s.io";
        eventually("the definitions are known", || {
            running.health_of(name).objects == known
        })
        .await;
        assert_eq!(widgets(&running), served);
    }
}

#[tokio::test(start_paused = true)]
async fn many_added_kinds_do_not_fill_the_log() {
    let (log, _guard) = Log::begin();
    let server = with_definitions();
    for number in 0..50 {
        let (kind, plural) = (format!("Kind{number:02}"), format!("kind{number:02}s"));
        let mut definition = definition(&["v1"]);
        definition["metadata"]["name"] = json!(format!("{plural}.acme.dev"));
        definition["spec"]["names"] = json!({ "kind": kind, "plural": plural });
        server.put(DEFINITIONS, definition);
    }
    let config = Config::parse(
        "{ spec: { resources: [{ groupVersionKind: { group: acme.dev, version: '*', kind: '*' }, metrics: [{ name: a, \
         each: { type: Gauge, gauge: { path: [spec, size] } } }] }] } }",
    );
    let metrics = StateMetrics::builder().custom_resources(&config.unwrap());
    let running = start(&server, metrics.build().unwrap(), discover);
    let name = "customresourcedefinitions.apiextensions.k8s.io";
    eventually("the definitions are known", || {
        running.health_of(name).objects == 50
    })
    .await;
    assert_eq!(
        log.lines(&["INFO", "added a configured resource"]).len(),
        20
    );
    assert_eq!(log.lines(&["more configured resources are added"]).len(), 1);
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
    within(
        "the object of the new kind has samples",
        Duration::from_secs(5),
        one,
    )
    .await;
    server.put("widgets", widget("two", 4));
    eventually("changes show", || widgets(&running).len() == 2).await;

    server.put(DEFINITIONS, definition(&["v1", "v2"]));
    eventually("both versions have samples", || {
        widgets(&running).len() == 4
    })
    .await;
    server.put(DEFINITIONS, definition(&["v2"]));
    eventually("the old version is removed", || {
        widgets(&running).len() == 2
    })
    .await;
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
    eventually("the kind is removed", || widgets(&running).is_empty()).await;
    eventually("the watches of the kind end", || {
        server.open_watches("widgets") == 0
    })
    .await;
    // The other watches are not affected.
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
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let tasks_before = tasks();
    for round in 0..500 {
        server.put(DEFINITIONS, definition(&[&format!("v{round}")]));
        eventually("the kind is added", || widgets(&running).len() == 1).await;
        server.delete(DEFINITIONS, "", "widgets.acme.dev");
        eventually("the kind is removed", || widgets(&running).is_empty()).await;
    }
    eventually("the watches of the kind end", || {
        server.open_watches("widgets") == 0
    })
    .await;
    assert_eq!(running.health.resources().len(), 2);
    // The server detects that the client has closed the watch when it sends the next bookmark.
    eventually("no task is left", || tasks() <= tasks_before).await;
    // The metrics of requests have the same resource label for all custom resources.
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
    eventually("the definitions are read", || widgets(&running).len() == 1).await;
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
    eventually("the object has samples", || widgets(&running).len() == 1).await;
    assert_eq!(running.health_of("widgets.v1.acme.dev").state, SYNCED);
}

#[tokio::test(start_paused = true)]
async fn values_that_cannot_be_read_are_counted_per_family() {
    let server = with_definitions();
    server.serve("/apis/acme.dev", "acme.dev/v1", "widgets", "Widget");
    server.put("widgets", widget("one", 3));
    server.put(
        "widgets",
        json!({ "metadata": { "namespace": "a", "name": "bad" }, "spec": { "size": "much" } }),
    );
    server.put(DEFINITIONS, definition(&["v1"]));
    let running = start(&server, configured(Shard::default()), discover);
    running.ready().await;
    eventually("the valid widget has samples", || {
        widgets(&running).len() == 1
    })
    .await;
    let series = "kube_state_metrics_custom_resource_errors_total\
                  {family=\"widget_size\",resource=\"widgets.v1.acme.dev\"}";
    assert_eq!(running.metric(series), Some(1.0));
    // When the kind disappears, the counter of its errors is removed, too.
    server.delete(DEFINITIONS, "", "widgets.acme.dev");
    eventually("the kind is removed", || widgets(&running).is_empty()).await;
    assert_eq!(running.metric(series), None);
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
    eventually("all widgets have samples", || union() == 40).await;
    let all = start(&server, configured(half(1)), discover);
    all.ready().await;
    eventually("both have the same shard", || {
        widgets(&all) == widgets(&parts[0])
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_hold_for_namespaced_kinds_and_selectors_of_pods_for_none() {
    let server = with_definitions();
    for (plural, kind) in [("widgets", "Widget"), ("planets", "Planet")] {
        server.serve("/apis/acme.dev", "acme.dev/v1", plural, kind);
    }
    let mut planets = definition(&["v1"]);
    planets["metadata"]["name"] = json!("planets.acme.dev");
    planets["spec"]["scope"] = json!("Cluster");
    planets["spec"]["names"] = json!({ "kind": "Planet", "plural": "planets" });
    server.put(DEFINITIONS, planets);
    server.put(DEFINITIONS, definition(&["v1"]));
    server.put("widgets", widget("one", 1));
    let mut other = widget("two", 2);
    other["metadata"]["namespace"] = json!("other");
    server.put("widgets", other);
    server.put(
        "planets",
        json!({ "metadata": { "name": "earth" }, "spec": { "size": 3 } }),
    );
    let config = Config::parse(&CONFIG.replace("kind: Widget", "kind: '*'")).unwrap();
    let metrics = || {
        let builder = StateMetrics::builder().built_in([BuiltIn::ConfigMaps]);
        let builder = builder.namespaces(["a", "b"]).deny_namespaces(["b"]);
        builder.custom_resources(&config).build().unwrap()
    };
    let asked = |plural: &str| -> Vec<String> {
        let log = server.log(plural);
        assert!(log.iter().all(|asked| asked.get("fieldSelector").is_none()));
        log.into_iter().map(|asked| asked.path).collect()
    };
    let running = start(&server, metrics(), discover);
    running.ready().await;
    eventually("both kinds have samples", || widgets(&running).len() == 2).await;
    assert_eq!(asked("widgets"), ["/apis/acme.dev/v1/namespaces/a/widgets"]);
    assert_eq!(asked("planets"), ["/apis/acme.dev/v1/planets"]);

    // Only pods can be selected by node. Custom resources in namespaces are therefore not watched.
    server.clear_log();
    let running = start(&server, metrics(), |watch| discover(watch).node("n"));
    running.ready().await;
    eventually("only the planet has samples", || {
        widgets(&running).len() == 1
    })
    .await;
    assert_eq!(asked("widgets").len(), 0);
    assert_eq!(asked("planets").len(), 1);
}

// === built-in kinds ===

/// A configuration with families for config maps, in addition to the built-in families. The first configured family has
/// the same values as a built-in family.
const BESIDE: &str = r#"
spec:
  resources:
  - groupVersionKind: { group: "", version: v1, kind: ConfigMap }
    metricNamePrefix: own
    labelsFromPath: { configmap: [metadata, name], namespace: [metadata, namespace] }
    metrics:
    - name: created
      help: Creation.
      each: { type: Gauge, gauge: { path: [metadata, creationTimestamp] } }
    - name: data_info
      help: Data.
      each: { type: Info, info: { path: [data], labelsFromPath: { "*": [] } } }
"#;

fn beside() -> Config {
    Config::parse(BESIDE).unwrap()
}

/// Returns a registry of config maps and namespaces, with the families that a configuration adds.
fn both(config: Option<&Config>) -> StateMetrics {
    beside_built_in(two_resources(), config)
}

fn beside_built_in(builder: Builder, config: Option<&Config>) -> StateMetrics {
    let builder = match config {
        Some(config) => builder.custom_resources(config),
        None => builder,
    };
    builder.known_kinds(KnownKind::built_in()).build().unwrap()
}

/// Returns the labels and values of a family. In each result, the labels are sorted, and the labels that name the kind
/// are omitted.
fn values(running: &Running, family: &str) -> Vec<String> {
    let text = running.text();
    let lines = text.lines().filter_map(|line| {
        let (labels, value) = line
            .strip_prefix(family)?
            .strip_prefix('{')?
            .split_once("} ")?;
        let mut labels: Vec<_> = labels
            .split(',')
            .filter(|label| !label.starts_with("customresource_"))
            .collect();
        labels.sort_unstable();
        Some(format!("{} {value}", labels.join(",")))
    });
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn a_built_in_kind_with_configured_families_has_one_watch() {
    let server = server();
    let running = start(&server, both(Some(&beside())), |watch| watch);
    running.ready().await;
    let agree = || {
        let (own, other) = (
            values(&running, "own_created"),
            values(&running, "kube_configmap_created"),
        );
        !own.is_empty() && own == other
    };
    assert_eq!(values(&running, "own_created").len(), 12);
    assert!(agree(), "{}", running.text());
    assert_eq!(server.counts("configmaps"), (0, 1, 0));
    assert_eq!(server.open_watches("configmaps"), 1);

    // Changes, deletions and a relist must affect both stores: that of the built-in families, and that of the
    // configured families.
    let mut map = config_map("a", "cm0");
    map["data"] = json!({ "mode": "fast" });
    server.put("configmaps", map);
    server.put("configmaps", config_map("b", "new"));
    server.delete("configmaps", "a", "cm1");
    eventually("the change shows", || {
        values(&running, "own_data_info") == [r#"configmap="cm0",mode="fast",namespace="a" 1"#]
    })
    .await;
    eventually("the new configmap has samples", || {
        let all = values(&running, "own_created");
        all.len() == 12 && all.iter().any(|line| line.contains("new")) && agree()
    })
    .await;
    server.delete("configmaps", "a", "cm2");
    server.expire_watches("configmaps");
    eventually("the lost deletion is applied", || {
        values(&running, "own_created").len() == 11 && agree()
    })
    .await;
    eventually("the watch is open again", || {
        server.open_watches("configmaps") == 1
    })
    .await;
    let health = running.health_of("configmaps.v1");
    assert_eq!((health.state, health.objects), (SYNCED, 11));
}

#[tokio::test(start_paused = true)]
async fn configured_families_of_a_built_in_kind_come_and_go_without_a_gap() {
    let server = server();
    let running = start(&server, both(None), |watch| watch);
    running.ready().await;
    let before = running.config_maps();
    assert_eq!(before.len(), 12);
    server.clear_log();

    // During a slow list, the exposition still contains the stored objects.
    server.fault(On::StreamingList, "configmaps", 1, Fault::Slow(200));
    running
        .metrics
        .custom_resources()
        .set_config(Some(&beside()))
        .unwrap();
    let count = || values(&running, "own_created").len();
    eventually("a list is requested", || {
        !server.log("configmaps").is_empty()
    })
    .await;
    while count() == 0 {
        assert_eq!(running.config_maps(), before);
        pass(Duration::from_millis(500)).await;
    }
    assert_eq!(
        count(),
        12,
        "the families have samples when the list is complete"
    );
    assert_eq!(
        server.counts("configmaps"),
        (0, 1, 0),
        "there is one list and no second watch"
    );
    assert_eq!(server.log("namespaces").len(), 0);
    server.put("configmaps", config_map("a", "more"));
    eventually("changes show", || count() == 13).await;

    // Another configuration replaces the first one.
    let other = Config::parse(&BESIDE.replace("own", "other")).unwrap();
    running
        .metrics
        .custom_resources()
        .set_config(Some(&other))
        .unwrap();
    assert_eq!((count(), running.config_maps().len()), (0, 13));
    let renamed = || values(&running, "other_created").len() == 13;
    eventually("the new families have samples", renamed).await;

    server.clear_log();
    running.metrics.custom_resources().set_config(None).unwrap();
    assert_eq!(running.config_maps().len(), 13);
    assert!(!running.text().contains("other_"));
    server.put("configmaps", config_map("a", "last"));
    eventually("changes show", || running.config_maps().len() == 14).await;
    assert_eq!(server.log("configmaps").len(), 0, "there are no requests");
    assert_eq!(running.health.resources().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_shards_hold_for_configured_families_of_built_in_kinds() {
    let server = server();
    let metrics = |index| {
        StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .namespaces(["a", "b"])
            .shard(Shard::new(index, 2).unwrap())
            .custom_resources(&beside())
            .known_kinds(KnownKind::built_in())
            .build()
            .unwrap()
    };
    let parts = [0, 1].map(|index| start(&server, metrics(index), |watch| watch));
    let mut all = 0;
    for part in &parts {
        part.ready().await;
        let own = values(part, "own_created");
        assert_eq!(own, values(part, "kube_configmap_created"));
        assert!(!own.is_empty());
        all += own.len();
    }
    assert_eq!(all, 12);
    assert_eq!(
        server.open_watches("configmaps"),
        4,
        "two parts, two namespaces"
    );
    // The first instance changes to the other half of the objects. Both stores remove the objects that leave the shard,
    // and add the listed objects that enter the shard.
    let half = |index| Shard::new(index, 2).unwrap();
    parts[0].handle.set_shard(half(1));
    eventually("both have the same half", || {
        values(&parts[0], "own_created") == values(&parts[1], "own_created")
            && parts[0].config_maps() == parts[1].config_maps()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_brings_objects_of_a_type_leaves_configured_families_to_a_watch() {
    let server = server();
    let builder = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces])
        .collector(kube_state_metrics::families::configmaps().fed_by_host());
    let metrics = beside_built_in(builder, Some(&beside()));
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    let running = start(&server, metrics, |watch| watch);
    let of_the_host = serde_json::from_value(config_map("host", "own")).unwrap();
    writer.begin_list();
    writer.apply_object(&of_the_host);
    writer.end_list();
    running.ready().await;
    assert_eq!(running.config_maps(), ["host/own"]);
    assert_eq!(values(&running, "own_created").len(), 12);

    // If the host applies JSON with a writer, both stores receive the objects.
    let host_fed = two_resources().fed_by_host(BuiltIn::ConfigMaps);
    let metrics = beside_built_in(host_fed, Some(&beside()));
    let error = metrics.feed::<ConfigMap>().unwrap_err();
    assert!(matches!(error, FeedError::NeedsJson { .. }), "{error}");
    let mut writers = metrics.feeds_of(BuiltIn::ConfigMaps.info()).unwrap();
    server.clear_log();
    let running = start(&server, metrics, |watch| watch);
    writers[0]
        .apply_json(config_map("host", "own").to_string().as_bytes())
        .unwrap();
    running.ready().await;
    assert_eq!(running.config_maps(), ["host/own"]);
    assert_eq!(values(&running, "own_created").len(), 1);
    assert!(server.log("configmaps").is_empty());
}
