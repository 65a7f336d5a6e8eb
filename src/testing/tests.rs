//! Tests of the module `testing`: which tests fail, and with which messages.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use serde_json::{Value, json};

use super::*;
use crate::{BuiltIn, Collector, Family};

/// Returns the panic message of a failing test.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it passed");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

/// Returns the file and the line in the panic message of a failing test.
fn place_of_failure(test: impl FnOnce()) -> (String, u32) {
    static HOOK: Once = Once::new();
    thread_local! {
        static PLACE: RefCell<(String, u32)> = RefCell::default();
    }
    HOOK.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(place) = info.location() {
                PLACE.set((place.file().to_owned(), place.line()));
            }
            next(info);
        }));
    });
    failure(test);
    PLACE.take()
}

#[test]
fn failures_point_at_the_line_of_the_test() {
    let rendered = render(keys(), config_map("x"));
    let invalid = Family::gauge("1st", "Help.").generate(|_: &Node, s| s.value(1));
    // Each closure is on one line, so that `line!` returns the line of the panic.
    let (render_family, first): (&dyn Fn(), _) = (&|| drop(render(&invalid, json!({}))), line!());
    let (render_object, second): (&dyn Fn(), _) = (&|| drop(render(keys(), json!([]))), line!());
    let (valid, third): (&dyn Fn(), _) = (&|| assert_valid(&invalid), line!());
    let (equal, fourth): (&dyn Fn(), _) = (&|| rendered.assert_eq("a 1"), line!());
    let (part, fifth): (&dyn Fn(), _) = (&|| rendered.assert_contains("a 1"), line!());
    for (test, line) in [
        (render_family, first),
        (render_object, second),
        (valid, third),
        (equal, fourth),
        (part, fifth),
    ] {
        assert_eq!(place_of_failure(test), (file!().to_owned(), line));
    }
}

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "shop", "uid": "u1" },
        "data": { "a": "1", "b": "2" }
    })
}

/// Returns a gauge with one sample per key of a ConfigMap, and a gauge with the number of keys.
fn keys() -> Collector<ConfigMap> {
    let data = |map: &ConfigMap| map.data.clone().unwrap_or_default();
    Collector::new()
        .family(
            Family::gauge("map_key", "Value of a key.")
                .labels(["key"])
                .generate(move |map: &ConfigMap, s| {
                    for (key, value) in data(map) {
                        s.label("key", key).maybe_value(value.parse::<f64>().ok());
                    }
                }),
        )
        .family(
            Family::gauge("map_keys", "Number of keys.")
                .opt_in()
                .generate(move |map: &ConfigMap, s| s.value(data(map).len())),
        )
}

#[test]
fn samples_are_those_expected_whatever_their_order_and_spelling() {
    let rendered = render(keys(), config_map("x"));
    rendered.assert_eq(
        r#"
        map_keys{configmap="x", namespace="shop",} 2e0
        map_key{key="b",configmap="x",namespace="shop"} 2.0
        # a comment
        map_key{namespace="shop",configmap="x",key="a"} +1
        "#,
    );
    rendered.only(["map_keys"]).assert_eq(
        r#"
        # HELP map_keys Number of keys.
        # TYPE map_keys gauge
        map_keys{namespace="shop",configmap="x"} 2
        "#,
    );
    assert_eq!(
        rendered.families().collect::<Vec<_>>(),
        ["map_key", "map_keys"]
    );
    assert_eq!(
        rendered.only(["map_keys"]).to_string(),
        "map_keys{namespace=\"shop\",configmap=\"x\"} 2\n"
    );
    assert!(rendered.only(["map_ke"]).is_empty());
}

#[test]
fn a_wrong_label_is_named() {
    let rendered = render(keys(), config_map("x")).only(["map_key"]);
    let message = failure(|| {
        rendered.assert_eq(
            r#"
            map_key{namespace="shop",configmap="x",key="a"} 1
            map_key{namespace="shop",configmap="x",key="c"} 2
            "#,
        );
    });
    assert_eq!(
        message,
        r#"the samples differ (- expected, + rendered):

  map_key{namespace="shop",configmap="x",key="a"} 1
- map_key{namespace="shop",configmap="x",key="c"} 2
+ map_key{namespace="shop",configmap="x",key="b"} 2

`map_key{namespace="shop",configmap="x",key="b"} 2`: the label `key` is "b", expected "c"
"#
    );
}

#[test]
fn a_missing_a_surplus_and_a_misspelt_label_and_a_wrong_value_are_told_apart() {
    let rendered = render(keys(), config_map("x"));
    let message = failure(|| {
        rendered.assert_eq(
            r#"
            map_key{namespace="shop",key="a"} 1
            map_key{namespace="shop",configmap="x",name="b"} 3
            map_keys{namespace="shop",configmap="x"} 3
            "#,
        );
    });
    for part in [
        r#"key="a"} 1`: the label `configmap` with the value "x" is not expected"#,
        r#"key="b"} 2`: the label `key` with the value "b" is not expected; the label `name` is missing, expected "b"; the value is 2, expected 3"#,
        r#"`map_keys{namespace="shop",configmap="x"} 2` has the value 2, expected 3"#,
    ] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
}

#[test]
fn a_missing_series_and_an_unlisted_one_are_named() {
    let rendered = render(keys(), config_map("x"));
    let message = failure(|| {
        rendered.assert_eq(
            r#"
            map_key{namespace="shop",configmap="x",key="a"} 1
            map_size{namespace="shop",configmap="x"} 2
            "#,
        );
    });
    assert_eq!(
        message,
        r#"the samples differ (- expected, + rendered):

  map_key{namespace="shop",configmap="x",key="a"} 1
- map_size{namespace="shop",configmap="x"} 2
+ map_key{namespace="shop",configmap="x",key="b"} 2
+ map_keys{namespace="shop",configmap="x"} 2

`map_size{namespace="shop",configmap="x"} 2` is missing: `map_size` has no sample; families with samples: map_key, map_keys
`map_key{namespace="shop",configmap="x",key="b"} 2` is not expected
`map_keys{namespace="shop",configmap="x"} 2` is not expected
"#
    );
    let message = failure(|| render(keys(), json!({})).only(["none"]).assert_eq("a 1"));
    assert!(
        message.ends_with("`a 1` is missing: nothing was rendered\n"),
        "{message}"
    );
}

#[test]
fn contained_samples_may_have_others_beside_them() {
    let rendered = render(keys(), config_map("x"));
    rendered.assert_contains(
        r#"
        map_keys{namespace="shop",configmap="x"} 2
        map_key{key="b",configmap="x",namespace="shop"} 2.0
        # TYPE map_key gauge
        # a comment
        "#,
    );
    rendered.assert_contains("# HELP map_keys Number of keys.");
    let message = failure(|| {
        rendered.assert_contains(
            r#"
            # TYPE map_key counter
            map_key{namespace="shop",configmap="x",key="a"} 1
            map_key{namespace="shop",configmap="x",key="b"} 3
            map_key{namespace="shop",configmap="x",key="c"} 2
            map_size{namespace="shop",configmap="x"} 2
            "#,
        );
    });
    assert_eq!(
        message,
        r#"samples are missing (- expected, + the most similar one):

- # TYPE map_key counter
- map_key{namespace="shop",configmap="x",key="b"} 3
+ map_key{namespace="shop",configmap="x",key="b"} 2
- map_key{namespace="shop",configmap="x",key="c"} 2
+ map_key{namespace="shop",configmap="x",key="a"} 1
- map_size{namespace="shop",configmap="x"} 2

the header `# TYPE map_key counter` is missing
`map_key{namespace="shop",configmap="x",key="b"} 2` has the value 2, expected 3
`map_key{namespace="shop",configmap="x",key="a"} 1`: the label `key` is "a", expected "c"; the value is 1, expected 2
`map_size{namespace="shop",configmap="x"} 2` is missing: `map_size` has no sample; families with samples: map_key, map_keys
"#
    );
    for nothing in ["", "\n# only a comment\n"] {
        let message = failure(|| rendered.assert_contains(nothing));
        assert!(message.starts_with("the list of expected"), "{message}");
    }
}

#[test]
fn a_wrong_header_is_named() {
    let message = failure(|| {
        render(keys(), config_map("x"))
            .only(["map_keys"])
            .assert_eq(
                r#"
            # HELP map_keys Number of keys.
            # TYPE map_keys counter
            map_keys{namespace="shop",configmap="x"} 2
            "#,
            );
    });
    assert!(
        message.contains("the header `# TYPE map_keys counter` is missing"),
        "{message}"
    );
    assert!(
        message.contains("`# TYPE map_keys gauge` is not expected"),
        "{message}"
    );
}

#[test]
fn expected_lines_that_are_no_samples_are_named() {
    let rendered = render(keys(), config_map("x"));
    for (line, problem) in [
        ("a", "it has no value"),
        ("{a=\"b\"} 1", "it has no name"),
        ("a{b} 1", "do not end"),
        ("a{b=c} 1", "does not start"),
        ("a{b=\"c} 1", "does not end"),
        ("a{b=\"c\",b=\"d\"} 1", "twice"),
        ("a one", "not a number"),
    ] {
        let message = failure(|| rendered.assert_eq(&format!("\n{line}\n")));
        assert!(
            message.starts_with("line 2 of the expected samples"),
            "{message}"
        );
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn values_keep_escapes_and_special_numbers() {
    let family = Family::gauge("odd", "Odd values.").labels(["name"]);
    let family = family.generate(|node: &Node, s| {
        s.label("name", "a\"b\\c\nd").value(f64::NAN);
        s.maybe_value(node.metadata.generation.map(|_| f64::INFINITY));
    });
    let node = json!({ "metadata": { "name": "n", "generation": 1 } });
    render(&family, node).assert_eq(
        "odd{node=\"n\",name=\"a\\\"b\\\\c\\nd\"} NaN
         odd{node=\"n\"} +Inf",
    );
}

#[test]
fn objects_come_typed_as_json_as_text_and_many_at_a_time() {
    let typed: ConfigMap = serde_json::from_value(config_map("a")).unwrap();
    let count = |rendered: Rendered| rendered.only(["map_keys"]).to_string().lines().count();
    assert_eq!(count(render(keys(), &typed)), 1);
    assert_eq!(count(render(keys(), [&typed, &typed])), 1);
    assert_eq!(count(render(keys(), [config_map("a"), config_map("b")])), 2);
    assert_eq!(
        count(render(keys(), vec![config_map("a").to_string().as_str()])),
        1
    );
    let lines = format!("{}\n{}", config_map("a"), config_map("b"));
    assert_eq!(count(render(keys(), lines.as_str())), 2);
    let metrics = StateMetrics::builder()
        .collector(keys())
        .built_in([BuiltIn::Nodes])
        .opt_in_metrics(["map_keys"])
        .constant_label("cluster", "blue")
        .build()
        .unwrap();
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } });
    let rendered = render(&metrics, [config_map("a"), node]);
    assert!(rendered.families().any(|name| name == "kube_node_info"));
    rendered
        .only(["map_keys"])
        .assert_eq(r#"map_keys{cluster="blue",namespace="shop",configmap="a"} 2"#);
    assert_eq!(
        count(render(&metrics, &typed)),
        1,
        "it keeps the objects it is given"
    );
}

#[cfg(feature = "manifests")]
#[test]
fn yaml_may_hold_documents_and_lists() {
    let text = "
        kind: List
        apiVersion: v1
        items:
        - { apiVersion: v1, kind: ConfigMap, metadata: { name: a, namespace: ns } }
        - { apiVersion: v1, kind: ConfigMap, metadata: { name: b, namespace: ns } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: c, namespace: ns }
";
    let rendered = render(keys(), text).only(["map_keys"]);
    assert_eq!(rendered.to_string().lines().count(), 3);
    let message = failure(|| drop(render(keys(), "metadata: [")));
    assert!(message.contains("line 1: not valid YAML"), "{message}");
}

#[test]
fn objects_of_other_kinds_are_skipped_and_named_where_a_test_fails() {
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {} });
    let objects = || [&node, &config_map("x"), &deployment, &node].map(Value::clone);
    let expected = r#"map_keys{namespace="shop",configmap="x"} 2"#;
    let metrics = StateMetrics::builder().collector(keys());
    let metrics = metrics.opt_in_metrics(["map_keys"]).build().unwrap();
    for rendered in [render(keys(), objects()), render(&metrics, objects())] {
        let rendered = rendered.only(["map_keys"]);
        rendered.assert_eq(expected);
        for message in [
            failure(|| rendered.assert_eq("")),
            failure(|| rendered.assert_contains("a 1")),
        ] {
            let end =
                "\nobjects of other kinds were skipped: apps/v1 Deployment, v1 Node (2 objects)\n";
            assert!(message.ends_with(end), "{message}");
        }
    }
    for message in [
        failure(|| drop(render(keys(), [node.clone(), deployment.clone()]))),
        failure(|| drop(render(&metrics, [node.clone(), deployment.clone()]))),
    ] {
        assert_eq!(
            message,
            "cannot render: no collector of apps/v1 Deployment, v1 Node is registered; \
             registered collectors: v1 ConfigMap\n"
        );
    }
    // The same kind in another API version counts as a different kind.
    let old = json!({ "apiVersion": "v1beta1", "kind": "ConfigMap", "metadata": {} });
    let message = failure(|| drop(render(keys(), old)));
    assert!(message.contains("of v1beta1 ConfigMap is"), "{message}");
}

#[test]
fn a_path_is_a_file_with_objects() {
    let name = format!("ksm-testing-{}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } });
    std::fs::write(&path, format!("{node}\n{}\n", config_map("x"))).unwrap();
    let expected = r#"map_keys{namespace="shop",configmap="x"} 2"#;
    render(keys(), path.as_path()).assert_contains(expected);
    render(keys(), path.clone()).assert_contains(expected);
    render(keys(), [path.clone()]).assert_contains(expected);
    std::fs::write(&path, r#"{ "metadata": { "labels": 1 } }"#).unwrap();
    let message = failure(|| drop(render(keys(), path.as_path())));
    let problem = format!("cannot render: {}: cannot decode ConfigMap", path.display());
    assert!(message.starts_with(&problem), "{message}");
    std::fs::remove_file(&path).unwrap();
    let message = failure(|| drop(render(keys(), Path::new("no/such/file.json"))));
    assert!(
        message.contains("cannot read no/such/file.json: "),
        "{message}"
    );
}

#[test]
fn objects_that_cannot_be_rendered_are_named() {
    let metrics = StateMetrics::builder().collector(keys()).build().unwrap();
    for (object, problem) in [
        (
            json!({ "metadata": {} }),
            "has no `apiVersion` or no `kind`",
        ),
        (
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": {} }),
            "no collector of v1 Node is registered",
        ),
        (
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": 1 } }),
            "cannot decode ConfigMap <unnamed>: expected a string at metadata.name",
        ),
    ] {
        let message = failure(|| drop(render(&metrics, object)));
        assert!(message.contains(problem), "{message}");
    }
    let message = failure(|| drop(render(keys(), "")));
    assert!(message.contains("the text contains no object"), "{message}");
    let broken = Family::gauge("1st", "Help.").generate(|_: &Node, s| s.value(1));
    let message = failure(|| drop(render(&broken, json!({}))));
    assert!(
        message.contains("`1st` of nodes is not a metric name"),
        "{message}"
    );
}

#[test]
fn declarations_that_do_not_hold_fail() {
    let undeclared_field = Family::gauge("keys", "Number of keys.")
        .reads(["metadata.labels"])
        .generate(|map: &ConfigMap, s| s.value(map.data.as_ref().map_or(0, |data| data.len())));
    let message = failure(|| drop(render(&undeclared_field, config_map("x"))));
    assert!(
        message.contains("reads fields that it does not declare"),
        "{message}"
    );
    assert!(
        message.contains("- keys{namespace=\"shop\",configmap=\"x\"} 2"),
        "{message}"
    );
    assert!(
        message.contains("+ keys{namespace=\"shop\",configmap=\"x\"} 0"),
        "{message}"
    );

    let undeclared_label = Family::gauge("seen", "Always 1.")
        .labels(["color", "label_*"])
        .generate(|_: &ConfigMap, s| s.label("colour", "red").label("label_x", "y").value(1));
    let message = failure(|| drop(render(&undeclared_label, config_map("x"))));
    assert!(message.contains("undeclared label `colour`"), "{message}");

    let no_labels = Family::gauge("seen", "Always 1.")
        .generate(|_: &ConfigMap, s| s.label("color", "red").value(1));
    let message = failure(|| drop(render(&no_labels, config_map("x"))));
    assert!(
        message.contains("undeclared label `color`; add the label to `labels`"),
        "{message}"
    );
}

#[test]
fn a_generator_that_panics_fails_the_test() {
    let family = Family::gauge("broken", "Panics.")
        .generate(|map: &ConfigMap, s| s.value(map.data.as_ref().unwrap().len()));
    let message = failure(|| drop(render(&family, json!({}))));
    assert!(message.contains("panicked"), "{message}");
}

#[test]
fn the_check_finds_what_a_scraper_or_a_linter_would() {
    let gauge =
        |name: &'static str| Family::gauge(name, "Help.").generate(|_: &Node, s| s.value(1));
    let families = [
        Family::counter("restarts", "Help.").generate(|_: &Node, s| s.value(1)),
        Family::counter("starts_total", "Help.").generate(|_: &Node, s| s.value(1)),
        Family::info("facts", "Help.").generate(|_: &Node, s| s.value(1)),
        Family::info("node_info", "Help.").generate(|_: &Node, s| s.value(2)),
        Family::state_set("states", "Help.").generate(|_: &Node, s| s.value(3)),
        gauge("starts"),
        gauge("pods_total"),
        gauge("pods_count"),
        gauge("job:pods"),
        Family::gauge("reserved", "Help.")
            .labels(["__a", "le"])
            .generate(|_: &Node, s| s.value(1)),
        Family::gauge("undeclared", "Help.")
            .labels(["a"])
            .generate(|_: &Node, s| s.label("b", "c").value(1)),
        Family::gauge("repeats", "Help.").generate(|_: &Node, s| {
            s.value(1);
            s.value(2);
        }),
        Family::gauge("panics", "Help.").generate(|_: &Node, s| {
            s.value(1);
            panic!("on purpose");
        }),
    ];
    let metrics = StateMetrics::builder().collector(Collector::new().families(families));
    let metrics = metrics.all_fed_by_host().build().unwrap();
    let node = serde_json::from_value(json!({ "metadata": { "name": "n" } })).unwrap();
    metrics.feed::<Node>().unwrap().apply_object(&node);
    let message = failure(|| assert_valid(&metrics));
    for part in [
        "counter `restarts` must end in `_total`",
        "info family `facts` must end in `_info`",
        "`pods_total` ends in `_total`, which is for counters",
        "`pods_count` ends in `_count`",
        "`job:pods` has a `:`",
        "`starts_total` is called `starts` in OpenMetrics",
        "the label `__a` of `reserved`",
        "the label `le` of `reserved`",
        "`undeclared` has samples with the undeclared label `b`",
        "info family `node_info` has a sample that is not 1",
        "state set `states` has a sample that is neither 0 nor 1",
        "samples of nodes were dropped (1)",
        "generators or base labels of nodes panicked 1 time;",
    ] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
    assert!(message.starts_with("13 problems:"), "{message}");
    assert!(
        !metrics
            .exposition(Format::Text, ExpositionFilter::default())
            .to_string()
            .contains("\npanics{")
    );

    let helpless = Family::gauge("helpless", " ").generate(|_: &Node, s| s.value(1));
    let message = failure(|| assert_valid(&helpless));
    assert!(
        message.contains("`helpless` of nodes has no help text"),
        "{message}"
    );
}

#[test]
fn the_built_in_families_are_valid() {
    let metrics = StateMetrics::builder().built_in(BuiltIn::ALL.iter().copied());
    assert_valid(metrics.opt_in_metrics([""]).build().unwrap());
}
