//! Tests objects in JSON with bytes that are not UTF-8. An API server sends such bytes in `managedFields`.

use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::{Value, json};

use super::log::Log;
use super::{Running, config_map, server, start, synced, text};
use crate::support::{ApiServer, NOT_UTF8, eventually, json_bytes};

/// Adds bytes that are not UTF-8 to a field that no family reads.
fn managed(mut object: Value) -> Value {
    let key = format!("f:{NOT_UTF8}");
    object["metadata"]["managedFields"] = json!([{ "manager": "m", "fieldsV1": { key: {} } }]);
    object
}

fn assert_no_failure(running: &Running) {
    for own in running.health.resources() {
        assert_eq!(own.last_error, None, "{}", own.resource);
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_no_family_reads_may_have_any_bytes() {
    for streaming in [true, false] {
        let server = server();
        server.put("configmaps", managed(config_map("a", "listed")));
        let running = synced(&server, |watch| {
            watch.protobuf(false).streaming_lists(streaming)
        })
        .await;
        server.put("configmaps", managed(config_map("a", "watched")));
        // Another server may write the same event with spaces.
        let version = server.version();
        let mut object = managed(config_map("a", "spaced"));
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let spaced = format!("{{\"type\": \"ADDED\", \"object\": {object}}}\n");
        server.send_raw("configmaps", json_bytes(spaced));
        eventually("the object is exported", || {
            running.config_maps().contains(&String::from("a/spaced"))
        })
        .await;
        for name in ["a/listed", "a/watched"] {
            assert!(running.config_maps().contains(&name.into()), "{name}");
        }
        assert_no_failure(&running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_may_have_any_bytes_in_a_field_that_no_family_reads() {
    let secret = |name: &str, kind: &str| {
        json!({
            "metadata": { "namespace": "a", "name": name, "creationTimestamp": "2023-11-14T22:13:20Z" },
            "type": kind,
        })
    };
    for streaming in [true, false] {
        let server = ApiServer::new();
        server.serve("/api/v1", "v1", "secrets", "Secret");
        server.put("secrets", managed(secret("listed", "Opaque")));
        let builder = StateMetrics::builder().built_in([BuiltIn::Secrets]);
        let running = start(&server, builder.build().unwrap(), |watch| {
            watch.streaming_lists(streaming)
        });
        running.ready().await;
        let has = |name: &str, kind: &str| {
            text(&running.metrics).contains(&format!(r#"secret="{name}",type="{kind}"}} 1"#))
        };
        assert!(has("listed", "Opaque"), "{}", text(&running.metrics));
        server.put("secrets", managed(secret("watched", "Opaque")));
        server.put("secrets", managed(secret("listed", "changed")));
        eventually("the metrics are up to date", || {
            has("watched", "Opaque") && has("listed", "changed")
        })
        .await;
        assert_no_failure(&running);
        let log = server.log("secrets").into_iter();
        let mut accepted = log.map(|request| request.accept);
        assert!(accepted.all(|own| own.contains("as=Table")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_families_read_makes_only_its_object_undecodable() {
    for streaming in [true, false] {
        let (log, _guard) = Log::begin();
        let invalid = |name: &str| {
            let mut object = config_map("a", name);
            object["metadata"]["creationTimestamp"] = json!(NOT_UTF8);
            object
        };
        let server = server();
        server.put("configmaps", invalid("listed"));
        let running = start(&server, super::metrics(), |watch| {
            watch.protobuf(false).streaming_lists(streaming)
        });
        running.ready().await;
        let requests = server.log("configmaps").len();
        server.put("configmaps", invalid("watched"));
        server.put("configmaps", config_map("a", "later"));
        eventually("the later object is exported", || {
            running.config_maps().contains(&String::from("a/later"))
        })
        .await;
        for name in ["a/listed", "a/watched"] {
            assert!(!running.config_maps().contains(&name.into()), "{name}");
            let lines = log.lines(&[name, "a text is not valid Unicode at line 1 column"]);
            assert_eq!(lines.len(), 1, "{name}");
        }
        assert_no_failure(&running);
        assert_eq!(server.log("configmaps").len(), requests);
    }
}
