//! Tests watches of a server that answers in protobuf. The behaviour must be the same as with JSON.

use std::time::Duration;

use kube_protobuf::encode;
use serde_json::json;

use super::hostile::body;
use super::{broken, config_map, expected, metrics, server, start, synced};
use crate::support::{
    ApiRequest, ApiServer, ByteStream, Fault, On, Wire, eventually, pass, within,
};

/// Returns the number of responses with configmaps so far, in JSON and in protobuf.
fn responses(running: &super::Running) -> (f64, f64) {
    let of = |encoding: &str| {
        let labels = format!("encoding=\"{encoding}\",resource=\"*v1.ConfigMap\"");
        running
            .metric(&format!("kube_state_metrics_responses_total{{{labels}}}"))
            .unwrap()
    };
    (of("json"), of("protobuf"))
}

fn protobuf_server() -> ApiServer {
    server().with_protobuf()
}

#[tokio::test(start_paused = true)]
async fn lists_pages_and_watches_are_requested_in_protobuf() {
    for streaming in [true, false] {
        let server = protobuf_server();
        server.set_streaming_lists(streaming);
        let running = synced(&server, |watch| watch.page_size(2)).await;
        for number in 0..5 {
            server.put("configmaps", config_map("a", &format!("new{number}")));
            server.delete("configmaps", "a", &format!("cm{number}"));
            let holds = || running.text() == expected(&server);
            within("the change shows", Duration::from_secs(1), holds).await;
        }
        let log = server.log("configmaps");
        assert!(
            log.iter().all(|request| request.accepts_protobuf()),
            "{log:?}"
        );
        let (json, protobuf) = responses(&running);
        // A refusal of the streaming list does not count, because this response contains no objects.
        let answered = if streaming { log.len() } else { log.len() - 1 };
        assert_eq!((json, protobuf), (0.0, answered as f64));
    }
}

#[tokio::test(start_paused = true)]
async fn json_is_read_whenever_the_server_answers_so() {
    let server = protobuf_server();
    let running = synced(&server, |watch| watch).await;
    // From now on, the server always answers in JSON, like a server behind a proxy that allows only JSON.
    server.set_protobuf(false);
    pass(Duration::from_secs(5)).await;
    server.cut_watches("");
    server.put("configmaps", config_map("a", "in-json"));
    running.agrees().await;
    pass(Duration::from_secs(5)).await;
    server.set_protobuf(true);
    server.cut_watches("");
    server.put("configmaps", config_map("a", "in-protobuf"));
    running.agrees().await;
    assert_eq!(responses(&running), (1.0, 2.0));
    assert_eq!(running.health_of("configmaps").lists, 1);
}

#[tokio::test(start_paused = true)]
async fn protobuf_can_be_switched_off() {
    let server = protobuf_server();
    let running = synced(&server, |watch| watch.protobuf(false)).await;
    let log = server.log("configmaps");
    let is_json = |accept: &str| accept.starts_with("application/json");
    assert!(
        log.iter().all(|request| is_json(&request.accept)),
        "{log:?}"
    );
    assert_eq!(responses(&running), (1.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_the_encoding_is_asked_for_json_at_once() {
    for on in [On::StreamingList, On::Watch] {
        let server = protobuf_server();
        server.fault(on, "configmaps", 1, Fault::Status(406, "NotAcceptable"));
        let running = start(&server, metrics(), |watch| watch);
        running.ready().await;
        server.cut_watches("");
        server.put("configmaps", config_map("a", "new"));
        within("the change shows", Duration::from_secs(2), || {
            running.text() == expected(&server)
        })
        .await;
        let log = server.log("configmaps");
        let refused = log.iter().position(|request| match on {
            On::Watch => !request.is_stream(),
            _ => true,
        });
        let after = &log[refused.unwrap() + 1..];
        assert!(!after.is_empty() && after.iter().all(|request| !request.accepts_protobuf()));
        // The refusal of protobuf does not count as a failure, so the watch does not fall back to paged lists.
        assert_eq!(server.counts("configmaps").0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_read_from_protobuf() {
    let server = protobuf_server();
    let running = synced(&server, |watch| watch).await;
    server.forbid("configmaps");
    server.cut_watches("configmaps");
    let error = || {
        running
            .health_of("configmaps")
            .last_error
            .unwrap_or_default()
    };
    eventually("the message is read", || error().contains("scripted")).await;
}

#[tokio::test(start_paused = true)]
async fn broken_bodies_never_publish_half_a_list() {
    for fault in [
        Fault::Cut(150),
        Fault::Truncate(150),
        Fault::Truncate(7),
        Fault::Body("k8s\u{0}\u{13}"),
    ] {
        let server = protobuf_server().without_streaming_lists();
        server.fault(On::List, "configmaps", 2, fault.clone());
        let running = start(&server, metrics(), |watch| watch);
        running.ready().await;
        running.agrees().await;
        assert!(server.counts("configmaps").0 >= 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_decode_loses_its_samples_and_is_counted() {
    let server = protobuf_server();
    let running = synced(&server, |watch| watch).await;
    server.put("configmaps", broken("a", "cm0"));
    let errors =
        "kube_state_metrics_decode_errors_total{reason=\"field\",resource=\"*v1.ConfigMap\"}";
    eventually("the error is counted", || {
        running.metric(errors) == Some(1.0)
    })
    .await;
    assert!(
        !running.text().contains("configmap=\"cm0\",namespace=\"a\""),
        "{}",
        running.text()
    );
}

/// A configmap whose metadata is a number.
const WRONG_WIRE_TYPE: &[u8] = b"\x08\x01";

#[tokio::test(start_paused = true)]
async fn events_that_are_damaged_are_requested_again_in_json() {
    let object = encode::envelope("v1", "ConfigMap", WRONG_WIRE_TYPE);
    for damaged in [
        b"\0\0\0\x03\x0a\x7fx".to_vec(),
        b"\0\0\0\0".to_vec(),
        encode::watch_event("MODIFIED", b"{\"kind\":\"ConfigMap\"}"),
        encode::watch_event("MODIFIED", &object),
    ] {
        let server = protobuf_server();
        let running = synced(&server, |watch| watch).await;
        pass(Duration::from_secs(30)).await;
        server.send_raw("configmaps", damaged);
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
        assert_eq!(server.counts("configmaps"), (0, 1, 1), "no list is needed");
        assert_eq!(responses(&running), (1.0, 1.0));
        let log = server.log("configmaps");
        assert!(!log.last().unwrap().accepts_protobuf());
        // The watch of another resource continues to request protobuf.
        server.cut_watches("namespaces");
        let is_resumed = || server.log("namespaces").len() == 2;
        eventually("the watch of namespaces is resumed", is_resumed).await;
        assert!(server.log("namespaces")[1].accepts_protobuf());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_never_ends_is_requested_again() {
    let server = protobuf_server().bookmark_every(Duration::from_secs(3_600));
    let running = synced(&server, |watch| watch).await;
    server.send_raw("configmaps", &b"\xff\xff\xff\xff"[..]);
    server.put("configmaps", config_map("b", "new"));
    running.agrees().await;
    assert!(server.log("configmaps").last().unwrap().accepts_protobuf());
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_damaged_are_requested_again_in_json() {
    // The test uses three damaged bodies: HTML, a protobuf group (an old encoding that Kubernetes does not use), and an
    // object with a wrong wire type.
    let html: fn(&ApiRequest) -> ByteStream = |_| body(b"<html>".to_vec());
    let group: fn(&ApiRequest) -> ByteStream = |_| body(b"k8s\0\x13".to_vec());
    let object: fn(&ApiRequest) -> ByteStream = |request| {
        let wire = Wire::of_config_maps(request);
        if !request.accepts_protobuf() {
            return body(wire.list(&json!({ "resourceVersion": "100" }), &[]));
        }
        let items = [config_map("a", "x0"), config_map("a", "x1")];
        let list = wire.list(&json!({ "resourceVersion": "100" }), &items);
        // The test changes the tag of the metadata of the last object, so that the metadata has the wire type of a
        // number.
        let at = list
            .windows(4)
            .rposition(|bytes| bytes == b"\x0a\x02x1")
            .unwrap();
        let metadata = list[..at].iter().rposition(|byte| *byte == 0x0a).unwrap();
        let mut list = list.to_vec();
        list[metadata] = 0x08;
        body(list)
    };
    for script in [html, group, object] {
        let server = protobuf_server().without_streaming_lists();
        let fault = Fault::Script(200, script);
        server.fault(On::List, "configmaps", 1, fault);
        let running = start(&server, metrics(), |watch| watch);
        running.ready().await;
        running.agrees().await;
        let log = server.log("configmaps").into_iter();
        let lists: Vec<_> = log.filter(|asked| !asked.is_watch()).collect();
        let accepts: Vec<_> = lists.iter().map(ApiRequest::accepts_protobuf).collect();
        assert_eq!(accepts, [true, false]);
    }
}

#[cfg(feature = "custom-resources")]
#[tokio::test(start_paused = true)]
async fn kinds_are_requested_in_json_for_fields_that_the_tables_may_lack() {
    use kube_state_metrics::custom_resources::{Config, KnownKind};

    let config = |path: &str, labels: &str| {
        let text = format!(
            r#"{{ spec: {{ resources: [{{
                groupVersionKind: {{ group: "", version: v1, kind: ConfigMap }},
                labelsFromPath: {{ configmap: [metadata, name], namespace: [metadata, namespace] }},
                metrics: [{{ name: own, help: Help., each: {{ type: Info,
                    info: {{ path: {path}, labelsFromPath: {labels} }} }} }}] }}] }} }}"#
        );
        Config::parse(&text).unwrap()
    };
    let cases = [
        // The protobuf tables of the crate have these fields, so the watch requests protobuf.
        (config("[data]", "{ mode: [mode] }"), true),
        (config("[metadata, labels]", "{ '*': [] }"), true),
        // The protobuf tables lack this field, which could belong to a newer version of Kubernetes. Therefore, the
        // watch requests JSON.
        (config("[future]", "{ mode: [mode] }"), false),
        // These families read values with nested fields as a whole. The watch requests JSON, because newer versions of
        // Kubernetes may add nested fields.
        (config("[metadata]", "{ '*': [] }"), false),
        (config("[]", "{ mode: [data, mode] }"), false),
        (
            config("[metadata, ownerReferences, '0']", "{ name: [name] }"),
            false,
        ),
    ];
    for (config, protobuf) in &cases {
        for streaming in [true, false] {
            let server = protobuf_server();
            server.set_streaming_lists(streaming);
            let builder = super::two_resources().custom_resources(config);
            let metrics = builder.known_kinds(KnownKind::built_in()).build().unwrap();
            let running = start(&server, metrics, |watch| watch);
            running.ready().await;
            let log = server.log("configmaps");
            let are = |wanted: bool| log.iter().all(|asked| asked.accepts_protobuf() == wanted);
            assert!(are(*protobuf), "{config:?} {log:#?}");
            server.clear_log();
            // After a change of the configuration, the next list must use the encoding that the new configuration
            // needs.
            for (other, protobuf) in &cases {
                let custom = running.metrics.custom_resources();
                custom.set_config(None).unwrap();
                custom.set_config(Some(other)).unwrap();
                let is_listed = || !server.log("configmaps").is_empty();
                eventually("a list is requested", is_listed).await;
                let log = server.log("configmaps");
                assert_eq!(log[0].accepts_protobuf(), *protobuf, "{other:?}");
                pass(Duration::from_secs(10)).await;
                server.clear_log();
            }
        }
    }
}
