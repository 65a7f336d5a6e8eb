//! Generates the tables in docs/reference/self-metrics.md from the metrics about the exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use super::api::Api;
use super::dashboards::UNREADABLE;
use super::deploy::assert_golden;
use super::support::{CLUSTER, Directory, Exporter, eventually, eventually_or, get};

/// A value in the last column of the tables. The column states how a program that embeds the library gets the metric.
/// `library`: the program registers the metric with `WatchBuilder::registry`.
const LIBRARY: &str = "library";
/// Another value in the last column of the tables: the program registers the metric with `self_metrics::StoreMetrics`.
const STORES: &str = "stores";
/// Another value in the last column of the tables: only the exporter has the metric.
const NONE: &str = "";

/// Information about a metric in addition to its help text.
struct Note {
    name: &'static str,
    registry: &'static str,
    text: &'static str,
}

const fn note(name: &'static str, registry: &'static str, text: &'static str) -> Note {
    Note {
        name,
        registry,
        text,
    }
}

/// The metrics that kube-state-metrics also has, in the order of the page.
const SHARED: [Note; 22] = [
    note("kube_state_metrics_build_info", NONE, ""),
    note("kube_state_metrics_list_total", LIBRARY, ""),
    note("kube_state_metrics_watch_total", LIBRARY, ""),
    note(
        "kube_state_metrics_list_objects",
        LIBRARY,
        "`--object-limit` sets the limit.",
    ),
    note(
        "kube_state_metrics_list_objects_limit",
        LIBRARY,
        "`--object-limit` sets the limit.",
    ),
    note("kube_state_metrics_shard_ordinal", LIBRARY, ""),
    note("kube_state_metrics_total_shards", LIBRARY, ""),
    note(
        "kube_state_metrics_config_hash",
        NONE,
        "Absent for the web configuration file, whose hash only the landing page shows.",
    ),
    note(
        "kube_state_metrics_last_config_reload_successful",
        NONE,
        "0 means that an older content is in use, also while a change is being applied. Absent if an optional file has been \
         missing since startup. `type` is `config` (options file), `customresourceconfig` or `webconfig`.",
    ),
    note(
        "kube_state_metrics_last_config_reload_success_timestamp_seconds",
        NONE,
        "",
    ),
    note(
        "kube_state_metrics_custom_resource_state_add_events_total",
        STORES,
        "",
    ),
    note(
        "kube_state_metrics_custom_resource_state_update_events_total",
        STORES,
        "",
    ),
    note(
        "kube_state_metrics_custom_resource_state_delete_events_total",
        STORES,
        "",
    ),
    note("kube_state_metrics_custom_resource_state_cache", STORES, ""),
    note("http_request_duration_seconds", NONE, ""),
    note("process_cpu_seconds_total", NONE, ""),
    note("process_max_fds", NONE, ""),
    note("process_open_fds", NONE, ""),
    note("process_resident_memory_bytes", NONE, ""),
    note("process_start_time_seconds", NONE, ""),
    note("process_threads", NONE, ""),
    note("process_virtual_memory_bytes", NONE, ""),
];

/// The metrics that kube-state-metrics does not have, in the order of the page.
const FURTHER: [Note; 47] = [
    note("kube_state_metrics_objects", STORES, ""),
    note("kube_state_metrics_series", STORES, ""),
    note("kube_state_metrics_store_bytes", STORES, ""),
    note(
        "kube_state_metrics_family_bytes",
        STORES,
        "Headers do not count.",
    ),
    note(
        "kube_state_metrics_decode_errors_total",
        STORES,
        "`reason` is `syntax` if the object is neither JSON nor protobuf, and `field` if a field does not fit the \
         kind.",
    ),
    note("kube_state_metrics_stale_events_total", STORES, ""),
    note("kube_state_metrics_duplicate_samples_total", STORES, ""),
    note("kube_state_metrics_generator_panics_total", STORES, ""),
    note(
        "kube_state_metrics_joined_labels_replaced_total",
        STORES,
        "Only with `--join-labels`, in families whose label names come from objects.",
    ),
    note(
        "kube_state_metrics_limit_exceeded_total",
        STORES,
        "The log names the first object.",
    ),
    note(
        "kube_state_metrics_custom_resource_errors_total",
        STORES,
        "",
    ),
    note(
        "kube_state_metrics_repeated_series",
        STORES,
        "This happens, for example, if a configured family has no labels that identify the \
         object. Absent for a family without such samples.",
    ),
    note(
        "kube_state_metrics_custom_resource_kinds_left_out",
        STORES,
        "`--custom-resource-kind-limit` sets the limit; `/readyz?verbose` names the first of these kinds.",
    ),
    note(
        "kube_state_metrics_exhausted_patterns",
        STORES,
        "The log names the patterns.",
    ),
    note("kube_state_metrics_ready", NONE, ""),
    note("kube_state_metrics_synced", LIBRARY, ""),
    note("kube_state_metrics_failing", LIBRARY, ""),
    note("kube_state_metrics_ready_without", LIBRARY, ""),
    note(
        "kube_state_metrics_forbidden_removal_seconds",
        LIBRARY,
        "`--forget-forbidden-after` sets the time.",
    ),
    note("kube_state_metrics_last_event_age_seconds", LIBRARY, ""),
    note(
        "kube_state_metrics_audit_age_seconds",
        LIBRARY,
        "A complete list counts as an audit. Absent if the resource is not audited; `--audit-interval` sets the \
         interval.",
    ),
    note(
        "kube_state_metrics_audit_difference",
        LIBRARY,
        "An object counts only if two comparisons have found the same difference; the log names \
         the objects. Absent if the resource is not audited.",
    ),
    note(
        "kube_state_metrics_unapplied_objects",
        LIBRARY,
        "Does not include the objects of a list in progress.",
    ),
    note(
        "kube_state_metrics_unapplied_age_seconds",
        LIBRARY,
        "The maximum over namespaces. If this time is 10 s or more, `/readyz?verbose` shows the time.",
    ),
    note("kube_state_metrics_audit_relists_total", LIBRARY, ""),
    note("kube_state_metrics_audit_requests_total", LIBRARY, ""),
    note("kube_state_metrics_relists_total", LIBRARY, ""),
    note("kube_state_metrics_events_total", LIBRARY, ""),
    note(
        "kube_state_metrics_responses_total",
        LIBRARY,
        "Only successful responses count.",
    ),
    note("kube_state_metrics_update_latency_seconds", LIBRARY, ""),
    note(
        "kube_state_metrics_oversized_objects_total",
        LIBRARY,
        "`--object-size-limit` sets the limit; the log names the first 20 objects of each watch.",
    ),
    note(
        "kube_state_metrics_feed_buffer_bytes",
        LIBRARY,
        "Feeds are lists and watches; `--feed-buffer-limit` limits their memory.",
    ),
    note("kube_state_metrics_feed_buffer_peak_bytes", LIBRARY, ""),
    note(
        "kube_state_metrics_feed_buffer_waits_total",
        LIBRARY,
        "`--feed-buffer-limit` sets the limit.",
    ),
    note(
        "kube_state_metrics_scrapes_total",
        NONE,
        "The encoding is `identity` or `gzip`.",
    ),
    note("kube_state_metrics_scrape_bytes_total", NONE, ""),
    note("kube_state_metrics_last_scrape_timestamp_seconds", NONE, ""),
    note(
        "kube_state_metrics_http_connections",
        NONE,
        "`server` is `metrics` (main port) or `telemetry`.",
    ),
    note(
        "kube_state_metrics_http_answering",
        NONE,
        "`--max-answers` limits their number.",
    ),
    note("kube_state_metrics_http_connections_cut_total", NONE, ""),
    note("kube_state_metrics_http_accept_failures_total", NONE, ""),
    note(
        "kube_state_metrics_dropped_log_lines_total",
        NONE,
        "Lines of standard output at startup count, too. When the log is read again, a log line reports the number.",
    ),
    note(
        "kube_state_metrics_leader",
        NONE,
        "Both ports serve this metric.",
    ),
    note("kube_state_metrics_leader_transitions_total", NONE, ""),
    note("kube_state_metrics_lease_renewal_age_seconds", NONE, ""),
    note("kube_state_metrics_unconfirmed_scrapes_total", NONE, ""),
    note("kube_state_metrics_manifest_problems", NONE, ""),
];

/// A further family for the configuration [`UNREADABLE`]. For all nodes, the samples of this family have the same
/// labels. So the exporter drops some samples.
const REPEATED: &str = "    - name: created
      each: { type: Gauge, gauge: { path: [metadata, creationTimestamp] } }
";

/// The metadata that a response contains about a metric.
#[derive(Debug, Default, PartialEq)]
struct Served {
    help: String,
    metric_type: String,
    labels: BTreeSet<String>,
}

/// The metrics of several exporters. The key is the name.
type Families = BTreeMap<String, Served>;

/// Adds the metrics that an exporter serves to `families`.
fn add(exporter: &Exporter, families: &mut Families) {
    let text = exporter.telemetry("/metrics").text();
    let mut name = "";
    for line in text.lines() {
        if let Some((own, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|own| own.split_once(' '))
        {
            name = own;
            families.entry(own.to_owned()).or_default().help = help.to_owned();
        } else if let Some((own, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|own| own.split_once(' '))
        {
            families.get_mut(own).unwrap().metric_type = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let family = families.get_mut(name).unwrap();
            // After the split, every second part is a label value, which `step_by` skips.
            let names = labels.split('"').step_by(2);
            let names = names.filter_map(|own| own.trim_start_matches(',').strip_suffix('='));
            let names = names.filter(|own| *own != "le");
            family.labels.extend(names.map(str::to_owned));
        }
    }
}

/// Returns the rows of one table.
fn rows(notes: &[Note], families: &Families) -> String {
    let mut rows = String::new();
    for Note {
        name,
        registry,
        text,
    } in notes
    {
        let Served {
            help,
            metric_type,
            labels,
        } = &families[*name];
        let labels: Vec<_> = labels.iter().map(|own| format!("`{own}`")).collect();
        let cells = [
            format!("`{name}`"),
            metric_type.clone(),
            labels.join(", "),
            format!("{help} {text}").trim().to_owned(),
            (*registry).to_owned(),
        ];
        for cell in cells {
            rows.push('|');
            if !cell.is_empty() {
                rows.push_str(&format!(" {cell}"));
            }
            rows.push(' ');
        }
        rows.push_str("|\n");
    }
    rows
}

/// Returns the text of the page with new rows in its tables. The text outside the tables does not change.
fn with_rows(page: &str, mut tables: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for line in page.lines() {
        if line.starts_with("| `") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line.starts_with("|---") {
            text.push_str(&tables.next().unwrap());
        }
    }
    assert_eq!(tables.next(), None);
    text
}

#[test]
fn the_page_has_every_metric_as_it_is_served() {
    let directory = Directory::new("own-metrics");
    let config = directory.write(
        "config.yaml",
        "resources: {pods: {}, nodes: {}, secrets: {}}\n",
    );
    let custom = directory.write("custom.yaml", &format!("{UNREADABLE}{REPEATED}"));
    let manifests = Exporter::start(&[
        "--manifests",
        CLUSTER,
        "--config",
        &config,
        "--custom-resource-state-config-file",
        &custom,
        "--server-read-header-timeout=300ms",
    ]);
    let api = Api::start(&[]);
    let meta = serde_json::json!({ "name": "a", "namespace": "b", "resourceVersion": "1" });
    let secret = serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta });
    api.put("secrets", secret);
    api.fail("nodes");
    let url = format!("--apiserver={}", api.url);
    let flags = [
        &*url,
        "--config",
        &config,
        "--object-limit=10",
        "--readiness-deadline=1s",
        "--ha",
        "--ha-lease-duration=3s",
    ];
    let cluster = Exporter::serving(&flags);
    // The exporter audits resources only if the number of objects has no limit. So this exporter has no such limit.
    let audited = Exporter::serving(&[&*url, "--resources=pods"]);
    // The API server forbids secrets after the exporter has stored them. The API server never sends a list of nodes.
    eventually("the exporter is ready without nodes", || {
        (cluster.get("/readyz").status == 200).then_some(())
    });
    api.revoke("secrets");
    api.cut();
    // This request is never complete, so the exporter closes the connection.
    let mut slow = TcpStream::connect(&manifests.main).unwrap();
    slow.write_all(b"GET /").unwrap();
    let notes = || SHARED.iter().chain(&FURTHER);
    let mut families = Families::new();
    let missing = |families: &Families| -> Vec<&str> {
        let names = notes().map(|own| own.name);
        names.filter(|name| !families.contains_key(*name)).collect()
    };
    let seen = std::cell::RefCell::new(Vec::new());
    eventually_or(
        "all metrics are served",
        || {
            for exporter in [&manifests, &cluster, &audited] {
                exporter.metrics("");
                add(exporter, &mut families);
            }
            *seen.borrow_mut() = missing(&families);
            seen.borrow().is_empty().then_some(())
        },
        || format!("not served: {:?}", seen.borrow()),
    );
    let known: BTreeSet<_> = notes().map(|own| own.name).collect();
    let unknown: Vec<_> = families
        .keys()
        .filter(|own| !known.contains(&***own))
        .collect();
    assert!(
        unknown.is_empty(),
        "add them to the table of this file: {unknown:?}"
    );

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/self-metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let tables = [&SHARED[..], &FURTHER[..]].map(|notes| rows(notes, &families));
    let expected = with_rows(&page, tables.into_iter());
    assert_golden(&path, &expected);
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
