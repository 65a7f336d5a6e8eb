//! Tests which documents and objects are read from a text.

use super::*;

#[test]
fn documents_lists_and_json_lines_are_all_read() {
    let (samples, problems) = load(
        "forms",
        &[
            (
                "a.yaml",
                &format!("# comment\n---\n{GOOD}---\n{}", GOOD.replace("good", "two")),
            ),
            (
                "b.json",
                r#"{"apiVersion":"v1","kind":"List","items":[
                    {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"listed","namespace":"ns"}}]}"#,
            ),
            (
                "c.jsonl",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l1\",\"namespace\":\"ns\"}}\n\
                 {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l2\",\"namespace\":\"ns\"}}\n",
            ),
            (
                "d.yml",
                "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: typed, namespace: ns}\n",
            ),
            ("ignored.txt", "not a manifest"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let expected = ["good", "l1", "l2", "listed", "two", "typed"].map(info);
    let sorted: std::collections::BTreeSet<_> = samples.into_iter().collect();
    assert_eq!(sorted, expected.into_iter().collect());
}

#[test]
fn directives_and_byte_order_marks_may_precede_each_document() {
    let named = |name: &str| GOOD.replace("good", name);
    let json = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let tagged = named("!s!str tagged");
    let directives = format!(
        "%YAML 1.2\n---\n{}...\n# next\n%YAML 1.2\n---\n{}...\n%TAG !s! tag:yaml.org,2002:\n---\n{tagged}...\n",
        named("a"),
        named("b")
    );
    let marks = format!(
        "\u{feff}{}\u{feff}---\n{}---\n\u{feff}{}",
        named("c"),
        named("d"),
        named("e")
    );
    let (samples, problems) = load(
        "marks",
        &[
            ("a.yaml", &directives),
            ("b.yaml", &marks),
            (
                "c.json",
                &format!("\u{feff}{}\u{feff}{}", json("f"), json("g")),
            ),
        ],
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        samples,
        ["a", "b", "c", "d", "e", "f", "g", "tagged"].map(info)
    );
    // A broken document after directives is reported with its line.
    let broken = format!("{}...\n%YAML 1.2\n---\nkind: [\n", named("a"));
    let (_, problems) = load("broken-directive", &[("a.yaml", &broken)]);
    assert!(
        problems.len() == 1 && problems[0].starts_with("a.yaml:"),
        "{problems:?}"
    );
}

#[test]
fn yaml_may_begin_with_a_brace() {
    let flow = |name: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: ns}}}}\n")
    };
    let json = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let (samples, problems) = load(
        "braces",
        &[
            ("a.yaml", &flow("flow")),
            ("b.yaml", &format!("{}---\n{}", json("j1"), json("j2"))),
            (
                "c.yaml",
                &format!("{}{}---\n{GOOD}", json("j3"), json("j4")),
            ),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let expected = ["flow", "good", "j1", "j2", "j3", "j4"].map(info);
    let sorted: std::collections::BTreeSet<_> = samples.into_iter().collect();
    assert_eq!(sorted, expected.into_iter().collect());
}

#[test]
fn yaml_may_look_like_json() {
    let map = |name: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", # a comment\n \"metadata\": {{\"name\": {name}, \"namespace\": ns,}},}}\n"
        )
    };
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"j","namespace":"ns"}}"#;
    let files = [
        ("a.yaml", format!("{}---\n{}", map("one"), map("two"))),
        ("b.yaml", format!("[{}]", map("three"))),
        // The text is neither JSON nor YAML. In this case, the error of the JSON decoder is reported.
        ("c.jsonl", format!("{{\"a\": oops}}\n{json}")),
        ("d.yaml", map("x, \"name\": y")),
    ];
    let files: Vec<_> = (files.iter())
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let (samples, problems) = load("flow", &files);
    assert_eq!(samples, ["j", "one", "three", "two"].map(info));
    assert_eq!(
        problems,
        [
            "c.jsonl:1: not valid JSON at column 7; the document is skipped",
            "d.yaml:2: the key `name` is given twice, in lines 2 and 2; remove one; the document is \
             skipped",
        ]
    );
}

#[test]
fn a_key_that_is_given_twice_in_json_is_an_error_with_both_places() {
    let (samples, problems) = load(
        "twice",
        &[
            (
                "a.json",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\n\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\n\
                 \"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"}}",
            ),
            (
                "b.jsonl",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"}}\n\
                 {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\",\"name\":\"c\"}}\n",
            ),
        ],
    );
    assert_eq!(samples, [info("a")]);
    assert_eq!(
        problems,
        [
            "a.json:3: the key `metadata` is given twice, in lines 2 and 3; remove one; the document is \
             skipped",
            "b.jsonl:2: the key `name` is given twice in line 2, at columns 51 and 79; remove one; the \
             document is skipped",
        ]
    );
}

#[test]
fn a_list_with_null_as_items_is_empty() {
    let (samples, problems) = load(
        "null",
        &[
            ("a.yaml", "apiVersion: v1\nkind: List\nitems: null\n"),
            (
                "b.json",
                r#"{"apiVersion":"v1","kind":"ConfigMapList","items":null}"#,
            ),
        ],
    );
    assert_eq!((samples.len(), problems), (0, Vec::new()));
}

#[test]
fn broken_json_is_read_in_time_that_grows_with_its_size() {
    let files = [
        ("a.json", "{\"a\":[\n".repeat(200_000)),
        ("b.json", "{\"a\":[\n".repeat(20_000) + "oops"),
        ("c.json", "{\"a\":oops,\n".repeat(20_000)),
        ("d.json", "{\"a\":[\n{\"b\":oops\n".repeat(20_000)),
    ];
    let files: Vec<_> = (files.iter())
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let start = std::time::Instant::now();
    let (_, problems) = load("broken", &files);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let of = |name: &str| (problems.iter().filter(|own| own.starts_with(name))).count();
    assert_eq!(
        of("a.json"),
        1,
        "the rest is inside a value that does not end"
    );
    assert_eq!(of("c.json"), 6);
    let more = "c.json: 19995 more documents and objects are skipped; the reasons of the first ones are reported above";
    assert!(problems.iter().any(|own| own == more), "{problems:?}");
}

#[test]
fn yaml_has_the_content_that_kubectl_gives_it() {
    let map = |name: &str, more: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\n{more}"
        )
    };
    let text = [
        map("octal", "immutable: off\n"),
        map("on", ""),
        map("'on'", ""),
        map("'0644'", ""),
        map("0644", ""),
        map("merged", "data: &a {x: y}\nbinaryData: {<<: *a}\n"),
        map("twice", "metadata: {name: second, namespace: ns}\n"),
    ];
    let (samples, problems) = load("dialect", &[("a.yaml", &text.concat())]);
    assert_eq!(samples, ["0644", "merged", "octal", "on"].map(info));
    assert_eq!(
        problems,
        [
            "a.yaml:7: metadata.name must be a string; put it in quotes; the document is skipped",
            "a.yaml:19: metadata.name must be a string; put it in quotes; the document is skipped",
            "a.yaml:32: the key `metadata` is given twice, in lines 31 and 32; remove one; the \
             document is skipped",
        ]
    );
}

#[test]
fn lists_are_one_level_deep_and_nesting_is_limited() {
    let good =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"good","namespace":"ns"}}"#;
    let list = |items: &str| format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#);
    let deep = |open: &str, close: &str, levels| open.repeat(levels) + &close.repeat(levels);
    let lists = deep(
        r#"{"apiVersion":"v1","kind":"List","items":["#,
        "]}",
        20_000,
    );
    let files = [
        ("a.json", list(&format!("{good},{}", list(good)))),
        ("b.json", deep("[", "]", 200_000)),
        ("c.json", "[".repeat(200_000)),
        ("d.json", lists),
        ("e.yaml", format!("a: {}", deep("[", "]", 200_000))),
        ("f.yaml", deep("- ", "", 200_000)),
        ("g.yaml", deep("? ", "", 200_000)),
        ("h.json", format!("[{good},[{good}]]")),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let start = std::time::Instant::now();
    let (samples, problems) = load("deep", &files);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(samples, [info("good")]);
    assert_eq!(problems.len(), 8, "{problems:?}");
    assert_eq!(
        problems[0],
        "a.json:1: item 1 of the list is a list; move its items to the outer list; the document is skipped"
    );
    for (problem, file) in problems.iter().zip(&files) {
        assert!(problem.starts_with(file.0), "{problem}");
    }
}

#[test]
fn a_broken_document_is_named_with_its_line_and_the_others_count() {
    let broken = format!(
        "{GOOD}---\napiVersion: v1\nkind: [\n---\n{}",
        GOOD.replace("good", "two")
    );
    let (samples, problems) = load("broken", &[("a.yaml", &broken)]);
    assert_eq!(samples, [info("good"), info("two")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("a.yaml:"), "{problems:?}");
    assert!(problems[0].contains("not valid YAML"), "{problems:?}");
}

#[test]
fn a_broken_json_line_does_not_hide_the_next() {
    let line = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let text = format!("{}{{\"apiVersion\": oops}}\n{}", line("a"), line("b"));
    let (samples, problems) = load("line", &[("a.jsonl", &text)]);
    assert_eq!(samples, [info("a"), info("b")]);
    assert_eq!(
        problems,
        ["a.jsonl:2: not valid JSON at column 16; the document is skipped"]
    );
}

/// Only the API server creates a name from `generateName`. Without names, all these objects would be one object.
#[test]
fn objects_without_a_name_are_refused_each() {
    let map = |metadata: &str| format!("apiVersion: v1\nkind: ConfigMap\n{metadata}---\n");
    let text = [
        map("metadata: {generateName: job-, namespace: ns}\n"),
        map("metadata: {namespace: ns}\n"),
        map("metadata: {name: '', namespace: ns}\n"),
        map(""),
        GOOD.to_owned(),
    ];
    let (samples, problems) = load("unnamed", &[("a.yaml", &text.concat())]);
    assert_eq!(samples, [info("good")]);
    let generated = "metadata.name is missing, and only the API server creates a name from generateName; write a name; \
                     the object is skipped";
    let missing = "metadata.name is missing; write a name; the object is skipped";
    assert_eq!(
        problems,
        [
            format!("a.yaml:1: {generated}"),
            format!("a.yaml:5: {missing}"),
            format!("a.yaml:9: {missing}"),
            format!("a.yaml:13: {missing}"),
        ]
    );
    // The item of a list is named by its index.
    let list = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {generateName: a-}\n- metadata: {name: good, namespace: ns}\n";
    let (samples, problems) = load("unnamed-item", &[("a.yaml", list)]);
    assert_eq!(samples, [info("good")]);
    assert_eq!(problems, [format!("a.yaml:1 (item 0): {generated}")]);
}
