//! Tests which objects a watch requests if its scope is limited to namespaces, to nodes or by selectors.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SYNCED, config_map, exposed, metrics, namespace, pods, server, start, text};
use crate::support::{ApiServer, eventually, pass};
use kube_state_metrics::source::health::FeedOrigin;
use kube_state_metrics::{BuiltIn, StateMetrics};

fn scoped(namespaces: &[&str], denied: &[&str]) -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .namespaces(namespaces.iter().copied())
        .deny_namespaces(denied.iter().copied())
        .build()
        .unwrap()
}

fn paths(server: &ApiServer, plural: &str) -> Vec<String> {
    let mut paths: Vec<_> = server
        .log(plural)
        .into_iter()
        .map(|asked| asked.path)
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_a_watch_of_its_own() {
    let server = server();
    server.put("configmaps", config_map("c", "other"));
    let running = start(&server, scoped(&["b", "a", "b"], &[]), |watch| watch);
    running.ready().await;
    assert_eq!(
        paths(&server, "configmaps"),
        [
            "/api/v1/namespaces/a/configmaps",
            "/api/v1/namespaces/b/configmaps"
        ]
    );
    assert_eq!(server.counts("configmaps"), (0, 2, 0));
    assert_eq!(paths(&server, "namespaces"), ["/api/v1/namespaces"]);
    assert_eq!(running.config_maps().len(), 12);
    // A watch that is limited to some namespaces still receives all cluster-scoped objects.
    server.put("namespaces", namespace("c"));
    server.put("configmaps", config_map("b", "new"));
    server.put("configmaps", config_map("c", "new"));
    eventually("changes show", || running.config_maps().len() == 13).await;
    eventually("namespaces show", || {
        running
            .text()
            .contains("kube_namespace_status_phase{namespace=\"c\"")
    })
    .await;
    let feeds = running.health_of("configmaps").feeds;
    let namespaces: Vec<_> = feeds
        .iter()
        .map(|feed| feed.namespace.as_deref().unwrap())
        .collect();
    assert_eq!(namespaces, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_relist_of_one_namespace_replaces_its_own_part_only() {
    let server = server();
    let running = start(&server, scoped(&["a", "b"], &[]), |watch| watch);
    running.ready().await;
    for round in 0..3 {
        pass(Duration::from_secs(5)).await;
        server.put("configmaps", config_map("a", &format!("new{round}")));
        server.delete("configmaps", "b", &format!("cm{round}"));
        server.expire_watches("configmaps");
        let keys = || {
            let all = server.objects("configmaps");
            let part = |own: &Value, at: &str| own["metadata"][at].as_str().unwrap().to_owned();
            let keys = all
                .iter()
                .map(|own| format!("{}/{}", part(own, "namespace"), part(own, "name")));
            keys.collect::<Vec<_>>()
        };
        eventually("both namespaces are complete", || {
            running.config_maps() == keys()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn denied_namespaces_are_not_even_sent() {
    let server = server();
    let running = start(&server, scoped(&[], &["b", "x,y"]), |watch| watch);
    running.ready().await;
    let asked = &server.log("configmaps")[0];
    assert_eq!(asked.path, "/api/v1/configmaps");
    let selector = "metadata.namespace!=b,metadata.namespace!=x\\,y";
    assert_eq!(asked.get("fieldSelector"), Some(selector));
    assert_eq!(server.log("namespaces")[0].get("fieldSelector"), None);
    assert_eq!(running.config_maps().len(), 6);
    assert!(
        running
            .text()
            .contains("kube_namespace_status_phase{namespace=\"b\"")
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_both_listed_and_denied_yields_nothing_and_is_not_waited_for() {
    let server = server();
    let running = start(&server, scoped(&["a", "b"], &["b"]), |watch| watch);
    running.ready().await;
    assert_eq!(
        paths(&server, "configmaps"),
        ["/api/v1/namespaces/a/configmaps"]
    );
    assert_eq!(running.config_maps().len(), 6);

    let running = start(&server, scoped(&["b"], &["b"]), |watch| watch);
    running.ready().await;
    assert_eq!(running.config_maps().len(), 0);
    assert_eq!(running.health_of("configmaps").state, SYNCED);
}

#[tokio::test(start_paused = true)]
async fn the_union_of_namespaces_is_the_whole() {
    let server = server();
    let whole = start(&server, metrics(), |watch| watch);
    whole.ready().await;
    let mut parts = Vec::new();
    for (namespaces, denied) in [(&["a"][..], &[][..]), (&[], &["a"])] {
        let part = start(&server, scoped(namespaces, denied), |watch| watch);
        part.ready().await;
        parts.extend(part.config_maps());
    }
    parts.sort();
    assert_eq!(parts, whole.config_maps());
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": name }, "spec": { "nodeName": node, "containers": [] }
    })
}

fn with_pods() -> StateMetrics {
    let resources = [BuiltIn::ConfigMaps, BuiltIn::Namespaces];
    StateMetrics::builder()
        .built_in(resources)
        .collector(pods())
        .build()
        .unwrap()
}

fn nodes_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("pod_on{"));
    lines
        .map(|line| line.split('"').nth(5).unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn node_scope_is_about_pods_and_leaves_other_namespaced_kinds_out() {
    let server = server();
    for (name, node) in [("one", "n1"), ("two", "n2"), ("three", ""), ("four", "n1")] {
        server.put("pods", pod(name, node));
    }
    let mut union = Vec::new();
    let parts: [(&str, &str); 3] = [
        ("n1", "spec.nodeName=n1"),
        ("n2", "spec.nodeName=n2"),
        ("", "spec.nodeName="),
    ];
    for (node, selector) in parts {
        let running = start(&server, with_pods(), |watch| match node {
            "" => watch.node("n9").unscheduled_pods().node("n8"),
            node => watch.node(node),
        });
        running.ready().await;
        assert_eq!(
            server.log("pods").last().unwrap().get("fieldSelector"),
            Some(selector)
        );
        let nodes = nodes_of(&running.text());
        assert!(nodes.iter().all(|own| own == node), "{nodes:?}");
        union.extend(nodes);
        assert_eq!(running.health_of("configmaps").source, FeedOrigin::LeftOut);
        assert!(running.text().contains("kube_namespace_status_phase"));
        assert_eq!(running.config_maps().len(), 0);
    }
    union.sort();
    assert_eq!(union, ["", "n1", "n1", "n2"]);
    assert_eq!(server.log("configmaps").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_gets_its_node_leaves_the_unscheduled_ones() {
    let server = server();
    server.put("pods", pod("one", ""));
    let running = start(&server, with_pods(), |watch| watch.unscheduled_pods());
    running.ready().await;
    assert_eq!(nodes_of(&running.text()).len(), 1);
    // If a changed object no longer matches the selector, the server sends an event of type `DELETED`.
    let bound = server.put("pods", pod("one", "n1"));
    server.send_event("pods", "DELETED", &bound);
    eventually("the pod is removed", || {
        nodes_of(&running.text()).is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn selectors_narrow_a_resource() {
    let server = server();
    let mut labelled = config_map("a", "labelled");
    labelled["metadata"]["labels"] = json!({ "app": "shop" });
    server.put("configmaps", labelled);
    let running = start(&server, metrics(), |watch| {
        watch
            .label_selector("configmaps", "app=shop")
            .field_selector(BuiltIn::ConfigMaps, "metadata.namespace!=b")
            .field_selector("configmaps", "metadata.name!=x")
    });
    running.ready().await;
    let asked = &server.log("configmaps")[0];
    assert_eq!(asked.get("labelSelector"), Some("app=shop"));
    assert_eq!(
        asked.get("fieldSelector"),
        Some("metadata.namespace!=b,metadata.name!=x")
    );
    assert_eq!(exposed(&text(&running.metrics)), ["a/labelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_selector_for_something_else_is_an_error() {
    let server = server();
    let watch = metrics()
        .watch(server.client())
        .label_selector("pod", "a=b");
    let error = watch.field_selector("", "x=y").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the label selector is for `pod`, which is not registered; available: configmaps, namespaces\n\
         the field selector is for ``, which is not registered; available: configmaps, namespaces"
    );
    assert_eq!(error.problems().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_selector_the_server_does_not_take_shows_as_rejected() {
    let server = server();
    let running = start(&server, metrics(), |watch| {
        watch.field_selector("configmaps", "data.a=b")
    });
    let error = || {
        running
            .health_of("configmaps")
            .last_error
            .unwrap_or_default()
    };
    eventually("the health shows the rejection", || {
        error() == "rejected: field label not supported"
    })
    .await;
    assert!(!running.health.snapshot().ready);
}
