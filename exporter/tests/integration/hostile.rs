//! Tests attacks that a hostile API server makes on a real connection. Tests that need no connection are in
//! `tests/integration/watch/hostile.rs` of the library.

use serde_json::{Value, json};

use super::api::Api;
use super::support::{Exporter, eventually};

fn object(name: &str, size: usize) -> Value {
    let metadata = json!({ "name": name, "namespace": "a", "resourceVersion": "5" });
    // The large field comes after the metadata, as in objects of a real API server.
    json!({ "metadata": metadata, "z": "x".repeat(size) })
}

#[test]
fn objects_and_buffers_have_the_sizes_of_the_flags() {
    let api = Api::start(&[]);
    let resources = ["configmaps", "secrets", "services", "endpoints"];
    for resource in resources {
        for at in 0..4 {
            api.put(resource, object(&format!("usual{at}"), 200 << 10));
        }
        api.put(resource, object("large", 600 << 10));
    }
    let url = format!("--apiserver={}", api.url);
    let resources = format!("--resources={}", resources.join(","));
    let sizes = ["--object-size-limit=512KiB", "--feed-buffer-limit=2MiB"];
    for paged in [&[][..], &["--no-watchlist"]] {
        let args = [&[&*url, &*resources][..], &sizes, paged].concat();
        let exporter = Exporter::serving(&args);
        exporter.becomes_ready();
        let metrics = exporter.metrics("");
        for family in [
            "kube_configmap_info",
            "kube_secret_info",
            "kube_service_info",
        ] {
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with(&format!("{family}{{")));
            assert_eq!(lines.count(), 4, "{family}");
        }
        let skipped = "kube_state_metrics_oversized_objects_total{resource=\"*v1.Secret\"}";
        assert_eq!(exporter.own(skipped), Some(1.0));
        let ready = exporter.get("/readyz?verbose").text();
        let named = "secrets: synced, 4 objects, objects above --object-size-limit skipped 1 time";
        assert!(ready.contains(named), "{ready}");
        exporter.tells("object=a/large");
        let peak = exporter
            .own("kube_state_metrics_feed_buffer_peak_bytes")
            .unwrap();
        assert!(peak > 0.0 && peak <= f64::from(2 << 20), "{peak}");
        assert_eq!(
            exporter.own("kube_state_metrics_feed_buffer_bytes"),
            Some(0.0)
        );
    }
    // If the limits are disabled, the exporter reads all objects.
    let none = ["--object-size-limit=0", "--feed-buffer-limit=0"];
    let exporter = Exporter::serving(&[&[&*url, "--resources=secrets"][..], &none].concat());
    eventually("the large secret is exported", || {
        let metrics = exporter.metrics("");
        metrics
            .contains("kube_secret_info{namespace=\"a\",secret=\"large\"")
            .then_some(())
    });
}

/// Asserts that the resource `configmaps` fails with this message, and that the resource `secrets` is exported. Returns
/// the exporter.
fn fails_alone(api: &Api, message: &str) -> Exporter {
    api.put("secrets", object("a", 1));
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&*url, "--resources=configmaps,secrets"]);
    let ready = eventually("the failure shows", || {
        let ready = exporter.get("/readyz?verbose").text();
        ready
            .contains("[-] configmaps: unreachable")
            .then_some(ready)
    });
    assert!(ready.contains(message), "{ready}");
    eventually("the other resource is exported", || {
        exporter
            .metrics("")
            .contains("kube_secret_info{")
            .then_some(())
    });
    exporter
}

#[test]
fn headers_without_an_end_are_a_failure_of_their_resource_alone() {
    let api = Api::start(&[]);
    api.flood_headers("configmaps");
    let exporter = fails_alone(&api, "message head is too large");
    let memory = exporter.memory();
    assert!(memory < 100 << 20, "{memory}");
}

#[test]
fn informational_responses_without_an_end_are_a_failure_of_their_resource_alone() {
    let api = Api::start(&[]);
    api.flood_hints("configmaps");
    // Without the limit on informational responses, the request would fail only after its timeout of a minute.
    fails_alone(&api, "informational responses (1xx)");
}
