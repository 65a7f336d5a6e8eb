//! The page about the exporter's own metrics names exactly the metrics that are served.

use std::collections::BTreeMap;

use super::api::Api;
use super::support::{CLUSTER, Directory, Exporter, eventually, get};

/// Rows of metrics that are served only after a failure.
const RARE: &[&str] = &[
    "kube_state_metrics_custom_resource_errors_total",
    "kube_state_metrics_forbidden_removal_seconds",
    "kube_state_metrics_http_connections_cut_total",
    "kube_state_metrics_ready_without",
    "kube_state_metrics_repeated_series",
];

/// The names of metrics, with their types.
type Families = BTreeMap<String, String>;

fn page() -> Families {
    let page = include_str!("../../../docs/reference/self-metrics.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        Some((name.to_owned(), cells.next()?.to_owned()))
    });
    rows.collect()
}

fn served(exporter: &Exporter) -> Families {
    let text = exporter.telemetry("/metrics").text();
    let types = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    });
    types.collect()
}

#[test]
fn the_page_has_every_metric_with_its_type() {
    let page = page();
    let directory = Directory::new("own-metrics");
    let config = directory.write(
        "config.yaml",
        "resources: {pods: {}, nodes: {}, secrets: {}}\n",
    );
    let manifests = Exporter::start(&["--manifests", CLUSTER, "--config", &config]);
    let api = Api::start(&["secrets"]);
    let url = format!("--apiserver={}", api.url);
    let cluster = Exporter::serving(&[&url, "--config", &config, "--object-limit=10"]);
    let mut seen = Families::new();
    eventually("all but the rarest are served", || {
        for exporter in [&manifests, &cluster] {
            exporter.metrics("");
            seen.extend(served(exporter));
        }
        let rest = page.keys().filter(|name| !seen.contains_key(*name));
        rest.eq(RARE).then_some(())
    });
    seen.retain(|name, kind| page.get(name) != Some(kind));
    assert!(seen.is_empty(), "not on the page, or not so: {seen:?}");
}

#[test]
fn readiness_is_a_metric() {
    let ready = |exporter: &Exporter| {
        let status = exporter.get("/readyz").status;
        (status, exporter.own("kube_state_metrics_ready"))
    };
    let manifests = Exporter::start(&[]);
    assert_eq!(ready(&manifests), (200, Some(1.0)));
    let api = Api::start(&[]);
    api.fail("pods");
    let url = format!("--apiserver={}", api.url);
    let cluster = Exporter::serving(&[&url, "--resources=pods"]);
    assert_eq!(ready(&cluster), (503, Some(0.0)));
}

#[test]
fn scrapes_are_counted_by_format_and_encoding() {
    let exporter = Exporter::start(&[]);
    let text = exporter.metrics("").len();
    let accept = ("accept", "application/openmetrics-text;version=1.0.0");
    let headers = [accept, ("accept-encoding", "gzip")];
    let compressed = get(&exporter.main, "/metrics", &headers).body.len();
    assert!(
        compressed > 1000 && text > 5 * compressed,
        "{compressed} of {text}"
    );
    for (labels, bytes) in [
        ("encoding=\"identity\",format=\"text\"", text),
        ("encoding=\"gzip\",format=\"openmetrics\"", compressed),
    ] {
        let own = |name: &str| exporter.own(&format!("kube_state_metrics_{name}{{{labels}}}"));
        assert_eq!(own("scrapes_total"), Some(1.0), "{labels}");
        assert_eq!(own("scrape_bytes_total"), Some(bytes as f64), "{labels}");
    }
}
