//! Tests configurations of families for custom resources: their errors and warnings, and the samples in the exposition.

use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::exposition::{ExpositionFilter, Format};
use crate::family::FamilyDescriptor;
use crate::registry::check::{check, check_as};
use crate::registry::{Limits, ResourceChanges};
use crate::resource::{ResourceInfo, Scope};
use crate::store::AnyStore;
use crate::{BuiltIn, StateMetrics};

const CONFIG: &str = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: '*', kind: '*' }
    metricNamePrefix: acme
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
";

fn widget(version: &str) -> KnownKind {
    KnownKind::new("acme.dev", version, "Widget", "widgets", Scope::Namespaced)
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["kube_pod_info", "acme_", "label_"])
        .custom_resources(&Config::parse(CONFIG).unwrap())
        .all_fed_by_host()
        .build()
        .unwrap()
}

fn feed(metrics: &StateMetrics, kind: &KnownKind, size: u32) {
    for mut writer in metrics.feeds_of(kind.resource()).unwrap() {
        let object =
            json!({ "metadata": { "name": "a", "namespace": "n" }, "spec": { "size": size } });
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
}

fn text(metrics: &StateMetrics, selection: ExpositionFilter) -> String {
    metrics.exposition(Format::Text, selection).to_string()
}

fn problems(config: &str) -> Vec<String> {
    let error = Config::parse(config).unwrap_err();
    error.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let config = "\
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    labelsFromPath:
      a: [x, '[0]']
    metrics:
    - name: size of it
      each:
        type: Gauge
        gauge:
          path: text
          labelFromKey: a-b
    - name: phase
      errorLogV: much
      each: { type: Counter }
  - groupVersionKind: { group: other.dev }
    metrics:
    - { name: size, each: { type: Info } }
";
    let of = |metric: &str| format!(" (metric {metric} of acme.dev/v1 Widget)");
    let expected = [
        format!(
            "line 5: spec.resources[0].labelsFromPath.a[1]: `[0]` is not valid: brackets must \
             contain `key=value`; write an index without brackets{}",
            " (resource acme.dev/v1 Widget)"
        ),
        format!(
            "line 7: spec.resources[0].metrics[0].name: `kube_customresource_size of it` is not a \
             metric name; use letters, digits, `_` and `:`; the first character must not be a digit{}",
            of("size of it")
        ),
        format!(
            "line 11: spec.resources[0].metrics[0].each.gauge.path: expected a list, found a string \
             or a number{}",
            of("size of it")
        ),
        format!(
            "line 12: spec.resources[0].metrics[0].each.gauge.labelFromKey: `a-b` is not a label \
             name; use letters, digits and `_`; the first character must not be a digit{}",
            of("size of it")
        ),
        format!(
            "line 14: spec.resources[0].metrics[1].errorLogV: expected an integer of 32 bits, \
             found a string or a number{}",
            of("phase")
        ),
        format!(
            "line 15: spec.resources[0].metrics[1].each.type: `Counter` is not a type; use \
             Gauge, StateSet or Info{}",
            of("phase")
        ),
        "line 18: spec.resources[1].metrics[0].each.info: the type is info, but the block `info` \
         is missing (metric size of other.dev/* *)"
            .to_owned(),
    ];
    assert_eq!(problems(config), expected);
}

/// Returns an entry for widgets. Its metrics are `metrics`, one on each line.
fn of_widgets(metrics: &[&str]) -> String {
    let head =
        "spec:\n  resources:\n  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }";
    let metrics: Vec<_> = metrics.iter().map(|own| format!("    - {own}\n")).collect();
    format!("{head}\n    metrics:\n{}", metrics.concat())
}

#[test]
fn one_error_does_not_hide_another() {
    let config = of_widgets(&[
        "{ name: a, each: { type: Gauge, gauge: { path: [null, '[]', x, '[1]'] } } }",
        "{ name: b, each: { type: Counter, gauge: { labelFromKey: 9x, valueFrom: ['[1]'] } } }",
        "{ name: c, each: { type: Gauge, gauge: { path: [x], forEach: '((' } } }",
        "{ name: d, each: { type: Gauge, gauge: { <<: { path: [x] }, <<: { path: [y] } } } }",
        "{ name: e, each: { type: Gauge, gauge: { labelFromKey: __name__ } } }",
    ]);
    let found: Vec<_> = (problems(&config).into_iter())
        .map(|problem| {
            let (place, _) = problem.split_once(": `").unwrap_or((&problem, ""));
            place.replace("spec.resources[0].metrics", "")
        })
        .collect();
    let expected = [
        "line 5: [0].each.gauge.path[1]",
        "line 5: [0].each.gauge.path[3]",
        "line 6: [1].each.type",
        "line 6: [1].each.gauge.labelFromKey",
        "line 6: [1].each.gauge.valueFrom[0]",
        "line 7: [2].each.gauge.forEach",
        "line 7: [2].each.gauge.path",
        "line 8: [3].each.gauge",
        "line 9: [4].each.gauge.labelFromKey",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} {expected}");
    }
}

#[test]
fn warnings_come_along_with_errors() {
    let config = of_widgets(&["{ name: a, each: { type: stateset, stateset: {} } }"]);
    let report = check(&config, []);
    assert_eq!(report.errors.len(), 1);
    assert!(report.warnings[0].path.ends_with("each.stateset"));
}

#[test]
fn families_of_one_name_that_differ_are_one_warning_each() {
    let config = of_widgets(&[
        "{ name: a, help: One., each: { type: Gauge, gauge: {} } }",
        "{ name: a, help: Two., each: { type: Gauge, gauge: {} } }",
        "{ name: a, help: One., each: { type: StateSet, stateSet: { labelName: b } } }",
        "{ name: a, help: Three., each: { type: Gauge, gauge: {} } }",
    ]);
    let config = Config::parse(&config).unwrap();
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    let of = "(metric kube_customresource_a of acme.dev/v1 Widget)";
    assert_eq!(
        warnings,
        [
            format!(
                "line 6: spec.resources[0].metrics[1]: the help of the family \
                 `kube_customresource_a` differs at lines 5, 6 and 8; the exposition shows the \
                 help of line 5 {of}"
            ),
            format!(
                "line 7: spec.resources[0].metrics[2]: the type of the family \
                 `kube_customresource_a` differs at lines 5 and 7; it is written as `gauge` {of}"
            ),
        ]
    );
}

/// A document repeats a long key or name in each of its problems.
#[test]
fn long_keys_and_names_do_not_make_messages_long() {
    let long = "x".repeat(100_000);
    let metric = format!(
        "{{ name: b, ? {long} : 1, labelsFromPath: {{ ? '{long}' : [[], [], '[{long}]'] }}, \
         commonLabels: {{ ? '-{long}' : a }}, each: {{ type: '{long}', gauge: {{}} }} }}"
    );
    let config = of_widgets(&[
        metric.as_str(),
        &format!("{{ name: '{long}', each: {{ type: Gauge, gauge: {{}} }} }}"),
    ]);
    let config = config
        .replace("acme.dev", &long)
        .replace("Widget", &format!("W{long}"));
    let error = Config::parse(&config).unwrap_err();
    let problems: Vec<_> = error.problems().iter().chain(error.warnings()).collect();
    assert!(problems.len() > 4, "{error}");
    for problem in problems {
        assert!(
            problem.to_string().len() < 3_000,
            "{}",
            problem.to_string().len()
        );
    }
    let ends = error.warnings()[0].path.ends_with("x... (100000 bytes)");
    assert!(ends, "{}", error.warnings()[0]);
}

#[test]
fn a_second_document_with_content_causes_a_warning() {
    let config = of_widgets(&["{ name: a, each: { type: Gauge, gauge: {} } }"]);
    for ending in [
        "---",
        "---\n",
        "---\n# nothing\n",
        "...\n",
        "---\n---\n",
        "---\nnull\n",
    ] {
        let parsed = Config::parse(&format!("---\n{config}{ending}"));
        assert_eq!(parsed.unwrap().family_names().count(), 1, "{ending}");
    }
    for second in [&*config, "a\n", "{}\n", "[\n"] {
        let parsed = Config::parse(&format!("{config}---\n# more\n{second}")).unwrap();
        assert_eq!(parsed.family_names().count(), 1);
        let [warning] = parsed.warnings() else {
            panic!("{:?}", parsed.warnings())
        };
        let text = warning.to_string();
        assert!(text.contains("a second YAML document"), "{text}");
    }
    let parsed = Config::parse(&format!("---\n---\n{config}")).unwrap();
    assert_eq!(
        (parsed.family_names().count(), parsed.warnings().len()),
        (0, 2)
    );
}

#[test]
fn a_note_about_a_state_does_not_show_a_secret() {
    let notes = |kind: &str, path: &str, object: Value| {
        let config = format!(
            "spec:\n  resources:\n  - groupVersionKind: {kind}\n    labelsFromPath: {{ name: [metadata, name] }}\n    \
             metrics:\n    - {{ name: a, each: {{ type: StateSet, stateSet: {{ labelName: s, list: [a], {path} }} }} }}\n"
        );
        check(&config, [object]).notes
    };
    let widget = "{ group: acme.dev, version: v1, kind: Widget }";
    let object = |fields: Value| {
        let mut object =
            json!({ "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": "w" } });
        object["spec"] = fields;
        object
    };
    let shown = notes(
        widget,
        "path: [spec, phase]",
        object(json!({ "phase": "hunter2" })),
    );
    assert_eq!(
        shown,
        ["kube_customresource_a: w: `hunter2` is not in `list`, so all samples are 0"]
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "w" }, "data": { "phase": "hunter2" },
    });
    let passwords =
        || object(json!({ "db-Password": "hunter2", "list": [{ "api_key": "hunter2" }] }));
    for found in [
        notes(
            "{ version: v1, kind: Secret }",
            "path: [data, phase]",
            secret,
        ),
        notes(widget, "path: [spec, db-Password]", passwords()),
        notes(
            widget,
            "path: [spec, list], valueFrom: [api_key]",
            passwords(),
        ),
    ] {
        let hidden = "kube_customresource_a: w: the state is not in `list`, so all samples are 0; the state is hidden, \
                      because it may be secret";
        assert_eq!(found, [hidden]);
    }
}

#[test]
fn only_the_families_that_have_errors_can_be_left_out() {
    let metrics = of_widgets(&[
        "{ name: a, each: { type: Gauge, gauge: { path: [spec, size] } } }",
        "{ name: a b, each: { type: Gauge, gauge: { path: [spec, size] } } }",
        "{ name: c, each: { type: Counter } }",
        "{ name: d, each: { type: Gauge, gauge: { path: text } } }",
        "{ name: e, commonLabels: { a-b: x }, each: { type: Gauge, gauge: {} } }",
    ]);
    let config = format!(
        "{metrics}  - groupVersionKind: {{ group: other.dev, version: v1, kind: Other }}\n    \
         labelsFromPath: {{ a: ['[0]'] }}\n    metrics:\n    \
         - {{ name: f, each: {{ type: Gauge, gauge: {{}} }} }}\n"
    );
    assert!(Config::parse(&config).is_err());
    let config = Config::parse_valid_families(&config).unwrap();
    assert!(config.family_names().eq(["kube_customresource_a"]));
    let warnings: Vec<_> = (config.warnings().iter())
        .map(|warning| (warning.line, warning.message.rsplit("; ").next().unwrap()))
        .collect();
    let of_family = "the family is left out";
    let of_resource = "the families of the resource are left out";
    assert_eq!(
        warnings,
        [
            (6, of_family),
            (7, of_family),
            (8, of_family),
            (9, of_family),
            (11, of_resource),
        ]
    );
    for whole in ["spec: { resources: 1 }", "spec: [", "# nothing"] {
        assert!(Config::parse_valid_families(whole).is_err(), "{whole}");
    }
}

/// An entry without a readable kind would select all kinds, and so replace the other entries.
/// A document can have millions of problems. All of them together would need much more memory than the document.
#[test]
fn only_the_first_problems_of_a_document_are_described_and_the_others_are_counted() {
    let many = "{},".repeat(5_000);
    let path = format!("{{ name: a, each: {{ type: Gauge, gauge: {{ path: [{many} b] }} }} }}");
    let keys: String = (0..5_000).map(|key| format!("    x{key}:\n")).collect();
    let text = of_widgets(&[&path]).replace("    metrics:", &format!("{keys}    metrics:"));
    for parse in [Config::parse, Config::parse_valid_families] {
        let error = parse(&text).unwrap_err();
        for problems in [error.problems(), error.warnings()] {
            assert_eq!(problems.len(), 1_001);
            let count: usize = problems.iter().map(ConfigProblem::count).sum();
            assert_eq!(count, 5_000);
        }
        let last = error.problems().last().unwrap().to_string();
        assert!(last.starts_with("there are 4000 more problems"), "{last}");
    }
}

#[test]
fn an_entry_whose_types_cannot_be_read_is_left_out_whole() {
    let of_widgets = of_widgets(&["{ name: a, each: { type: Gauge, gauge: {} } }"]);
    for entry in [
        "{ groupVersionKind: { group: acme.dev, version: v1, kind: [Gadget] } }",
        "{ groupVersionKind: { group: acme.dev, version: [v1], kind: [Widget] } }",
        "{ groupVersionKind: { group: acme.dev, version: v1, kind: Widget, kind: Gadget } }",
        "{ groupVersionKind: [acme.dev, v1, Gadget] }",
        "{ groupVersionKind: { group: acme.dev }, groupVersionKind: { kind: Gadget } }",
        "acme.dev/v1 Gadget",
    ] {
        let config = format!("{of_widgets}  - {entry}\n");
        let errors = Config::parse(&config).unwrap_err().problems().len();
        let config = Config::parse_valid_families(&config).unwrap();
        let collectors = config.collectors(&[widget("v1")]);
        let families: Vec<_> = (collectors.iter())
            .flat_map(CustomResourceCollector::families)
            .map(FamilyDescriptor::name)
            .collect();
        assert_eq!(families, ["kube_customresource_a"], "{entry}");
        let has_words = |words: &str| {
            let warnings = config.warnings().iter();
            warnings
                .filter(|warning| warning.message.contains(words))
                .count()
        };
        assert_eq!(has_words("; the entry is left out"), errors, "{entry}");
        assert_eq!(has_words("replaces this entry"), 0, "{entry}");
    }
}

#[test]
fn entries_without_effect_do_not_differ_from_families_in_rust() {
    let metric = "{ name: pod_info, help: Another., each: { type: Gauge, gauge: {} } }";
    let replaced =
        of_widgets(&[metric]).replace("metrics:", "metricNamePrefix: kube\n    metrics:");
    let config = format!(
        "{replaced}  - groupVersionKind: {{ group: acme.dev }}\n  \
         - groupVersionKind: {{ group: '*' }}\n    metricNamePrefix: kube\n    metrics:\n    - {metric}\n"
    );
    let warnings_of = |config: &str| {
        let config = Config::parse(config).unwrap();
        let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
        let metrics = builder.custom_resources(&config).build().unwrap();
        metrics.custom_resources().warnings().len()
    };
    assert_eq!(warnings_of(&replaced), 1, "another help");
    assert_eq!(warnings_of(&config), 0);
    let report = check(&config, []);
    let differs = |warning: &ConfigProblem| warning.message.contains("of pods has another");
    assert!(
        !report.warnings.iter().any(differs),
        "{:?}",
        report.warnings
    );
}

#[test]
fn entries_that_do_little_or_nothing_are_warned_about() {
    for (config, words) in [
        ("kind: Foo", "there is no `spec`"),
        (
            "spec: { resources: [{ groupVersionKind: { version: v1, kind: Widget } }] }",
            "there is no built-in type v1 Widget",
        ),
        (
            "spec: { resources: [{ groupVersionKind: { group: a, version: v1 } }, \
             { groupVersionKind: { group: a, kind: B } }] }",
            "selects some of the same types",
        ),
        (
            "spec: { resources: [{ groupVersionKind: { group: a, version: v1 } }, \
             { groupVersionKind: { group: a } }] }",
            "has no effect",
        ),
    ] {
        let config = Config::parse(config).unwrap();
        let warnings = config.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains(words), "{}", warnings[0]);
    }
    let apart = "spec: { resources: [{ groupVersionKind: { group: a, version: v1 } }, \
         { groupVersionKind: { group: a, version: v2 } }, \
         { groupVersionKind: { version: v1, kind: Pod } }] }";
    assert!(Config::parse(apart).unwrap().warnings().is_empty());
}

#[test]
fn merged_maps_that_merge_others_are_limited() {
    let mut text = String::from("m0: &m0 { path: [spec] }\n");
    for depth in 1..9 {
        let all = vec![format!("*m{}", depth - 1); 10].join(", ");
        text += &format!("m{depth}: &m{depth} {{ <<: [{all}] }}\n");
    }
    text += "spec: { resources: [{ metrics: [{ each: { gauge: *m8 } }] }] }";
    let problems = problems(&text);
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("maps are merged")),
        "{problems:?}"
    );
    // After the limit on merges (YAML `<<`) is reached, no maps are merged at any position. So the only problem is the
    // exceeded limit.
    let error = Config::parse_valid_families(&text).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
}

#[test]
fn aliases_do_not_multiply_a_configuration() {
    let list = |item: &dyn Fn(usize) -> String| (0..1_000).map(item).collect::<Vec<_>>().join(", ");
    let labels = list(&|number| format!("l{number}: [a]"));
    let metrics = list(&|number| {
        format!("{{ name: m{number}, labelsFromPath: *l, each: {{ type: Info, info: {{}} }} }}")
    });
    let of_labels =
        format!("l: &l {{ {labels} }}\nspec: {{ resources: [{{ metrics: [{metrics}] }}] }}");
    let metrics = list(&|number| format!("{{ name: m{number}, help: *h }}"));
    let help = "h".repeat(100_000);
    let of_texts = format!("h: &h {help}\nspec: {{ resources: [{{ metrics: [{metrics}] }}] }}");
    for text in [of_labels, of_texts] {
        let error = Config::parse_valid_families(&text).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        let expected = "aliases make the configuration much larger than its text";
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn labels_of_a_resource_are_shared_and_labels_of_a_metric_replace_them() {
    let config = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: acme
    commonLabels: { c: resource, d: resource, customresource_kind: resource }
    labelsFromPath: { a: [spec, a], b: [spec, b], c: [spec, c] }
    metrics:
    - { name: plain, each: { type: Gauge, gauge: { path: [spec, size] } } }
    - name: own
      commonLabels: { b: metric, c: metric, e: metric, customresource_version: metric }
      labelsFromPath: { a: [spec, other], b: [spec, none], d: [spec, b] }
      each: { type: Gauge, gauge: { path: [spec, size] } }
    - name: star
      labelsFromPath: { '*': [spec, map], a: [spec, other] }
      each: { type: Gauge, gauge: { path: [spec, size] } }
";
    let object = json!({ "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": "w" },
        "spec": { "size": 1, "a": "A", "b": "B", "other": "O", "map": { "b": "M", "x": "X" } } });
    let report = check(config, [object]);
    let samples: Vec<_> = (report.exposition.lines())
        .filter(|line| !line.starts_with('#'))
        .collect();
    let of_kind = "customresource_group=\"acme.dev\",customresource_kind=\"Widget\"";
    let expected = [
        format!(
            "acme_plain{{a=\"A\",b=\"B\",c=\"resource\",{of_kind},customresource_version=\"v1\",d=\"resource\"}} 1"
        ),
        format!(
            "acme_own{{a=\"O\",b=\"metric\",c=\"metric\",{of_kind},customresource_version=\"metric\",d=\"B\",\
             e=\"metric\"}} 1"
        ),
        format!(
            "acme_star{{a=\"O\",b=\"B\",c=\"resource\",{of_kind},customresource_version=\"v1\",d=\"resource\",\
             x=\"X\"}} 1"
        ),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn many_metrics_share_the_labels_of_their_resource() {
    let config = |labels: usize, metrics: usize| {
        let labels: Vec<_> = (0..labels)
            .map(|at| format!("l{at}: [spec, f{at}]"))
            .collect();
        let metrics: Vec<_> = (0..metrics)
            .map(|at| format!("{{ name: m{at}, each: {{ type: Gauge, gauge: {{ path: [x] }} }} }}"))
            .collect();
        let config = format!(
            "spec: {{ resources: [{{ groupVersionKind: {{ group: g, version: v1, kind: K }}, \
             labelsFromPath: {{ {} }}, metrics: [{}] }}] }}",
            labels.join(", "),
            metrics.join(", ")
        );
        Config::parse(&config).unwrap()
    };
    let kind = KnownKind::new("g", "v1", "K", "ks", Scope::Cluster);
    let collectors = config(1_000, 100).collectors(&[kind]);
    for family in collectors[0].families() {
        let reads: Vec<_> = family.reads().unwrap().collect();
        assert_eq!(reads, ["spec", "x"], "the fields around many fields");
    }
}

#[test]
fn a_long_prefix_is_not_copied_into_each_metric() {
    let config = of_widgets(&["{ name: a, each: { type: Info, info: { path: [spec] } } }"]);
    let prefix = format!("metricNamePrefix: {}\n    metrics:", "p".repeat(1_000));
    let problems = problems(&config.replace("metrics:", &prefix));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("longer than 1000 bytes"),
        "{problems:?}"
    );
}

#[test]
fn a_wildcard_is_about_custom_resources_and_a_built_in_type_is_named_whole() {
    let deployments = KnownKind::built_in();
    let deployments = deployments
        .iter()
        .find(|own| own.is("apps", "v1", "Deployment"));
    let others = KnownKind::new("apps", "v1", "Widget", "widgets", Scope::Namespaced);
    let concerns = |gvk: &str, kind: &KnownKind| {
        let config = format!("spec: {{ resources: [{{ groupVersionKind: {{ {gvk} }} }}] }}");
        Config::parse(&config).unwrap().concerns(kind)
    };
    for gvk in [
        "group: apps",
        "group: apps, version: v1",
        "group: apps, kind: '*'",
    ] {
        assert!(!concerns(gvk, deployments.unwrap()), "{gvk}");
        assert!(concerns(gvk, &others), "{gvk}");
    }
    let exact = "group: apps, version: v1, kind: Deployment";
    assert!(concerns(exact, deployments.unwrap()));
}

#[test]
fn names_numbers_and_types_are_what_every_parser_takes() {
    let config = of_widgets(&[
        "{ name: a, each: { type: Gauge, gauge: { path: [spec, x], labelsFromPath: { '*': [m] } } } }",
        "{ name: s, each: { type: StateSet, stateSet: { path: [spec, s], labelName: \
           kube_customresource_s, list: [on] } } }",
        "{ name: s, each: { type: StateSet, stateSet: { path: [spec, s], labelName: q, list: [on] } } }",
    ]);
    let object = r#"{ "apiVersion": "acme.dev/v1", "kind": "Widget",
        "spec": { "x": [99.99999999999999], "s": "on" } }"#;
    let mut object: serde_json::Value = serde_json::from_str(object).unwrap();
    let item = json!({ "m": { "__name__": "c" } });
    let x = object["spec"]["x"][0].clone();
    let report = check_as(Format::OpenMetrics, &config, [object.clone()]);
    assert!(
        report
            .exposition
            .contains("# TYPE kube_customresource_s gauge\n")
    );
    object["spec"]["x"] = item;
    object["spec"]["x"]["v"] = x;
    let config = of_widgets(&[
        "{ name: a, each: { type: Gauge, gauge: { path: [spec, x], valueFrom: [v], \
           labelsFromPath: { '*': [m] } } } }",
    ]);
    let report = check(&config, [object]);
    let sample = report.exposition.lines().last().unwrap();
    assert!(sample.contains("{___name__=\"c\""), "{sample}");
    assert!(sample.ends_with(" 99.99999999999999"), "{sample}");
}

#[test]
fn samples_without_labels_of_their_own_are_counted_as_repeated() {
    let config =
        of_widgets(&["{ name: a, each: { type: Gauge, gauge: { path: [spec, sizes] } } }"]);
    let object = |sizes: serde_json::Value| json!({ "apiVersion": "acme.dev/v1", "kind": "Widget", "spec": { "sizes": sizes } });
    let mut objects = [object(json!([1, 2, 3])), object(json!(4))];
    for (object, name) in objects.iter_mut().zip(["a", "b"]) {
        object["metadata"] = json!({ "name": name });
    }
    let report = check(&config, objects);
    assert_eq!(report.repeated, 3, "two of one object, one of another");
}

#[test]
fn an_empty_label_and_no_label_are_one_series_also_between_objects() {
    let config = of_widgets(&[
        "{ name: a, each: { type: Gauge, gauge: { path: [spec, l], valueFrom: [v], labelsFromPath: { r: [r] } } } }",
    ]);
    let object = |name: &str, items: serde_json::Value| {
        json!({
            "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": name },
            "spec": { "l": items },
        })
    };
    let items = json!([{ "v": 1, "r": "" }, { "v": 2 }, { "v": 3, "r": "x" }]);
    let samples = |report: &crate::registry::check::CheckReport| -> Vec<String> {
        let lines = report.exposition.lines();
        let samples = lines.filter_map(|line| line.rsplit_once("version=\"v1\""));
        samples.map(|(_, end)| end.to_owned()).collect()
    };
    let report = check(&config, [object("a", items)]);
    assert_eq!(samples(&report), ["} 2", ",r=\"x\"} 3"]);
    assert_eq!(report.repeated, 1);
    let empty = object("a", json!([{ "v": 1, "r": "" }]));
    let absent = object("b", json!([{ "v": 2 }]));
    let report = check(&config, [empty, absent]);
    assert_eq!(samples(&report), [",r=\"\"} 1"]);
    assert_eq!(report.repeated, 1);
}

#[test]
fn syntax_errors_have_a_line_and_an_empty_configuration_is_one() {
    assert!(problems("spec:\n  resources: [")[0].starts_with("line "));
    assert_eq!(
        problems("# nothing"),
        ["the configuration is empty; add `spec.resources`"]
    );
    for text in [
        "null",
        "--- ~\n",
        "kind: A\nspec:\n",
        "spec:\n  resources:\n",
    ] {
        let config = Config::parse(text).unwrap();
        let warnings = config.warnings().iter().map(ToString::to_string);
        let warnings: Vec<_> = warnings.collect();
        let is_told =
            |warning: &String| warning.contains("has no value, so no metrics are configured");
        assert!(warnings.iter().any(is_told), "{text}: {warnings:?}");
    }
    for text in ["spec: { resources: [] }", "spec: {}", "{}"] {
        assert!(Config::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn parts_without_a_value_are_told_apart_from_empty_lists() {
    let entry = "spec: { resources: [{ groupVersionKind: { group: a, version: v1, kind: B }";
    for (text, path) in [
        ("null", ""),
        ("kind: A", ""),
        ("spec:", "spec"),
        ("spec: {}", "spec"),
        ("spec:\n  resources:", "spec.resources"),
        (
            &*format!("{entry}, metrics: }}] }}"),
            "spec.resources[0].metrics",
        ),
    ] {
        let config = Config::parse(text).unwrap();
        let parts = config.parts_without_value();
        assert_eq!(parts.len(), 1, "{text}: {parts:?}");
        assert_eq!(parts[0].path, path, "{text}");
        assert!(config.warnings().contains(&parts[0]), "{text}");
    }
    for text in [
        "spec: { resources: [] }",
        &format!("{entry}, metrics: [] }}] }}"),
        &format!("{entry} }}] }}"),
    ] {
        let config = Config::parse(text).unwrap();
        assert!(config.parts_without_value().is_empty(), "{text}");
    }
}

#[test]
fn the_number_of_metrics_is_limited() {
    let config = |metrics: usize| {
        let mut text = String::from(
            "spec: { resources: [{ groupVersionKind: { group: a, version: v1, kind: B }, metrics: [\n",
        );
        for number in 0..metrics {
            text += &format!(
                "{{ name: m{number}, each: {{ type: Gauge, gauge: {{ path: [a] }} }} }},\n"
            );
        }
        text + "] }] }"
    };
    let most = Config::parse(&config(Config::MAX_FAMILIES)).unwrap();
    assert_eq!(most.family_names().count(), Config::MAX_FAMILIES);
    for parse in [Config::parse, Config::parse_valid_families] {
        let error = parse(&config(Config::MAX_FAMILIES + 7)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 100002: the configuration has more than 100000 metrics; remove metrics, or distribute the resources \
             among the configurations of several exporters"
        );
    }
}

#[test]
fn no_entry_with_a_wildcard_replaces_the_entry_of_a_built_in_kind() {
    let entries = |entries: &[&str]| {
        let entry = |own: &&str| {
            format!(
                "{{ groupVersionKind: {{ group: networking.k8s.io, {own} }}, metrics: [\
                 {{ name: m, each: {{ type: Gauge, gauge: {{ path: [a] }} }} }}] }}"
            )
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        let text = format!("spec: {{ resources: [{}] }}", entries.join(", "));
        let config = Config::parse(&text).unwrap();
        let warnings = config.warnings().iter();
        warnings.map(|own| own.message.clone()).collect::<Vec<_>>()
    };
    let exact = "version: v1, kind: Ingress";
    for wildcard in [
        "kind: '*'",
        "version: v1, kind: '*'",
        "version: '*', kind: Ingress",
    ] {
        for both in [[exact, wildcard], [wildcard, exact]] {
            assert_eq!(entries(&both), [""; 0], "{both:?}");
        }
    }
    let warnings = entries(&[exact, "kind: '*'", exact]);
    assert!(
        warnings[0].starts_with("has no effect: spec.resources[2] selects"),
        "{warnings:?}"
    );
    let warnings = entries(&["version: v1, kind: Other", "kind: '*'"]);
    assert!(
        warnings[0].starts_with("has no effect: spec.resources[1] selects"),
        "{warnings:?}"
    );
}

#[test]
fn the_first_later_entry_that_replaces_an_entry_is_named() {
    // Each entry selects the kind `x`, the kind `y` or all kinds, in the version `v`, the version `w` or all versions.
    // The test checks all sequences of three entries.
    let selectors: Vec<_> = ["v", "w", ""]
        .iter()
        .flat_map(|version| ["x", "y", ""].map(|kind| (*version, kind)))
        .collect();
    let text = |(version, kind): (&str, &str)| {
        let version = if version.is_empty() { "'*'" } else { version };
        let kind = if kind.is_empty() { "'*'" } else { kind };
        format!("{{ groupVersionKind: {{ group: g, version: {version}, kind: {kind} }} }}")
    };
    for first in &selectors {
        for second in &selectors {
            for third in &selectors {
                let entries = [*first, *second, *third].map(text).join(", ");
                let config = Config::parse(&format!("spec: {{ resources: [{entries}] }}")).unwrap();
                let covers = |(a, b): (&str, &str)| {
                    (a.is_empty() || a == first.0) && (b.is_empty() || b == first.1)
                };
                let meets =
                    |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
                let overlaps = |(a, b): (&str, &str)| meets(a, first.0) && meets(b, first.1);
                let later = [(1, *second), (2, *third)];
                let covering = later.iter().find(|(_, own)| covers(*own));
                let overlapping = later.iter().find(|(_, own)| overlaps(*own));
                let expected = match (covering, overlapping) {
                    (Some((at, _)), _) => Some(format!(
                        "has no effect: spec.resources[{at}] selects the same types"
                    )),
                    (None, Some((at, _))) => Some(format!(
                        "spec.resources[{at}] selects some of the same types"
                    )),
                    (None, None) => None,
                };
                let mut warnings = config.warnings().iter();
                let told = warnings.find(|own| own.path == "spec.resources[0]");
                let told = told.map(|own| own.message.clone());
                let is_expected = match (&told, &expected) {
                    (Some(told), Some(expected)) => told.starts_with(expected.as_str()),
                    (told, expected) => told.is_none() && expected.is_none(),
                };
                assert!(is_expected, "{entries}: {told:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn unknown_keys_and_entries_without_effect_are_warned_about_by_name() {
    let config = Config::parse(
        "\
kind: CustomResourceStateMetrics
extra: 1
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget, plural: x }
    resourcePlural: widgetz
    metrics:
    - name: kind
      subsystem: x
      each:
        type: Info
        info: { path: [spec], labelsFromPath: {}, nilIsZero: true }
  - groupVersionKind: { group: acme.dev, kind: Widget }
  - groupVersionKind: { group: '*' }
",
    );
    let config = config.unwrap();
    let warnings: Vec<_> = (config.warnings().iter())
        .map(|own| {
            (
                own.line,
                own.path.as_str(),
                own.message.split(':').next().unwrap(),
            )
        })
        .collect();
    let unknown = "unknown key; it is ignored";
    assert_eq!(
        warnings,
        [
            (2, "extra", unknown),
            (5, "spec.resources[0].groupVersionKind.plural", unknown),
            (5, "spec.resources[0]", "has no effect"),
            (6, "spec.resources[0].resourcePlural", "has no effect"),
            (
                8,
                "spec.resources[0].metrics[0].name",
                "the name of an info metric should end in `_info`"
            ),
            (9, "spec.resources[0].metrics[0].subsystem", unknown),
            (
                12,
                "spec.resources[0].metrics[0].each.info.nilIsZero",
                unknown
            ),
            (
                14,
                "spec.resources[2].groupVersionKind.group",
                "the entry is skipped"
            ),
        ]
    );
}

#[cfg(not(feature = "cel"))]
#[test]
fn without_the_feature_an_expression_is_an_error_that_says_so() {
    let config = CONFIG.replace("path: [spec, size]", "expr: object.spec.size");
    assert!(problems(&config)[0].contains("expressions need the feature `cel`"));
}

#[test]
fn kinds_come_and_go_while_others_keep_their_samples() {
    let metrics = metrics();
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" } })).unwrap();
    metrics.feed::<Pod>().unwrap().apply_object(&pod);
    assert_eq!(metrics.stores().len(), 1);

    let changes = metrics
        .custom_resources()
        .set_known_kinds([widget("v1")])
        .unwrap();
    assert_eq!(changes.added, [widget("v1").resource().clone()]);
    feed(&metrics, &widget("v1"), 3);
    let pods = text(&metrics, ExpositionFilter::default().resources(["pods"]));
    assert!(pods.starts_with("# HELP kube_pod_info"));

    // The test adds another version of the kind. The samples of the first version must stay.
    let changes = metrics
        .custom_resources()
        .set_known_kinds([widget("v1"), widget("v2")])
        .unwrap();
    assert_eq!((changes.added.len(), changes.removed.len()), (1, 0));
    feed(&metrics, &widget("v2"), 4);
    let all = text(&metrics, ExpositionFilter::default());
    // The resources are sorted by name. A custom resource has the name `group/version, Resource=plural`, so it comes
    // before `pods`.
    let lines: Vec<_> = all.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines[..2],
        [
            "acme_size{customresource_group=\"acme.dev\",customresource_kind=\"Widget\",customresource_version=\"v1\",name=\"a\"} 3",
            "acme_size{customresource_group=\"acme.dev\",customresource_kind=\"Widget\",customresource_version=\"v2\",name=\"a\"} 4",
        ]
    );
    assert_eq!(lines.len(), 3);

    let changes = metrics
        .custom_resources()
        .set_known_kinds([widget("v2")])
        .unwrap();
    assert_eq!(changes.removed, [widget("v1").resource().clone()]);
    let all = text(&metrics, ExpositionFilter::default());
    assert!(!all.contains("version=\"v1\"") && all.contains(" 4\n") && all.contains(&pods));
    assert_eq!(
        metrics
            .custom_resources()
            .set_known_kinds([widget("v2")])
            .unwrap(),
        ResourceChanges::default()
    );
}

#[test]
fn replicas_leave_out_the_same_kinds() {
    // The first kind by name has the newest definition. Two of the definitions were created in the same second.
    let definition = |(plural, second): (&str, u32)| {
        let names = json!({ "kind": plural.to_uppercase(), "plural": plural });
        let created = format!("2026-01-01T00:00:{second:02}Z");
        KnownKind::of_definition(&json!({
            "metadata": { "creationTimestamp": created },
            "spec": { "group": "acme.dev", "names": names, "versions": [{ "name": "v1", "served": true }] }
        }))
    };
    let created = [("d", 1), ("b", 2), ("c", 2), ("a", 3)];
    let start = |kinds: Vec<KnownKind>| {
        let builder = StateMetrics::builder().custom_resources(&Config::parse(CONFIG).unwrap());
        let limits = Limits::default().wildcard_kinds(2);
        builder.known_kinds(kinds).limits(limits).build().unwrap()
    };
    let plurals = |resources: Vec<ResourceInfo>| {
        let plurals = resources.iter().map(|own| own.plural().to_owned());
        plurals.collect::<Vec<_>>()
    };
    let shown = |metrics: &StateMetrics| {
        let custom = metrics.custom_resources();
        let served = custom
            .collectors()
            .iter()
            .map(|own| own.resource().clone())
            .collect();
        (plurals(served), plurals(custom.kinds_left_out()))
    };
    let texts = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };

    // For the first replica, the definitions appear one after another. The second replica starts later, and finds all
    // definitions.
    let running = start(Vec::new());
    for number in 1..=created.len() {
        let kinds = created[..number].iter().copied().flat_map(definition);
        running.custom_resources().set_known_kinds(kinds).unwrap();
    }
    let all = || created.into_iter().flat_map(definition).collect::<Vec<_>>();
    assert_eq!(
        shown(&start(all())),
        (texts(&["b", "d"]), texts(&["c", "a"]))
    );
    assert_eq!(shown(&running), shown(&start(all())));

    // A definition is deleted. Then it is created again, so it becomes the newest definition.
    for recreated in [None, Some(("d", 4))] {
        let kinds = created[1..].iter().copied().chain(recreated);
        let kinds = kinds.flat_map(definition).collect::<Vec<_>>();
        running
            .custom_resources()
            .set_known_kinds(kinds.clone())
            .unwrap();
        assert_eq!(shown(&running).0, texts(&["b", "c"]));
        assert_eq!(shown(&running), shown(&start(kinds)));
    }
}

#[test]
fn a_thousand_changes_leave_nothing_behind() {
    let metrics = metrics();
    let mut stores: Vec<Weak<dyn AnyStore>> = Vec::new();
    for round in 0..1000 {
        let kind = widget(&format!("v{round}"));
        let changes = metrics
            .custom_resources()
            .set_known_kinds([kind.clone()])
            .unwrap();
        assert_eq!(
            (changes.added.len(), changes.removed.len()),
            (1, usize::from(round > 0))
        );
        feed(&metrics, &kind, round);
        stores.extend(metrics.plan().stores().iter().map(Arc::downgrade));
        #[cfg(feature = "gzip")]
        {
            let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
            assert!(
                exposition
                    .encoded(crate::exposition::Encoding::Gzip)
                    .count()
                    > 0
            );
        }
    }
    assert_eq!(metrics.stores().len(), 2);
    let mut alive: Vec<_> = stores.iter().filter_map(Weak::upgrade).collect();
    alive.sort_by_key(|store| Arc::as_ptr(store).cast::<u8>() as usize);
    alive.dedup_by(|a, b| Arc::ptr_eq(a, b));
    assert_eq!(alive.len(), 2);
    metrics.custom_resources().set_known_kinds([]).unwrap();
    assert_eq!(text(&metrics, ExpositionFilter::default()), "");
}

#[test]
fn a_selection_names_custom_resources_in_every_spelling() {
    let metrics = metrics();
    metrics
        .custom_resources()
        .set_known_kinds([widget("v1")])
        .unwrap();
    feed(&metrics, &widget("v1"), 3);
    let everything = text(&metrics, ExpositionFilter::default());
    for names in [
        &["widgets"][..],
        &["widgets.acme.dev"],
        &["acme.dev/v1, Resource=widgets"],
        &["pods", "acme.dev/v1", " Resource=widgets"],
    ] {
        let names = || names.iter().copied();
        assert_eq!(
            text(&metrics, ExpositionFilter::default().resources(names())),
            everything
        );
        assert_eq!(
            text(
                &metrics,
                ExpositionFilter::default().exclude_resources(names())
            ),
            ""
        );
    }
    assert_eq!(
        text(&metrics, ExpositionFilter::default().resources(["pods"])),
        ""
    );
}

#[test]
fn another_configuration_starts_over_and_may_differ_from_other_families() {
    let metrics = metrics();
    metrics
        .custom_resources()
        .set_known_kinds([widget("v1")])
        .unwrap();
    feed(&metrics, &widget("v1"), 3);
    assert!(text(&metrics, ExpositionFilter::default()).contains("acme_size"));
    let differing = CONFIG
        .replace("acme\n", "kube\n")
        .replace("name: size", "name: pod_info");
    let custom = metrics.custom_resources();
    custom
        .set_config(Some(&Config::parse(&differing).unwrap()))
        .unwrap();
    let warnings = custom.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0]
            .message
            .starts_with("the family `kube_pod_info` of pods has a different help text")
    );
    feed(&metrics, &widget("v1"), 4);
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" } })).unwrap();
    let mut pods = metrics.feed::<Pod>().unwrap();
    pods.apply_object(&pod);
    let all = text(&metrics, ExpositionFilter::default());
    assert_eq!(
        all.matches("# TYPE kube_pod_info gauge\n").count(),
        1,
        "{all}"
    );
    assert_eq!(all.matches("\nkube_pod_info{").count(), 2, "{all}");
    pods.delete_object(&pod);

    let other = Config::parse(&CONFIG.replace("name: size", "name: other")).unwrap();
    let changes = custom.set_config(Some(&other)).unwrap();
    assert!(custom.warnings().is_empty());
    assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
    feed(&metrics, &widget("v1"), 5);
    assert!(text(&metrics, ExpositionFilter::default()).contains("acme_other"));
    assert_eq!(
        metrics
            .custom_resources()
            .set_config(None)
            .unwrap()
            .removed
            .len(),
        1
    );
    assert_eq!(text(&metrics, ExpositionFilter::default()), "");
}

#[test]
fn errors_are_counted_per_family_and_each_is_told_once() {
    let metrics = metrics();
    metrics
        .custom_resources()
        .set_known_kinds([widget("v1")])
        .unwrap();
    for _ in 0..3 {
        for mut writer in metrics.feeds_of(widget("v1").resource()).unwrap() {
            let object = json!({ "metadata": { "name": "b", "namespace": "n" }, "spec": { "size": "secret" } });
            writer.apply_json(object.to_string().as_bytes()).unwrap();
        }
    }
    let errors = metrics.custom_resources().errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        (errors[0].family.as_str(), errors[0].count),
        ("acme_size", 3)
    );
    assert_eq!(errors[0].resource, "widgets.v1.acme.dev");
    assert_eq!(
        errors[0].examples,
        ["n/b: gauge: the value is not a number"]
    );
}

/// Returns a `StateMetrics` for pods. It has one built-in family, the configured family `label_grace`, and the families
/// in `more` (YAML).
fn pods_with_families(more: &str) -> StateMetrics {
    let yaml = "
spec:
  resources:
  - groupVersionKind: { group: '', version: v1, kind: Pod }
    metricNamePrefix: label
    labelsFromPath: { pod: [metadata, name] }
    metrics:
    - { name: grace, each: { type: Gauge, gauge: { path: [spec, terminationGracePeriodSeconds] } } }
";
    let config = Config::parse(&format!("{yaml}{more}")).unwrap();
    StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["kube_pod_info", "^label_"])
        .custom_resources(&config)
        .known_kinds(KnownKind::built_in())
        .all_fed_by_host()
        .build()
        .unwrap()
}

#[test]
fn a_built_in_kind_gets_families_beside_its_own() {
    let metrics = pods_with_families("");
    let pod =
        json!({ "metadata": { "name": "p" }, "spec": { "terminationGracePeriodSeconds": 30 } });
    let writers = metrics.feeds_of(BuiltIn::Pods.info()).unwrap();
    assert_eq!(writers.len(), 1, "one writer feeds both stores");
    for mut writer in writers {
        writer.apply_json(pod.to_string().as_bytes()).unwrap();
    }
    let text = text(&metrics, ExpositionFilter::default().resources(["pods"]));
    assert!(
        text.contains("kube_pod_info{") && text.contains("pod=\"p\"} 30\n"),
        "{text}"
    );
}

#[test]
fn an_object_that_only_the_configured_families_cannot_read_keeps_its_other_samples() {
    let extra = "    - { name: extra, each: { type: Gauge, gauge: { path: [spec, extra], nilIsZero: true } } }\n";
    let metrics = pods_with_families(extra);
    let pod = |extra: &str| {
        format!(
            "{{ \"metadata\": {{ \"name\": \"p\" }}, \
             \"spec\": {{ \"terminationGracePeriodSeconds\": 30, \"extra\": {extra} }} }}"
        )
    };
    // This list exceeds the limit on the number of values in the fields that a configuration reads.
    let large = format!("[{}0]", "0,".repeat(500_000));
    let lines = || text(&metrics, ExpositionFilter::default().resources(["pods"]));
    let (in_rust, configured) = ("kube_pod_info{", "pod=\"p\"} 30\n");
    let mut writers = metrics.feeds_of(BuiltIn::Pods.info()).unwrap();
    for writer in &mut writers {
        writer.apply_json(pod("1").as_bytes()).unwrap();
        assert!(lines().contains(in_rust) && lines().contains(configured));
        let error = writer.apply_json(pod(&large).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("Pod p"), "{error}");
        let limit = "expected at most 500000 values in the fields that the metrics read";
        assert!(error.to_string().contains(limit), "{error}");
        assert!(lines().contains(in_rust), "{}", lines());
        assert!(!lines().contains(configured), "{}", lines());
        let stats = |is_configured| {
            let mut stores = metrics.stores().into_iter();
            let store = stores.find(|store| store.resource().is_configured() == is_configured);
            store.unwrap().stats().decode_field_errors
        };
        assert_eq!((stats(false), stats(true)), (0, 1));
        // A deletion removes the rows from both stores.
        writer.apply_json(pod("1").as_bytes()).unwrap();
        assert!(lines().contains(configured));
        writer.delete_json(pod(&large).as_bytes()).unwrap();
        assert!(!lines().contains(in_rust) && !lines().contains(configured));
    }
}

#[test]
fn a_state_set_is_declared_where_its_label_has_the_name_of_the_family() {
    let config = CONFIG.replace(
        "{ type: Gauge, gauge: { path: [spec, size] } }",
        "{ type: StateSet, stateSet: { path: [spec, size], labelName: acme_size, list: [a] } }",
    );
    let metrics = StateMetrics::builder()
        .custom_resources(&Config::parse(&config).unwrap())
        .known_kinds([widget("v1")])
        .all_fed_by_host()
        .build()
        .unwrap();
    for mut writer in metrics.feeds() {
        writer.apply_json(br#"{"spec":{"size":"a"}}"#).unwrap();
    }
    let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
    assert!(
        exposition
            .to_string()
            .contains("# TYPE acme_size stateset\n")
    );
}

/// Returns a configuration whose metrics have these expressions.
#[cfg(feature = "cel")]
fn of_expressions(expressions: impl IntoIterator<Item = String>) -> String {
    let metrics = expressions.into_iter().enumerate().map(|(at, text)| {
        let text = Value::from(text);
        format!("    - {{name: a{at}, help: A., each: {{type: Gauge, gauge: {{expr: {text}}}}}}}\n")
    });
    let metrics: String = metrics.collect();
    format!(
        "spec:\n  resources:\n  - groupVersionKind: {{ group: acme.dev, version: v1, kind: Widget }}\n    metrics:\n\
         {metrics}"
    )
}

#[cfg(feature = "cel")]
#[test]
fn expressions_that_would_need_much_memory_are_refused_before_they_are_parsed() {
    let list = |items: usize| format!("[{}].size()", vec!["1"; items].join(","));
    for (expression, part) in [
        ("@".repeat(2_000), "`@` at character 1 is not part of CEL"),
        (
            format!("object.a + {}", "é".repeat(2_000)),
            "`é` at character 12",
        ),
        (format!("1 # {}", "é".repeat(2_000)), "`#` at character 3"),
        (
            format!("'''{}", "a\n".repeat(2_000)),
            "the string that starts at character 1 has no end",
        ),
        ("'\\d".repeat(2_000), "unknown escape at character 2"),
        (list(20_000), "more than 10000 tokens"),
        (
            format!("'{}'", "a".repeat(1 << 20)),
            "longer than 131072 bytes",
        ),
    ] {
        let [problem] = &problems(&of_expressions([expression]))[..] else {
            panic!("{part}")
        };
        assert!(problem.contains(part), "{problem}");
        assert!(problem.len() < 500, "{problem}");
    }
    Config::parse(&of_expressions([list(4_900)])).unwrap();
}

#[cfg(feature = "cel")]
#[test]
fn errors_of_a_long_expression_are_short() {
    let literals = vec!["99999999999999999999"; 4_000].join(",");
    let [problem] = &problems(&of_expressions([format!("[{literals}]")]))[..] else {
        panic!()
    };
    assert!(problem.len() < 500, "{}", problem.len());
}

#[cfg(feature = "cel")]
#[test]
fn all_expressions_together_have_a_limit() {
    let long = format!("'{}'.size()", "a".repeat(100_000));
    let config = of_expressions((0..200).map(|_| long.clone()));
    let problems = problems(&config);
    assert_eq!(problems.len(), 200 - 167);
    assert!(problems[0].contains("16777216 bytes"), "{}", problems[0]);
}
