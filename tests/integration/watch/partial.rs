//! ConfigMaps and Secrets are requested without their data.

use kube_state_metrics::source::watch::WatchBuilder;
use kube_state_metrics::{BuiltIn, Family, StateMetrics, families};
use serde_json::{Value, json};

use super::{Running, start, text};
use crate::support::ApiServer;

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json";
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const WHOLE: &str = "application/json";

fn secret(name: &str, kind: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": name, "creationTimestamp": "2023-11-14T22:13:20Z" },
        "type": kind, "data": { "key": "c2VjcmV0" },
    })
}

/// A server with three secrets.
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

/// Waits until the metrics are those of the whole secrets of the server.
async fn agree(running: &Running) {
    let builder = StateMetrics::builder().built_in([BuiltIn::Secrets]);
    let metrics = builder.all_fed_by_host().build().unwrap();
    let mut writer = metrics.feeds().remove(0);
    for object in running.server.objects("secrets") {
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
    crate::support::eventually("the metrics are up to date", || {
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
        // A watch that is resumed gets the columns of its table again.
        server.cut_watches("secrets");
        server.put("secrets", secret("newer", "b"));
        agree(&running).await;
        assert!(accepted(&server).iter().all(|accept| accept == TABLE));
        let mut log = server.log("secrets").into_iter();
        assert!(log.all(|request| request.get("includeObject") == Some("Metadata")));
    }
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
