//! Checks that the processing time of an object grows linearly with the size of the object, for many kinds of content.
//!
//! A test measures the CPU time of its thread for a small object, and for an object that is four times as large. A
//! linear algorithm takes four times as long for the larger object. An algorithm that compares all pairs takes 16 times
//! as long.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::{Builder, Limits};
use kube_state_metrics::resource::Scope;
use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::manifests::ManifestSource;
use kube_state_metrics::{BuiltIn, StateMetrics};
use tokio::runtime;
use tokio::sync::Notify;

use super::support::tools::Directory;

/// Maximum ratio of the times for the two objects. A linear algorithm has the ratio 4.
const MAX_RATIO: f64 = 8.0;

/// How often a test measures before it fails.
const ATTEMPTS: usize = 4;

/// The size of the small object.
const SIZE: usize = 8_000;

/// Returns the CPU time of this thread.
fn processor_time() -> Duration {
    // Yields to the scheduler, because the kernel updates the CPU time when it schedules the thread.
    thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Returns the minimum CPU time of several calls of `run`.
fn time(mut run: impl FnMut()) -> f64 {
    let times = (0..3).map(|_| {
        let before = processor_time();
        run();
        (processor_time() - before).as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Panics if the time of `run` grows faster than linearly with the size of its input.
#[track_caller]
fn assert_linear<I>(what: &str, input: impl Fn(usize) -> I, run: impl FnMut(&I)) {
    assert_linear_from(SIZE, what, input, run);
}

/// Does the same as [`assert_linear`], with `size` as the size of the small input.
#[track_caller]
fn assert_linear_from<I>(
    size: usize,
    what: &str,
    input: impl Fn(usize) -> I,
    mut run: impl FnMut(&I),
) {
    let inputs = [size, 4 * size].map(input);
    let mut times = [f64::INFINITY; 2];
    // Other programs can make all runs slow for a short time. So the test measures again before it fails.
    for _ in 0..ATTEMPTS {
        for (best, input) in times.iter_mut().zip(&inputs) {
            *best = best.min(time(|| run(input)));
        }
        if times[1] / times[0] < MAX_RATIO {
            println!("{what}: {times:.4?} s");
            return;
        }
    }
    panic!("{what}: {times:.4?} s");
}

/// Joins `size` texts with `separator`. `part` creates a text from its number, so that the texts can contain different
/// names.
fn each(size: usize, separator: &str, part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0..size {
        let separator = if number > 0 { separator } else { "" };
        let _ = write!(text, "{separator}{}", part(number));
    }
    text
}

fn metrics(resource: BuiltIn, limits: Limits) -> Builder {
    StateMetrics::builder()
        .built_in([resource])
        .allow_labels("*", ["*"])
        .allow_annotations("*", ["*"])
        .opt_in_metrics(["."])
        .limits(limits)
        .all_fed_by_host()
}

fn unlimited() -> Limits {
    Limits::default()
        .samples_per_family(0)
        .labels_per_sample(0)
        .text_per_object(0)
}

/// Panics if the time to apply an object grows faster than linearly with the size of the object.
#[track_caller]
fn assert_object_linear(what: &str, builder: Builder, object: impl Fn(usize) -> String) {
    let metrics = builder.build().unwrap();
    let mut writer = metrics.feeds().remove(0);
    assert_linear(what, object, |json| {
        writer.apply_json(json.as_bytes()).unwrap();
        assert!(metrics.stores()[0].stats().series > 0);
        writer.delete_key("", "a");
    });
}

#[test]
fn labels_and_annotations() {
    for (what, key) in [
        ("labels", "label%"),
        ("labels that collide by twos", "collide"),
        ("labels that all collide", "all"),
    ] {
        let name = |number: usize| match key {
            "collide" => format!("k{}{}", number / 2, ["-a", ".a"][number % 2]),
            // The key consists of dots and dashes. A dot is a bit 0 of `number`, and a dash is a bit 1.
            "all" => format!("{number:017b}").replace('0', ".").replace('1', "-"),
            _ => format!("k{number}"),
        };
        assert_object_linear(what, metrics(BuiltIn::Nodes, unlimited()), |size| {
            let labels = each(size, ",", |number| format!(r#""{}":"v""#, name(number)));
            format!(
                r#"{{"metadata":{{"name":"a","labels":{{{labels}}},"annotations":{{{labels}}}}}}}"#
            )
        });
    }
}

#[test]
fn parts_of_a_pod() {
    let pods = || metrics(BuiltIn::Pods, unlimited());
    assert_object_linear("node selectors", pods(), |size| {
        let selectors = each(size, ",", |number| format!(r#""k{number}":"v""#));
        format!(r#"{{"metadata":{{"name":"a"}},"spec":{{"nodeSelector":{{{selectors}}}}}}}"#)
    });
    assert_object_linear("containers", pods(), |size| {
        let names = each(size, ",", |number| {
            format!(r#"{{"name":"c{number}","image":"i"}}"#)
        });
        let statuses = each(size, ",", |number| {
            format!(
                r#"{{"name":"c{number}","image":"registry/image","imageID":"id-{number}","ready":true}}"#
            )
        });
        format!(
            r#"{{"metadata":{{"name":"a"}},"spec":{{"nodeName":"node-1","containers":[{names}]}},
            "status":{{"containerStatuses":[{statuses}]}}}}"#
        )
    });
    let image = "i".repeat(1000);
    assert_object_linear("containers beside long images", pods(), |size| {
        let names = each(size, ",", |number| {
            format!(r#"{{"name":"c{number}","image":"image"}}"#)
        });
        let statuses = each(size, ",", |number| {
            let image = if number < 31 { &image } else { "" };
            format!(r#"{{"name":"c{number}","image":"{image}{number}","imageID":"id"}}"#)
        });
        format!(
            r#"{{"metadata":{{"name":"a"}},"spec":{{"containers":[{names}]}},
            "status":{{"containerStatuses":[{statuses}]}}}}"#
        )
    });
    assert_object_linear("conditions, addresses, tolerations", pods(), |size| {
        let conditions = each(size, ",", |number| {
            format!(r#"{{"type":"Ready","status":"{number}"}}"#)
        });
        let addresses = each(size, ",", |number| format!(r#"{{"ip":"{number}"}}"#));
        let tolerations = each(size, ",", |number| format!(r#"{{"key":"{number}"}}"#));
        format!(
            r#"{{"metadata":{{"name":"a"}},"spec":{{"tolerations":[{tolerations}]}},
            "status":{{"conditions":[{conditions}],"podIPs":[{addresses}]}}}}"#
        )
    });
}

#[test]
fn products_end_at_the_limit() {
    let endpoints = || metrics(BuiltIn::Endpoints, Limits::default());
    for (what, number) in [("addresses and ports", 1), ("equal addresses and ports", 0)] {
        assert_object_linear(what, endpoints(), |size| {
            let addresses = each(size, ",", |at| format!(r#"{{"ip":"{}"}}"#, at * number));
            let ports = each(size, ",", |at| format!(r#"{{"port":{}}}"#, at * number));
            format!(
                r#"{{"metadata":{{"name":"a"}},"subsets":[{{"addresses":[{addresses}],"ports":[{ports}]}}]}}"#
            )
        });
    }
    let pods = || metrics(BuiltIn::Pods, Limits::default());
    assert_object_linear("containers of one name", pods(), |size| {
        let containers = each(size, ",", |_| String::from(r#"{"name":"c"}"#));
        format!(
            r#"{{"metadata":{{"name":"a"}},"spec":{{"containers":[{containers}]}},
            "status":{{"containerStatuses":[{containers}]}}}}"#
        )
    });
}

#[test]
fn custom_resources_with_labels_from_data() {
    let config = |each: &str| {
        let config = format!(
            "spec:\n  resources:\n  - groupVersionKind: {{ group: acme.dev, version: v1, kind: Widget }}\n    \
             metricNamePrefix: ''\n    labelsFromPath: {{ '*': [metadata, labels], name: [metadata, name] }}\n    \
             metrics:\n    - {{ name: m, help: Help., each: {each} }}\n"
        );
        Config::parse(&config).unwrap()
    };
    let builder = |each: &str, limits: Limits| {
        let kind = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Cluster);
        StateMetrics::builder()
            .custom_resources(&config(each))
            .known_kinds([kind])
            .limits(limits)
            .all_fed_by_host()
    };
    let entries = |size| each(size, ",", |number| format!(r#""k{number}":"1""#));
    // The default limits apply here. Without a limit, there would be a sample for each entry of the map, and each
    // sample would have all entries as labels.
    let product = "{ type: Gauge, gauge: { path: [spec], labelsFromPath: { '*': [] } } }";
    assert_object_linear(
        "entries and labels",
        builder(product, Limits::default()),
        |size| {
            format!(
                r#"{{"metadata":{{"name":"a"}},"spec":{{{}}}}}"#,
                entries(size)
            )
        },
    );
    let info = "{ type: Info, info: { labelsFromPath: { '*': [spec] } } }";
    assert_object_linear("labels from a map", builder(info, unlimited()), |size| {
        let entries = entries(size);
        format!(r#"{{"metadata":{{"name":"a","labels":{{{entries}}}}},"spec":{{{entries}}}}}"#)
    });
    let items = "{ type: Info, info: { path: [spec, items], labelsFromPath: { n: [n] } } }";
    assert_object_linear(
        "items beside labels",
        builder(items, Limits::default()),
        |size| {
            let list = each(size, ",", |number| format!(r#"{{"n":{number}}}"#));
            let entries = entries(size);
            format!(
                r#"{{"metadata":{{"name":"a","labels":{{{entries}}}}},"spec":{{"items":[{list}]}}}}"#
            )
        },
    );
}

#[test]
fn manifests() {
    let directory = Directory::new("linear");
    let path = directory.path().join("a.yaml");
    let read = |text: &String| {
        let metrics = StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .build()
            .unwrap();
        fs::write(&path, text).unwrap();
        ManifestSource::new([&path]).open(&metrics).reload();
    };
    let head = r#""apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"b"}"#;
    for (what, text) in [
        ("keys of JSON", "json"),
        ("keys of YAML", "yaml"),
        ("items of a list", "list"),
        ("objects of JSON", "objects"),
        ("documents of YAML", "documents"),
        ("broken lines of JSON", "broken"),
        ("aliases", "aliases"),
        ("merged maps", "merges"),
        ("brackets", "brackets"),
    ] {
        assert_linear(
            what,
            |size| match text {
                "json" => format!(
                    "{{{head},\"data\":{{{}}}}}",
                    each(size, ",", |number| format!(r#""k{number}":"v""#))
                ),
                "yaml" => format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{}",
                    each(size, "\n", |number| format!("  k{number}: v"))
                ),
                "list" => format!(
                    "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}",
                    each(size, ",", |_| format!("{{{head}}}"))
                ),
                "objects" => each(size, "\n", |_| format!("{{{head}}}")),
                "documents" => each(size, "\n---\n", |number| {
                    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{number}}}")
                }),
                "broken" => each(size, "\n", |_| String::from("{\"a\": {,")),
                "aliases" => format!("a: &a x\nb: [{}]", each(size, ",", |_| String::from("*a"))),
                "merges" => format!(
                    "a: &a {{x: 1}}\nb:\n{}",
                    each(size, "\n", |number| format!("  k{number}: {{<<: *a}}"))
                ),
                _ => "[".repeat(size),
            },
            read,
        );
    }
}

#[test]
fn labels_and_metrics_of_a_configuration() {
    let kind = KnownKind::new("g", "v1", "K", "ks", Scope::Cluster);
    let config = |size| {
        let labels = each(size, ", ", |number| format!("l{number}: [a, f{number}]"));
        let metrics = each(size, ", ", |number| {
            format!(
                "{{name: m{number}, labelsFromPath: {{own: [b]}}, each: {{type: Gauge, gauge: {{path: [c]}}}}}}"
            )
        });
        format!(
            "spec: {{resources: [{{groupVersionKind: {{group: g, version: v1, kind: K}},
            labelsFromPath: {{{labels}}}, commonLabels: {{{}}}, metrics: [{metrics}]}}]}}",
            each(size, ", ", |number| format!("c{number}: v"))
        )
    };
    assert_linear_from(
        300,
        "labels and metrics of a configuration",
        config,
        |text| {
            let config = Config::parse(text).unwrap();
            let collectors = config.collectors(std::slice::from_ref(&kind));
            assert_eq!(
                collectors[0].families().len(),
                config.family_names().count()
            );
        },
    );
}

/// If one wildcard of a configuration selects many kinds, the time must be linear in the number of these kinds.
///
/// The measured time includes the creation of the stores and the start of the watches. It also includes the reports of
/// failed watches in the health and the log.
#[test]
fn entries_and_metrics_of_a_configuration() {
    let entries = |size| {
        let entry = |number: usize| {
            format!(
                "{{groupVersionKind: {{group: g, version: v1, kind: K{}}}}}",
                number / 2
            )
        };
        format!("spec: {{resources: [{}]}}", each(size, ",\n", entry))
    };
    assert_linear_from(1_000, "entries of a configuration", entries, |text| {
        let config = Config::parse(text).unwrap();
        // Each pair of entries selects the same kind. The second entry of the pair replaces the first entry.
        assert!(config.warnings().len() > 400);
    });
    let metrics = |size| {
        let metric = |number| {
            let each = "each: {type: Gauge, gauge: {path: [a]}}";
            format!("{{name: a, help: {number}, {each}}}")
        };
        let metrics = each(size, ",\n", metric);
        format!(
            "spec: {{resources: [{{groupVersionKind: {{group: g, version: v1, kind: K}}, metrics: [{metrics}]}}]}}"
        )
    };
    assert_linear_from(1_000, "metrics with the same name", metrics, |text| {
        assert_eq!(Config::parse(text).unwrap().warnings().len(), 1);
    });
}

#[test]
fn joined_labels() {
    let joins = |size| {
        let join = |number| format!("namespace/a{number},self/b{number}=own{number}");
        let both = |resource| format!("{resource}=[{}]", each(size, ",", join));
        format!("{},{}", both("pods"), both("*"))
    };
    assert_linear_from(1_000, "joined labels of a configuration", joins, |text| {
        let builder = StateMetrics::builder().built_in([BuiltIn::Pods, BuiltIn::Nodes]);
        // The number of joined labels exceeds the limit.
        let built = builder.join_labels(text.parse().unwrap()).build();
        assert_eq!(built.unwrap_err().problems().len(), 2);
    });
}

#[test]
fn kinds_of_a_configuration() {
    const CONFIG: &str =
        "spec: {resources: [{groupVersionKind: {group: g, version: '*', kind: '*'},
        metrics: [{name: a, help: A., each: {type: Gauge, gauge: {path: [spec, a]}}}]}]}";
    let config = Config::parse(CONFIG).unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap();
    let kinds = |size| {
        let kind = |number| {
            let (kind, plural) = (format!("K{number}"), format!("k{number}s"));
            KnownKind::new("g", "v1", kind, plural, Scope::Cluster)
        };
        (0..size).map(kind).collect::<Vec<_>>()
    };
    assert_linear_from(400, "kinds of a configuration", kinds, |kinds| {
        let metrics = StateMetrics::builder()
            .custom_resources(&config)
            .limits(Limits::default().wildcard_kinds(0))
            .build()
            .unwrap();
        let custom = metrics.custom_resources();
        custom.set_known_kinds(kinds.clone()).unwrap();
        // The first kind disappears from the cluster, and all other kinds stay.
        custom.set_known_kinds(kinds[1..].iter().cloned()).unwrap();
        runtime.block_on(async {
            let (asked, all_asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
            let (expected, all) = (kinds.len() - 1, Arc::clone(&all_asked));
            let service = tower::service_fn(move |_| {
                if asked.fetch_add(1, Ordering::Relaxed) + 1 == expected {
                    all.notify_one();
                }
                let response = http::Response::builder().status(404).body(Body::empty());
                async { response }
            });
            let watch = metrics
                .watch(Client::new(service, "default"))
                .build()
                .unwrap();
            let health = watch.health();
            let (running, ready) = (tokio::spawn(watch.run()), health.clone());
            let waiting = tokio::spawn(async move { ready.ready(ReadinessPolicy::Default).await });
            all_asked.notified().await;
            // During this pause, the watches report their failures, and the log collects these failures.
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(health.resources().len(), expected);
            running.abort();
            waiting.abort();
        });
    });
}

#[test]
fn a_filter_with_many_names_takes_as_long_as_a_filter_with_one() {
    let metrics = metrics(BuiltIn::ConfigMaps, unlimited()).build().unwrap();
    let mut writer = metrics.feeds().remove(0);
    for number in 0..2_000 {
        let metadata = format!(r#"{{"namespace":"n","name":"m{number}"}}"#);
        let object = format!(r#"{{"metadata":{metadata}}}"#);
        writer.apply_json(object.as_bytes()).unwrap();
    }
    let [one, many] = [1, 8_000].map(|names| {
        let names: Vec<_> = (0..names).map(|number| format!("x{number}")).collect();
        let filter = ExpositionFilter::default().namespaces(&names);
        let filter = filter.resources(["configmaps".to_owned()].iter().chain(&names));
        time(|| {
            let exposition = metrics.exposition(Format::Text, filter.clone());
            assert_eq!(exposition.to_string(), "");
        })
    });
    println!("one name: {one:.4} s, many names: {many:.4} s");
    // The measured time includes a copy of the filter. With many names, the copy takes longer, so the limit is high.
    assert!(many < 20.0 * one + 0.01, "{one:.4} {many:.4}");
}
