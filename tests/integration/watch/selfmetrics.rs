//! Tests the metrics of watches, including the metrics that the alerts of kube-state-metrics use.

use std::time::Duration;

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};

use super::{config_map, metrics, server, start, synced};
use crate::support::{Fault, On, eventually, pass};
use kube_state_metrics::resource::Scope;
use kube_state_metrics::{Collector, Family, StateMetrics};

/// Returns the names of all metrics in the registry, with the names of their labels.
fn names(registry: &prometheus::Registry) -> Vec<String> {
    let mut names = Vec::new();
    for family in registry.gather() {
        for metric in family.get_metric() {
            let labels: Vec<_> = metric
                .get_label()
                .iter()
                .map(|label| label.name())
                .collect();
            names.push(format!("{}{{{}}}", family.name(), labels.join(",")));
        }
    }
    names.dedup();
    names
}

#[tokio::test(start_paused = true)]
async fn every_metric_is_there_with_its_labels() {
    let server = server();
    server.fault(On::Any, "namespaces", 3, Fault::Status(403, "Forbidden"));
    let running = start(&server, metrics(), |watch| watch.object_limit(100));
    running.ready().await;
    let expected = [
        "kube_state_metrics_audit_relists_total{resource}",
        "kube_state_metrics_audit_requests_total{resource}",
        "kube_state_metrics_custom_resource_kinds_left_out{}",
        "kube_state_metrics_custom_resource_state_add_events_total{}",
        "kube_state_metrics_custom_resource_state_cache{}",
        "kube_state_metrics_custom_resource_state_delete_events_total{}",
        "kube_state_metrics_custom_resource_state_update_events_total{}",
        "kube_state_metrics_decode_errors_total{reason,resource}",
        "kube_state_metrics_duplicate_samples_total{resource}",
        "kube_state_metrics_events_total{event,resource}",
        "kube_state_metrics_exhausted_patterns{}",
        "kube_state_metrics_failing{reason,resource}",
        "kube_state_metrics_family_bytes{family,resource}",
        "kube_state_metrics_feed_buffer_bytes{}",
        "kube_state_metrics_feed_buffer_peak_bytes{}",
        "kube_state_metrics_feed_buffer_waits_total{}",
        "kube_state_metrics_generator_panics_total{resource}",
        "kube_state_metrics_joined_labels_replaced_total{resource}",
        "kube_state_metrics_last_event_age_seconds{resource}",
        "kube_state_metrics_limit_exceeded_total{reason,resource}",
        "kube_state_metrics_list_objects{resource}",
        "kube_state_metrics_list_objects_limit{resource}",
        "kube_state_metrics_list_total{resource,result}",
        "kube_state_metrics_objects{resource}",
        "kube_state_metrics_oversized_objects_total{resource}",
        "kube_state_metrics_relists_total{resource}",
        "kube_state_metrics_responses_total{encoding,resource}",
        "kube_state_metrics_series{resource}",
        "kube_state_metrics_shard_ordinal{shard_ordinal}",
        "kube_state_metrics_stale_events_total{resource}",
        "kube_state_metrics_store_bytes{resource}",
        "kube_state_metrics_synced{resource}",
        "kube_state_metrics_total_shards{}",
        "kube_state_metrics_unapplied_age_seconds{resource}",
        "kube_state_metrics_unapplied_objects{resource}",
        "kube_state_metrics_update_latency_seconds{resource}",
        "kube_state_metrics_watch_total{resource,result}",
    ];
    assert_eq!(names(&running.registry), expected);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_cluster_has_no_errors_and_a_forbidden_kind_has() {
    for streaming in [true, false] {
        let server = server();
        if !streaming {
            server.set_streaming_lists(false);
        }
        let running = synced(&server, |watch| watch).await;
        pass(Duration::from_secs(3000)).await;
        let sum = |metric: &str, result: &str| {
            ["*v1.ConfigMap", "*v1.Namespace"]
                .iter()
                .fold(0.0, |sum, resource| {
                    let labels = format!("resource=\"{resource}\",result=\"{result}\"");
                    let series = format!("kube_state_metrics_{metric}{{{labels}}}");
                    sum + running.metric(&series).unwrap_or_default()
                })
        };
        assert!(sum("watch_total", "success") > 8.0);
        assert_eq!(
            (sum("watch_total", "error"), sum("list_total", "error")),
            (0.0, 0.0)
        );

        server.forbid("configmaps");
        server.cut_watches("configmaps");
        let before = [sum("list_total", "success"), sum("watch_total", "success")];
        pass(Duration::from_secs(600)).await;
        for (metric, before) in ["list_total", "watch_total"].into_iter().zip(before) {
            let errors = sum(metric, "error");
            let all = errors + sum(metric, "success") - before;
            assert!(
                errors / all > 0.01,
                "{metric}: {errors} of {all}, streaming {streaming}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stores_and_events_are_counted() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.put("configmaps", config_map("a", "new"));
    server.put("configmaps", config_map("a", "new"));
    server.delete("configmaps", "a", "cm0");
    running.agrees().await;
    pass(Duration::from_secs(61)).await;
    server.expire_watches("configmaps");
    pass(Duration::from_secs(2)).await;
    running.agrees().await;
    let of = |metric: &str, labels: &str| {
        let labels = format!("{labels}resource=\"*v1.ConfigMap\"");
        running
            .metric(&format!("kube_state_metrics_{metric}{{{labels}}}"))
            .unwrap()
    };
    assert_eq!(of("objects", ""), 12.0);
    assert_eq!(of("series", ""), 36.0);
    assert!(of("store_bytes", "") > 100.0);
    assert_eq!(of("synced", ""), 1.0);
    assert_eq!(of("relists_total", ""), 1.0);
    // Each of the two lists has twelve objects, and one object is added between the lists.
    assert_eq!(of("events_total", "event=\"added\","), 25.0);
    assert_eq!(of("events_total", "event=\"modified\","), 1.0);
    assert_eq!(of("events_total", "event=\"deleted\","), 1.0);
    assert_eq!(of("events_total", "event=\"bookmark\","), 3.0);
    assert_eq!(of("events_total", "event=\"error\","), 1.0);
    assert_eq!(of("update_latency_seconds_count", ""), 27.0);
    server.set_down(true);
    pass(Duration::from_secs(10)).await;
    assert_eq!(of("synced", ""), 0.0);
    assert_eq!(of("failing", "reason=\"unreachable\","), 1.0);
}

#[tokio::test(start_paused = true)]
async fn custom_resources_share_a_name_in_one_half_and_have_their_own_in_the_other() {
    let server = server();
    let kind = |kind: &str| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("acme.dev", "v1", kind));
        let family = Family::gauge(format!("{}_seen", kind.to_lowercase()), "Always 1.");
        let family = family.generate(|_: &DynamicObject, s| s.value(1));
        Collector::dynamic(&resource, Scope::Namespaced).family(family)
    };
    let metrics = StateMetrics::builder()
        .collector(kind("Widget"))
        .collector(kind("Gadget"));
    let running = start(&server, metrics.build().unwrap(), |watch| watch);
    let refused = || {
        running
            .health
            .snapshot()
            .resources
            .iter()
            .all(|own| own.last_error.is_some())
    };
    eventually("both kinds are refused", refused).await;
    let shared = "resource=\"*unstructured.Unstructured\"";
    let errors = format!("kube_state_metrics_list_total{{{shared},result=\"error\"}}");
    assert_eq!(running.metric(&errors), Some(2.0));
    for resource in ["widgets.acme.dev", "gadgets.acme.dev"] {
        let failing =
            format!("kube_state_metrics_failing{{reason=\"not_found\",resource=\"{resource}\"}}");
        assert_eq!(running.metric(&failing), Some(1.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_takes_one_set_of_watches() {
    let server = server();
    let registry = prometheus::Registry::new();
    let watch = |metrics: &StateMetrics| metrics.watch(server.client()).registry(&registry).build();
    let _first = watch(&metrics()).unwrap();
    let error = watch(&metrics()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("use a separate registry for each watch"),
        "{error}"
    );
}
