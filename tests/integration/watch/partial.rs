//! Tests that the watch requests ConfigMaps and Secrets without their data.

use std::time::Duration;

use kube_state_metrics::source::watch::WatchBuilder;
use kube_state_metrics::{BuiltIn, Family, StateMetrics, families};
use serde_json::{Value, json};

use super::{Running, start, text};
use crate::support::{ApiServer, Fault, On, eventually, pass};

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json";
const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const WHOLE: &str = "application/vnd.kubernetes.protobuf,application/json";

fn secret(name: &str, kind: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": name, "creationTimestamp": "2023-11-14T22:13:20Z" },
        "type": kind, "data": { "key": "c2VjcmV0" },
    })
}

/// Returns a server with three secrets.
fn server() -> ApiServer {
    let server = ApiServer::new();
    server.serve("/api/v1", "v1", "secrets", "Secret");
    for (name, kind) in [
        ("opaque", "Opaque"),
        ("tls", "kubernetes.io/tls"),
        ("none", ""),
    ] {
        server.put("secrets", secret(name, kind));
    }
    server
}

async fn watched(server: &ApiServer, metrics: StateMetrics, streaming: bool) -> Running {
    let configure = |watch: WatchBuilder| watch.streaming_lists(streaming).page_size(2);
    let running = start(server, metrics, configure);
    running.ready().await;
    running
}

fn secrets() -> StateMetrics {
    let builder = StateMetrics::builder().built_in([BuiltIn::Secrets]);
    builder.build().unwrap()
}

/// Waits until the metrics are the same as the metrics of complete secrets with their data.
async fn agree(running: &Running) {
    let builder = StateMetrics::builder().built_in([BuiltIn::Secrets]);
    let metrics = builder.all_fed_by_host().build().unwrap();
    let mut writer = metrics.feeds().remove(0);
    for object in running.server.objects("secrets") {
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
    eventually("the metrics are up to date", || {
        text(&running.metrics) == text(&metrics)
    })
    .await;
}

fn accepted(server: &ApiServer) -> Vec<String> {
    let log = server.log("secrets").into_iter();
    log.map(|request| request.accept).collect()
}

#[tokio::test(start_paused = true)]
async fn secrets_are_requested_as_tables_and_their_changes_show() {
    for streaming in [true, false] {
        let server = server();
        let running = watched(&server, secrets(), streaming).await;
        agree(&running).await;
        assert!(text(&running.metrics).contains(r#"secret="tls",type="kubernetes.io/tls"} 1"#));
        server.put("secrets", secret("new", "Opaque"));
        server.put("secrets", secret("opaque", "helm.sh/release.v1"));
        server.delete("secrets", "a", "tls");
        agree(&running).await;
        // When a watch is resumed, the server sends the columns of the table again.
        server.cut_watches("secrets");
        server.put("secrets", secret("newer", "b"));
        agree(&running).await;
        assert!(accepted(&server).iter().all(|accept| accept == TABLE));
        let mut log = server.log("secrets").into_iter();
        assert!(log.all(|request| request.get("includeObject") == Some("Metadata")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_before_the_first_secret_has_the_columns() {
    for streaming in [true, false] {
        let server = server();
        let running = watched(&server, secrets(), streaming).await;
        // The first event of the resumed watch is a bookmark, which contains the columns of the table.
        server.end_watches("secrets");
        pass(Duration::from_secs(150)).await;
        server.put("secrets", secret("new", "Opaque"));
        agree(&running).await;
        assert!(accepted(&server).iter().all(|accept| accept == TABLE));
    }
    // The streaming list is empty, so its first event is the bookmark that ends the list.
    let server = ApiServer::new();
    server.serve("/api/v1", "v1", "secrets", "Secret");
    let running = watched(&server, secrets(), true).await;
    server.put("secrets", secret("new", "Opaque"));
    agree(&running).await;
    assert_eq!(accepted(&server), [TABLE]);
}

#[tokio::test(start_paused = true)]
async fn large_rows_are_objects_as_well() {
    for streaming in [true, false] {
        let server = server();
        let mut large = secret("large", "Opaque");
        large["metadata"]["annotations"] = json!({ "x": "y".repeat(200_000) });
        server.put("secrets", large.clone());
        let running = watched(&server, secrets(), streaming).await;
        agree(&running).await;
        large["type"] = json!("changed");
        server.put("secrets", large);
        agree(&running).await;
        assert!(text(&running.metrics).contains(r#"secret="large",type="changed"} 1"#));
        assert!(accepted(&server).iter().all(|accept| accept == TABLE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_above_the_size_limit_loses_its_samples() {
    for streaming in [true, false] {
        let server = server();
        let configure =
            |watch: WatchBuilder| watch.streaming_lists(streaming).object_size_limit(3_000);
        let running = start(&server, secrets(), configure);
        running.ready().await;
        let mut large = secret("tls", "Opaque");
        large["metadata"]["annotations"] = json!({ "x": "y".repeat(5_000) });
        server.put("secrets", large);
        eventually("the large secret is skipped", || {
            !text(&running.metrics).contains(r#"secret="tls""#)
        })
        .await;
        assert!(text(&running.metrics).contains(r#"secret="opaque""#));
        assert!(accepted(&server).iter().all(|accept| accept == TABLE));
    }
}

#[tokio::test(start_paused = true)]
async fn whole_objects_are_requested_after_a_table_that_lacks_the_type_in_a_watch() {
    let server = server();
    let running = watched(&server, secrets(), true).await;
    let server = server.with_columns(&["Name"]);
    server.cut_watches("secrets");
    server.put("secrets", secret("new", "Opaque"));
    agree(&running).await;
    assert_eq!(accepted(&server).last().unwrap(), WHOLE);
    // After an hour, the watch requests tables again, because a newer server may send tables with the column `Type`.
    let server = server.with_columns(&["Name", "Type"]);
    pass(Duration::from_secs(3_700)).await;
    server.cut_watches("secrets");
    server.put("secrets", secret("newer", "Opaque"));
    agree(&running).await;
    assert_eq!(accepted(&server).last().unwrap(), TABLE);
}

#[tokio::test(start_paused = true)]
async fn tables_of_another_shape_lose_only_their_object() {
    let server = server();
    let running = watched(&server, secrets(), true).await;
    let row = json!({ "cells": ["a", "b"], "object": { "metadata": { "name": "odd", "namespace": "a" } } });
    for rows in [
        json!([]),
        json!([row, row]),
        json!([{ "cells": [1, 2], "object": null }]),
    ] {
        let table =
            json!({ "kind": "Table", "metadata": {}, "columnDefinitions": null, "rows": rows });
        server.send_event("secrets", "MODIFIED", &table);
    }
    server.put("secrets", secret("new", "Opaque"));
    agree(&running).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_whole_objects_is_understood() {
    for streaming in [true, false] {
        let server = server().without_partial_objects();
        let running = watched(&server, secrets(), streaming).await;
        server.put("secrets", secret("new", "Opaque"));
        agree(&running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whole_objects_are_requested_if_a_table_lacks_the_type() {
    for streaming in [true, false] {
        for columns in [&["Name", "Age"][..], &["Name"], &[]] {
            let server = server().with_columns(columns);
            let running = watched(&server, secrets(), streaming).await;
            server.put("secrets", secret("new", "Opaque"));
            agree(&running).await;
            let accepted = accepted(&server);
            assert_eq!(accepted.first().unwrap(), TABLE);
            assert!(
                accepted.iter().skip(1).all(|accept| accept == WHOLE),
                "{accepted:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_metadata_is_requested_if_no_family_reads_more() {
    let server = server();
    let builder = StateMetrics::builder().built_in([BuiltIn::Secrets, BuiltIn::ConfigMaps]);
    let deny = builder.deny_metrics(["kube_secret_type"]);
    let running = watched(&server, deny.build().unwrap(), true).await;
    let shown = r#"kube_secret_info{namespace="a",secret="tls"} 1"#;
    assert!(text(&running.metrics).contains(shown));
    for plural in ["secrets", "configmaps"] {
        assert_eq!(server.log(plural)[0].accept, METADATA);
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_that_reads_the_data_gets_it() {
    let server = server();
    let keys = Family::gauge("secret_keys", "Number of keys of the secret.");
    let keys = keys.generate(|secret: &k8s_openapi::api::core::v1::Secret, s| {
        let keys = secret.data.as_ref().map_or(0, |data| data.len());
        s.value(u32::try_from(keys).unwrap());
    });
    let collector = families::secrets().family(keys);
    let metrics = StateMetrics::builder().collector(collector).build();
    let running = watched(&server, metrics.unwrap(), true).await;
    assert!(text(&running.metrics).contains(r#"secret_keys{namespace="a",secret="tls"} 1"#));
    assert_eq!(accepted(&server), [WHOLE]);
}

#[tokio::test(start_paused = true)]
async fn partial_objects_are_requested_in_protobuf_and_tables_in_json() {
    for streaming in [true, false] {
        let server = super::server().with_protobuf();
        server.serve("/api/v1", "v1", "secrets", "Secret");
        server.put("secrets", secret("opaque", "Opaque"));
        let resources = [BuiltIn::ConfigMaps, BuiltIn::Namespaces, BuiltIn::Secrets];
        let builder = || StateMetrics::builder().built_in(resources);
        let running = watched(&server, builder().build().unwrap(), streaming).await;
        server.put("configmaps", super::config_map("a", "new"));
        server.put("secrets", secret("new", "kubernetes.io/tls"));
        let expected = builder().all_fed_by_host().build().unwrap();
        for writer in &mut expected.feeds() {
            for object in server.objects(writer.resource().plural()) {
                writer.apply_json(object.to_string().as_bytes()).unwrap();
            }
        }
        crate::support::eventually("the metrics are up to date", || {
            text(&running.metrics) == text(&expected)
        })
        .await;
        for (resource, protobuf) in [("*v1.ConfigMap", true), ("*v1.Secret", false)] {
            let responses = |encoding: &str| {
                let labels = format!("encoding=\"{encoding}\",resource=\"{resource}\"");
                running.metric(&format!("kube_state_metrics_responses_total{{{labels}}}"))
            };
            assert_eq!(responses("protobuf") > Some(0.0), protobuf, "{resource}");
            assert_eq!(responses("json") > Some(0.0), !protobuf, "{resource}");
        }
    }
}

/// Lists of secrets that are neither a complete table nor whole objects.
const BAD_TABLES: [&str; 4] = [
    r#"{"kind":"Table","metadata":{"resourceVersion":"100"},"columnDefinitions":[{"name":"Type"}],"rows":[{},{}]}"#,
    r#"{"kind":"Table","metadata":{"resourceVersion":"100"},"columnDefinitions":[{"name":"Type"}],
        "rows":[{"cells":["Opaque"]}]}"#,
    r#"{"kind":"Table","metadata":{"resourceVersion":"100"},"columnDefinitions":[{"name":"Type"}],
        "rows":[{"cells":["Opaque"],"object":{}}]}"#,
    // The table lacks the type, so whole objects are requested. The response is a table again.
    r#"{"kind":"Table","metadata":{"resourceVersion":"100"},"columnDefinitions":[{"name":"Name"}],
        "rows":[{"cells":["a"],"object":{"metadata":{"name":"a","namespace":"a"}}}]}"#,
];

#[tokio::test(start_paused = true)]
async fn tables_without_objects_and_tables_instead_of_whole_objects_remove_no_samples() {
    for table in BAD_TABLES {
        let server = server();
        let running = watched(&server, secrets(), false).await;
        let before = text(&running.metrics);
        server.fault(On::List, "secrets", usize::MAX, Fault::Body(table));
        server.expire_watches("secrets");
        pass(Duration::from_secs(60)).await;
        assert_eq!(text(&running.metrics), before, "{table}");
        let error = running.health_of("secrets").last_error.unwrap_or_default();
        let message = "the response is not a list of objects";
        assert!(error.contains(message), "{error}");
        assert_eq!(accepted(&server).last().unwrap(), WHOLE);
        server.heal();
        server.put("secrets", secret("new", "Opaque"));
        agree(&running).await;
    }
}
