//! Tests families that have the same name but different help texts or types. The families are in one entry, in entries
//! of several resources, or in Rust code. The crate must accept all these families, and every parser must accept the
//! exposition.

use std::slice::from_ref;

use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::resource::Scope;
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};

use crate::support::exposition::{self, ReadFamily};
use crate::support::reference::assert_reference_reads;

const TYPES: &[&str] = &["Gauge", "Info", "StateSet"];

/// Returns a metric of a configuration, on one line.
fn metric(name: &str, help: &str, metric_type: &str, labels: &str) -> String {
    let block = match metric_type {
        "Gauge" => "gauge: { path: [spec, size] }".to_owned(),
        "Info" => "info: { path: [spec], labelsFromPath: { phase: [phase] } }".to_owned(),
        _ => {
            format!("stateSet: {{ path: [spec, phase], labelName: acme_{name}, list: [On, Off] }}")
        }
    };
    format!(
        "    - {{ name: {name}, help: {help}, commonLabels: {{ {labels} }}, \
         each: {{ type: {metric_type}, {block} }} }}\n"
    )
}

/// Returns an entry of a configuration: a kind with its metrics.
fn entry(kind: &str, metrics: &[String]) -> String {
    format!(
        "  - groupVersionKind: {{ group: acme.dev, version: v1, kind: {kind} }}\n    \
         metricNamePrefix: acme\n    metrics:\n{}",
        metrics.concat()
    )
}

fn config(entries: &[String]) -> Config {
    Config::parse(&format!("spec:\n  resources:\n{}", entries.concat())).unwrap()
}

fn kind(kind: &str, plural: &str) -> KnownKind {
    KnownKind::new("acme.dev", "v1", kind, plural, Scope::Namespaced)
}

/// Returns a registry with families of gadgets, widgets and pods.
fn metrics(config: &Config, builder: Builder) -> StateMetrics {
    let metrics = builder
        .custom_resources(config)
        .known_kinds([kind("Gadget", "gadgets"), kind("Widget", "widgets")])
        .all_fed_by_host()
        .build()
        .unwrap();
    feed(&metrics);
    metrics
}

/// Applies one pod to the store of pods, and two objects to each of the other stores.
fn feed(metrics: &StateMetrics) {
    let objects = ["a", "b"].map(|name| {
        format!(
            r#"{{ "metadata": {{ "name": "{name}", "namespace": "n" }}, "spec": {{ "size": 3,
            "phase": "On", "parts": [{{ "name": "x", "phase": "Off" }},
            {{ "name": "y", "phase": "On" }}] }} }}"#
        )
    });
    let pod = br#"{ "metadata": { "name": "p", "namespace": "n" }, "status": {
        "containerStatuses": [{ "name": "c", "restartCount": 2 }] } }"#;
    for mut writer in metrics.feeds() {
        if writer.resource().plural() == "pods" {
            writer.apply_json(pod).unwrap();
            continue;
        }
        for object in &objects {
            writer.apply_json(object.as_bytes()).unwrap();
        }
    }
}

/// Returns the families of the exposition in both formats. Checks the exposition with the strict parser of the tests,
/// and with the reference parser of OpenMetrics.
fn read(metrics: &StateMetrics) -> [Vec<ReadFamily>; 2] {
    let read = |format| {
        let text = metrics.exposition(format, ExpositionFilter::default());
        let text = text.to_string();
        let families = exposition::read(text.as_bytes(), format);
        (
            families.unwrap_or_else(|error| panic!("{error}\n{text}")),
            text,
        )
    };
    let (text, _) = read(Format::Text);
    let (openmetrics, written) = read(Format::OpenMetrics);
    assert_reference_reads(&written, &openmetrics);
    [text, openmetrics]
}

/// Returns the name, the type and the number of samples of each family.
fn declared(families: &[ReadFamily]) -> Vec<(&str, &str, usize)> {
    let families = families.iter();
    families
        .map(|family| {
            let samples = family.samples.len();
            (family.name.as_str(), family.kind.as_str(), samples)
        })
        .collect()
}

/// Returns the OpenMetrics name and type of a family that is declared twice, with the types `first` and `second`.
fn header<'a>(name: &'a str, first: &str, second: &str) -> (&'a str, &'static str) {
    match (first, second) {
        ("Info", "Info") => (name.strip_suffix("_info").unwrap(), "info"),
        _ => (name, "gauge"),
    }
}

#[test]
fn every_pair_of_types_is_one_family_within_an_entry_and_over_resources() {
    let pairs = TYPES
        .iter()
        .flat_map(|one| TYPES.iter().map(move |other| (one, other)));
    for (first, second) in pairs {
        // Two state sets need no additional label, because their different states already distinguish their series.
        let labels = |labels| match (*first, *second) {
            ("StateSet", "StateSet") => "",
            _ => labels,
        };
        let of_first = metric("thing_info", "First.", first, labels("from: first"));
        let of_second = metric("thing_info", "Second.", second, labels("from: second"));
        let of_second = of_second.replace("[On, Off]", "[Failed, Lost]");
        let samples = |of: &str| if of == "StateSet" { 2 } else { 1 };
        let objects = 2;
        let count = objects * (samples(first) + samples(second));
        let entry = |kind, metrics: &[String]| {
            let named = "acme\n    labelsFromPath: { name: [metadata, name] }\n";
            entry(kind, metrics).replace("acme\n", named)
        };
        for config in [
            config(&[entry("Gadget", &[of_first.clone(), of_second.clone()])]),
            // The help text comes from the first resource in the order of the stores. Here, this resource has the
            // second entry in the file.
            config(&[
                entry("Widget", from_ref(&of_second)),
                entry("Gadget", from_ref(&of_first)),
            ]),
        ] {
            let metrics = metrics(&config, StateMetrics::builder());
            let [text, openmetrics] = read(&metrics);
            assert_eq!(declared(&text), [("acme_thing_info", "gauge", count)]);
            let (name, metric_type) = header("acme_thing_info", first, second);
            assert_eq!(declared(&openmetrics), [(name, metric_type, count)]);
            for family in text.iter().chain(&openmetrics) {
                let names = family.samples.iter().map(|sample| sample.name.as_str());
                assert!(names.eq(vec!["acme_thing_info"; count]), "{first} {second}");
            }
            let text = metrics.exposition(Format::Text, ExpositionFilter::default());
            assert!(
                text.to_string()
                    .starts_with("# HELP acme_thing_info First.\n")
            );
            let warnings = config.warnings().iter();
            let warnings: Vec<_> = (warnings).map(|warning| warning.message.as_str()).collect();
            assert_eq!(warnings.len(), if first == second { 1 } else { 2 });
            assert!(
                warnings.iter().any(|warning| warning
                    .starts_with("the help of the family `acme_thing_info` differs at lines ")),
                "{warnings:?}"
            );
        }
    }
}

#[test]
fn a_counter_beside_another_type_is_untyped() {
    for other in TYPES {
        let counter =
            Family::counter("acme_thing_total", "A counter.").generate(|_: &Pod, s| s.value(7));
        let pods = Collector::<Pod>::new().family(counter);
        let config = config(&[entry(
            "Widget",
            &[metric("thing_total", "Another.", other, "")],
        )]);
        let metrics = metrics(&config, StateMetrics::builder().collector(pods));
        let [text, openmetrics] = read(&metrics);
        let count = if *other == "StateSet" { 3 } else { 2 };
        assert_eq!(declared(&text), [("acme_thing_total", "untyped", count)]);
        assert_eq!(
            declared(&openmetrics),
            [("acme_thing_total", "unknown", count)]
        );
        let warnings = metrics.custom_resources().warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[1]
                .message
                .contains("of pods has a different type; it is written as `untyped`"),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_built_in_family_keeps_its_samples_beside_one_of_a_configuration() {
    let metric = metric(
        "container_status_restarts_total",
        "Of widgets.",
        "Gauge",
        "",
    );
    let entry = entry("Widget", &[metric]).replace("acme\n", "kube_pod\n");
    let pods = StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["restarts_total"]);
    let metrics = metrics(&config(&[entry]), pods);
    let [text, openmetrics] = read(&metrics);
    let name = "kube_pod_container_status_restarts_total";
    assert_eq!(declared(&text), [(name, "untyped", 2)]);
    assert_eq!(declared(&openmetrics), [(name, "unknown", 2)]);
    let lines: Vec<_> = (text[0].samples.iter())
        .map(|sample| sample.line.as_str())
        .collect();
    assert_eq!(
        lines,
        [
            "kube_pod_container_status_restarts_total{customresource_group=\"acme.dev\",\
             customresource_kind=\"Widget\",customresource_version=\"v1\"} 3",
            "kube_pod_container_status_restarts_total{namespace=\"n\",pod=\"p\",uid=\"\",\
             container=\"c\"} 2",
        ]
    );
}

#[test]
fn equal_series_of_families_that_differ_appear_once() {
    let same = "customresource_kind: Any";
    let of_gadgets = metric("size", "First.", "Gauge", same);
    let of_widgets = metric("size", "Second.", "Gauge", same);
    let config = config(&[
        entry("Gadget", &[of_gadgets]),
        entry("Widget", &[of_widgets]),
    ]);
    let [text, openmetrics] = read(&metrics(&config, StateMetrics::builder()));
    assert_eq!(declared(&text), [("acme_size", "gauge", 1)]);
    assert_eq!(declared(&openmetrics), [("acme_size", "gauge", 1)]);
}

#[test]
fn equal_series_before_and_behind_a_family_in_rust_appear_once() {
    let metric = metric(
        "size",
        "A size.",
        "Gauge",
        "customresource_kind: Any, customresource_group: any.dev",
    );
    let [of_gadgets, of_widgets] = ["Gadget", "Widget"].map(|kind| entry(kind, from_ref(&metric)));
    // Stores are in the order of their names: gadgets, pods, widgets.
    let config = config(&[of_gadgets, of_widgets.replace("acme.dev", "zoo.dev")]);
    let size = Family::gauge("acme_size", "A size.").generate(|_: &Pod, s| s.value(7));
    let metrics = StateMetrics::builder()
        .collector(Collector::<Pod>::new().family(size))
        .custom_resources(&config)
        .known_kinds([
            kind("Gadget", "gadgets"),
            KnownKind::new("zoo.dev", "v1", "Widget", "widgets", Scope::Namespaced),
        ])
        .all_fed_by_host()
        .build()
        .unwrap();
    feed(&metrics);
    let [text, _] = read(&metrics);
    let values: Vec<_> = (text[0].samples.iter())
        .map(|sample| sample.value)
        .collect();
    assert_eq!(values, [3.0, 7.0]);
}

/// The samples of a family are in the order of their labels. In a state set, samples that differ only in the label of
/// the state must be adjacent. Otherwise, the type of the family must be `gauge`.
#[test]
fn a_state_set_is_declared_only_if_its_groups_stay_together() {
    let state_set = |states: &str, label: &str, constant: &str| {
        format!(
            "    - {{ name: phase, help: A phase., labelsFromPath: {{ name: [metadata, name] }}, \
             commonLabels: {{ {constant} }}, each: {{ type: StateSet, stateSet: {{ \
             path: [spec, parts], valueFrom: [phase], labelName: acme_phase, list: [{states}], \
             labelsFromPath: {{ {label}: [name] }} }} }} }}\n"
        )
    };
    let one = |label: &str| entry("Widget", &[state_set("On, Off", label, "")]);
    let same = "customresource_kind: Any";
    let [on, failed] = ["On, Off", "Failed"].map(|states| state_set(states, "aa", same));
    for (entries, metric_type, count) in [
        (vec![one("aa")], "stateset", 8),
        (vec![one("part")], "gauge", 8),
        (vec![one("'*'")], "gauge", 4),
        (
            vec![entry("Widget", &[on.clone(), failed.clone()])],
            "gauge",
            12,
        ),
        (
            vec![entry("Gadget", &[on]), entry("Widget", &[failed])],
            "gauge",
            12,
        ),
    ] {
        let [_, openmetrics] = read(&metrics(&config(&entries), StateMetrics::builder()));
        let expected = [("acme_phase", metric_type, count)];
        assert_eq!(declared(&openmetrics), expected, "{entries:?}");
    }
}

#[test]
fn a_built_in_counter_keeps_its_openmetrics_name_beside_a_configured_family() {
    let counter = "kube_pod_container_status_restarts";
    for (name, metric_type, expected, warning) in [
        (
            "container_status_restarts_info",
            "Info",
            [
                ("kube_pod_container_status_restarts_info", "gauge", 1),
                (counter, "counter", 1),
            ],
            "so `kube_pod_container_status_restarts_info` has the type `gauge` there",
        ),
        // The configured gauge has the name that the built-in counter needs in OpenMetrics. The crate does not rename
        // samples, so the counter keeps its suffix `_total` and gets the type `unknown`.
        (
            "container_status_restarts",
            "Gauge",
            [
                (counter, "gauge", 1),
                ("kube_pod_container_status_restarts_total", "unknown", 1),
            ],
            "of pods needs the name `kube_pod_container_status_restarts` in OpenMetrics",
        ),
    ] {
        let entry = entry("Widget", &[metric(name, "Of widgets.", metric_type, "")]);
        let config = config(&[entry.replace("acme\n", "kube_pod\n")]);
        let pods = |allowed: &str| {
            let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
            metrics(&config, builder.allow_metrics([allowed]))
        };
        let metrics = pods("status_restarts");
        let [_, openmetrics] = read(&metrics);
        assert_eq!(declared(&openmetrics), expected);
        let warnings = metrics.custom_resources().warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains(warning), "{warnings:?}");
        // The filter excludes one of the two families, so their names do not conflict.
        let warnings = pods("status_restarts_total").custom_resources().warnings();
        assert_eq!(warnings, []);
    }
}

#[test]
fn two_families_never_have_one_name_in_openmetrics() {
    let family = |name, metric_type: &str| {
        let family = match metric_type {
            "counter" => Family::counter(name, "A counter."),
            _ => Family::gauge(name, "A gauge."),
        };
        family.generate(|_: &Pod, s| s.value(1))
    };
    let pods = Collector::<Pod>::new().families([
        family("acme_thing_total", "counter"),
        family("acme_other_total", "counter"),
        family("acme_other_created", "gauge"),
    ]);
    let metrics_of_widgets =
        ["thing_info", "other_created_info"].map(|name| metric(name, "A widget.", "Info", ""));
    let config = config(&[entry("Widget", &metrics_of_widgets)]);
    let metrics = metrics(&config, StateMetrics::builder().collector(pods));
    let [_, openmetrics] = read(&metrics);
    assert_eq!(
        declared(&openmetrics),
        [
            ("acme_thing_info", "gauge", 1),
            ("acme_other_created_info", "gauge", 1),
            ("acme_thing", "counter", 1),
            ("acme_other_total", "unknown", 1),
            ("acme_other_created", "gauge", 1),
        ]
    );
}

/// After the type of a family changes, the cache of compressed blocks must not return a header with the previous type.
#[cfg(feature = "gzip")]
#[test]
fn a_kind_that_comes_later_changes_the_type_in_compressed_scrapes_too() {
    use std::io::Read as _;

    use kube_state_metrics::exposition::Encoding;

    let of_gadgets = metric("thing_info", "First.", "Gauge", "");
    let of_widgets = metric("thing_info", "Second.", "Info", "");
    let config = config(&[
        entry("Gadget", &[of_gadgets]),
        entry("Widget", &[of_widgets]),
    ]);
    let metrics = StateMetrics::builder()
        .custom_resources(&config)
        .known_kinds([kind("Widget", "widgets")])
        .all_fed_by_host()
        .build()
        .unwrap();
    feed(&metrics);
    let scrape = || {
        let exposition = || metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
        let mut compressed = Vec::new();
        for piece in exposition().encoded(Encoding::Gzip) {
            compressed.extend_from_slice(&piece);
        }
        let mut text = String::new();
        let mut reader = flate2::read::GzDecoder::new(&compressed[..]);
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, exposition().to_string());
        text
    };
    assert!(scrape().starts_with("# HELP acme_thing Second.\n# TYPE acme_thing info\n"));
    let kinds = [kind("Gadget", "gadgets"), kind("Widget", "widgets")];
    metrics.custom_resources().set_known_kinds(kinds).unwrap();
    // There are no gadgets yet, but the store of gadgets is the first store. Therefore, the family already has the help
    // text that is declared for gadgets.
    assert!(scrape().starts_with("# HELP acme_thing_info First.\n# TYPE acme_thing_info gauge\n"));
    feed(&metrics);
    let families = exposition::read(scrape().as_bytes(), Format::OpenMetrics).unwrap();
    assert_eq!(declared(&families), [("acme_thing_info", "gauge", 2)]);
}
