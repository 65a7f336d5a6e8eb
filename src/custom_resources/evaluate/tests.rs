//! Tests which labels of a sample stay if the sample has more labels than the limit allows.

use serde_json::{Value, json};

use super::super::{Config, KnownKind};
use crate::StateMetrics;
use crate::exposition::{ExpositionFilter, Format};
use crate::registry::Limits;
use crate::resource::Scope;

const CONFIG: &str = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: w
    labelsFromPath: { name: [metadata, name], KEY: [metadata, labels] }
    commonLabels: { zone: z }
    metrics:
    - name: cond
      each:
        type: Gauge
        gauge: { path: [conditions], valueFrom: [v], labelsFromPath: { type: [type] } }
    - name: map
      each: { type: Gauge, gauge: { path: [map], labelFromKey: type, labelsFromPath: { 'a*': [own], own: [id] } } }
    - name: phase
      each: { type: StateSet, stateSet: { path: [phase], labelName: phase, list: [On, Off] } }
    - name: info
      commonLabels: { part: x }
      each: { type: Info, info: { path: [conditions], labelsFromPath: { type: [type], '*': [own] } } }
";

/// Returns the samples of an object. Each sample may have `limit` labels, and `key` is the key with `*`.
fn samples(key: &str, limit: usize, object: &Value) -> (Vec<String>, u64) {
    let config = CONFIG.replace("KEY", &format!("'{key}'"));
    let kind = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    let metrics = StateMetrics::builder()
        .built_in([])
        .custom_resources(&Config::parse(&config).unwrap())
        .known_kinds([kind.clone()])
        .limits(Limits::default().labels_per_sample(limit))
        .all_fed_by_host()
        .build()
        .unwrap();
    for mut writer in metrics.feeds_of(kind.resource()).unwrap() {
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
    let all = ExpositionFilter::default();
    let text = metrics.exposition(Format::Text, all).to_string();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let stores = metrics.stores().into_iter();
    let cut = stores.map(|store| store.stats().over_label_limit).sum();
    (lines.map(str::to_owned).collect(), cut)
}

fn object(labels: usize) -> Value {
    let labels = |prefix: &str| -> Value {
        let label = |at| (format!("{prefix}{at}"), json!("v"));
        (0..labels)
            .map(label)
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "metadata": { "name": "n1", "namespace": "ns", "labels": labels("k") },
        "conditions": [
            { "type": "Ready", "v": 1, "own": labels("b") },
            { "type": "Failed", "v": 0, "own": labels("x") },
        ],
        "map": { "one": 1, "own": 2 },
        "phase": "On",
    })
}

#[test]
fn labels_of_wildcards_go_first() {
    for key in ["*", "a_*", "zz_*"] {
        let (whole, cut) = samples(key, 0, &object(2));
        assert_eq!((whole.len(), cut), (8, 0), "{whole:#?}");
        let (lines, cut) = samples(key, 9, &object(20));
        assert_eq!(cut, 4, "one per family");
        assert_eq!(lines.len(), whole.len(), "{lines:#?}");
        let identity = [
            "name=\"n1\"",
            "zone=\"z\"",
            "customresource_group=\"acme.dev\"",
            "customresource_version=\"v1\"",
            "customresource_kind=\"Widget\"",
        ];
        for line in &lines {
            assert!(identity.iter().all(|label| line.contains(label)), "{line}");
            assert_eq!(line.matches("=\"").count(), 9, "{line}");
        }
        let has = |start: &str, label: &str| {
            let found = |line: &&String| line.starts_with(start) && line.contains(label);
            assert_eq!(
                lines.iter().filter(found).count(),
                1,
                "{start} {label} {lines:#?}"
            );
        };
        for state in ["Ready", "Failed"] {
            has("w_cond{", &format!("type=\"{state}\""));
            has("w_info{", &format!("type=\"{state}\""));
        }
        assert!(
            lines
                .iter()
                .filter(|line| line.contains("part=\"x\""))
                .count()
                == 2
        );
        has("w_phase{", "phase=\"On\"");
        has("w_phase{", "phase=\"Off\"");
        has("w_map{", "type=\"one\"");
    }
}

#[test]
fn a_sample_with_as_many_labels_as_the_limit_is_whole() {
    // The family `cond` has six labels without a wildcard.
    for (labels, is_cut) in [(3, 0), (4, 1)] {
        let mut object = object(labels);
        for unused in ["map", "phase"] {
            object[unused] = Value::Null;
        }
        object["conditions"][0]["own"] = Value::Null;
        object["conditions"][1] = Value::Null;
        let (lines, cut) = samples("zz_*", 9, &object);
        let cond: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("w_cond{"))
            .collect();
        assert_eq!(cond.len(), 1, "{lines:#?}");
        for line in cond {
            assert!(line.contains("zz_k2") && !line.contains("zz_k3"), "{line}");
            assert_eq!(line.matches("=\"").count(), 9, "{line}");
        }
        // In the family `info`, each sample has one more label.
        assert_eq!(cut, is_cut + 1);
    }
}
