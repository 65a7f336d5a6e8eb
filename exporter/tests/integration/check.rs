//! Tests the subcommand `check`: the problems that it reports about Custom Resource State configurations, and the
//! samples that it prints.

use std::fs;
use std::path::PathBuf;

use super::support::{Directory, run};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/custom_resources");

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/golden/custom_resources"
);

const VALID: &str = "\
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: widget
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: size
      help: Size the widget asks for.
      each: { type: Gauge, gauge: { path: [spec, size] } }
    - name: phase
      help: Phase of the widget.
      each: { type: StateSet, stateSet: { path: [status, phase], labelName: phase, list: [On, 'Off'] } }
";

const OBJECTS: &str = r#"
{ "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": "a" }, "spec": { "size": "2Ki" }, "status": { "phase": "On" } }
{ "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": "b" }, "spec": { "size": "much" }, "status": { "phase": 7 } }
{ "apiVersion": "acme.dev/v1", "kind": "Gadget", "metadata": { "name": "c" } }
"#;

const TYPE: &str = "customresource_group=\"acme.dev\",customresource_kind=\"Widget\",customresource_version=\"v1\"";

/// Returns all examples. An example has a name, a configuration file and a file with objects.
fn examples() -> Vec<(String, PathBuf, PathBuf)> {
    let files = fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|file| file.unwrap().path());
    let examples = files.filter_map(|config| {
        let name = config
            .file_name()?
            .to_str()?
            .strip_suffix(".yaml")?
            .to_owned();
        let objects = config.with_extension("objects.yaml");
        (!name.contains('.')).then_some((name, config, objects))
    });
    examples.collect()
}

#[test]
fn a_valid_configuration_is_counted_and_exits_with_0() {
    let directory = Directory::new("check");
    let file = directory.write("metrics.yaml", VALID);
    let output = run(&["check", &file], "");
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(
        output.stdout,
        format!("{file}: 2 metrics, no errors, 0 warnings\n")
    );
    assert_eq!(output.stderr, "");
    let output = run(&["check", "-", "--strict"], VALID);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(output.stdout, "-: 2 metrics, no errors, 0 warnings\n");
}

#[test]
fn all_errors_are_printed_with_their_places() {
    let broken = "\
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: my-widget
    metrics:
    - name: size
      each: { type: Gauge, gauge: { path: [spec, '[0]'] } }
    - name: phase
      each: { type: Histogram }
";
    let output = run(&["check", "-"], broken);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, "");
    let of = |metric: &str| format!(" (metric {metric} of acme.dev/v1 Widget)");
    let name = "is not a metric name; use letters, digits, `_` and `:`; the first character must not be a digit";
    let expected = [
        format!(
            "error: -: line 6: spec.resources[0].metrics[0].name: `my-widget_size` {name}{}",
            of("size")
        ),
        format!(
            "error: -: line 7: spec.resources[0].metrics[0].each.gauge.path[1]: `[0]` is not valid: \
             brackets must contain `key=value`; write an index without brackets{}",
            of("size")
        ),
        format!(
            "error: -: line 8: spec.resources[0].metrics[1].name: `my-widget_phase` {name}{}",
            of("phase")
        ),
        format!(
            "error: -: line 9: spec.resources[0].metrics[1].each.type: `Histogram` is not a type; \
             use Gauge, StateSet or Info{}",
            of("phase")
        ),
        "Error: -: 4 errors\n".to_owned(),
    ];
    assert_eq!(output.stderr, expected.join("\n"));
}

#[test]
fn objects_that_exceed_a_limit_are_named() {
    let config = VALID.replace("path: [spec, size]", "path: [spec, sizes]");
    let sizes = vec!["1"; 10_001].join(",");
    let object = format!(
        "{{ \"apiVersion\": \"acme.dev/v1\", \"kind\": \"Widget\", \"metadata\": {{ \"name\": \"a\" }}, \
         \"spec\": {{ \"sizes\": [{sizes}] }} }}"
    );
    let directory = Directory::new("check-limits");
    let (file, objects) = (
        directory.write("metrics.yaml", &config),
        directory.write("objects.json", &object),
    );
    let warning = "widgets.v1.acme.dev: samples are left out because of --sample-limit, 1 time; the first object is a";
    let args = ["check", &file, "--objects", &objects];
    let output = run(&args, "");
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let line = format!("warning: {warning}");
    assert!(output.stderr.contains(&line), "{}", output.stderr);
    let output = run(&[&args[..], &["--strict"]].concat(), "");
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let line = format!("error: {warning}");
    assert!(output.stderr.contains(&line), "{}", output.stderr);
    let end = "1 warning, which --strict treats as errors";
    assert!(output.stderr.contains(end), "{}", output.stderr);

    // An object with more values than the limit is not decoded.
    let values = vec!["0"; 600_000].join(",");
    directory.write("objects.json", &object.replace(&sizes, &values));
    let output = run(&args, "");
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let line = "error: cannot decode Widget a: ";
    assert!(output.stderr.contains(line), "{}", output.stderr);
    assert!(
        !output.stderr.contains("nothing is configured"),
        "{}",
        output.stderr
    );

    // `render` and `top` do not check the configuration, but have the same limits.
    let endpoints = "
apiVersion: v1
kind: Endpoints
metadata: {name: b, namespace: shop}
subsets: [{addresses: [{ip: 1.1.1.1}, {ip: 1.1.1.2}], ports: [{name: a, port: 80}]}]
";
    let endpoints = directory.write("endpoints.yaml", endpoints);
    for command in ["render", "top"] {
        let args = [
            command,
            &endpoints,
            "--resources=endpoints",
            "--sample-limit=1",
        ];
        let output = run(&args, "");
        assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
        let line = "endpoints: samples are left out because of --sample-limit, ";
        assert!(
            output.stderr.contains(line) && output.stderr.contains("the first object is shop/b"),
            "{command}: {}",
            output.stderr
        );
    }
}

#[test]
fn families_that_differ_from_built_in_ones_are_warnings() {
    let config = VALID
        .replace("metricNamePrefix: widget", "metricNamePrefix: kube_pod")
        .replace("name: size", "name: info");
    let output = run(&["check", "-"], &config);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let place = "-: line 7: spec.resources[0].metrics[0]: the family `kube_pod_info` of pods has \
                 a different help text";
    let of = "(metric kube_pod_info of acme.dev/v1 Widget)";
    assert_eq!(
        output.stderr,
        format!(
            "warning: {place}; the exposition shows the help text of the resource whose name \
             sorts first {of}\n"
        )
    );
    let output = run(&["check", "-", "--strict"], &config);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn unknown_keys_are_warnings_or_errors_where_the_check_is_strict() {
    let config = VALID.replace("    labels", "    labelFromPath: {}\n    labels");
    let line = "-: line 5: spec.resources[0].labelFromPath: unknown key; it is ignored (resource acme.dev/v1 Widget)";
    let output = run(&["check", "-"], &config);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, format!("warning: {line}\n"));
    assert!(
        output.stdout.ends_with("no errors, 1 warning\n"),
        "{}",
        output.stdout
    );
    let output = run(&["check", "-", "--strict"], &config);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stderr,
        format!("error: {line}\nError: -: 1 warning, which --strict treats as errors\n")
    );
}

#[test]
fn an_object_that_cannot_be_read_is_an_error_beside_the_others() {
    let directory = Directory::new("check-unread");
    let file = directory.write("metrics.yaml", VALID);
    let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
    for odd in ["1e999", r#""\ud800""#, &deep] {
        let objects = format!(
            r#"{{"apiVersion":"acme.dev/v1","kind":"Widget","metadata":{{"name":"odd"}},"x":{odd}}}
{{"apiVersion":"acme.dev/v1","kind":"Widget","metadata":{{"name":"good"}},"spec":{{"size":3}}}}
"#
        );
        let output = run(&["check", &file, "--objects", "-"], &objects);
        assert_eq!(output.status.code(), Some(1), "{odd}");
        let (stdout, stderr) = (&output.stdout, &output.stderr);
        assert!(stdout.contains("name=\"good\"} 3\n"), "{odd}: {stdout}");
        assert!(
            stderr.contains("-:1: cannot read the object: "),
            "{odd}: {stderr}"
        );
    }
}

#[test]
fn objects_show_their_metrics_and_the_values_that_cannot_be_read() {
    let directory = Directory::new("check");
    let file = directory.write("metrics.yaml", VALID);
    let output = run(&["check", &file, "--objects", "-"], OBJECTS);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let expected = format!(
        "# HELP widget_size Size the widget asks for.\n\
         # TYPE widget_size gauge\n\
         widget_size{{{TYPE},name=\"a\"}} 2048\n\
         # HELP widget_phase Phase of the widget.\n\
         # TYPE widget_phase gauge\n\
         widget_phase{{{TYPE},name=\"a\",phase=\"Off\"}} 0\n\
         widget_phase{{{TYPE},name=\"a\",phase=\"On\"}} 1\n"
    );
    assert_eq!(output.stdout, expected);
    assert_eq!(
        output.stderr,
        "note: nothing is configured for acme.dev/v1 Gadget: 1 object\n\
         unread: widget_size: b: gauge: the value is not a number\n\
         unread: widget_phase: b: stateSet: the state is not a string\n"
    );
    let objects = directory.write("objects.json", OBJECTS);
    let output = run(
        &["check", "-", "--objects", &objects, "--format=openmetrics"],
        VALID,
    );
    assert!(
        output.stdout.ends_with("phase=\"On\"} 1\n# EOF\n"),
        "{}",
        output.stdout
    );
}

#[test]
fn the_examples_yield_their_golden_expositions() {
    let examples = examples();
    assert_eq!(examples.len(), 12);
    for (name, config, objects) in examples {
        let (config, objects) = (config.to_str().unwrap(), objects.to_str().unwrap());
        let mut args = vec!["check", config, "--objects", objects];
        // In these examples, several kinds declare the same family, but with different help texts. Published
        // configurations do the same. `check` warns about the different help texts.
        let differs = ["crossplane-info", "flux-resource-info"].contains(&name.as_str());
        if !differs {
            args.push("--strict");
        }
        let output = run(&args, "");
        assert_eq!(output.status.code(), Some(0), "{name}: {}", output.stderr);
        let is_expected =
            |line: &str| line.starts_with("warning: ") && line.contains(": the help of the family");
        assert_eq!(
            output.stderr.is_empty(),
            !differs,
            "{name}: {}",
            output.stderr
        );
        assert!(
            output.stderr.lines().all(is_expected),
            "{name}: {}",
            output.stderr
        );
        let golden = fs::read_to_string(format!("{GOLDEN}/{name}.prom")).unwrap();
        assert_eq!(output.stdout, golden, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let directory = Directory::new("check");
    let file = directory.write("metrics.yaml", VALID);
    let missing = directory.path().join("missing.yaml");
    let missing = missing.to_str().unwrap();
    for (args, stdin, error) in [
        (&["check", missing][..], "", "cannot read the configuration"),
        (
            &["check", &file, "--objects", missing],
            "",
            "no object could be read",
        ),
        (
            &["check", &file, "--objects", "-"],
            "{ broken",
            "no object could be read",
        ),
        (
            &["check", "-", "--objects", "-"],
            VALID,
            "cannot both be standard input",
        ),
    ] {
        let output = run(args, stdin);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stderr.contains(error), "{args:?}: {}", output.stderr);
    }
    // If one document is invalid, `check` still checks the valid document.
    let half = format!("{OBJECTS}\n---\nx: [");
    let output = run(&["check", &file, "--objects", "-"], &half);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output
            .stderr
            .ends_with("Error: some objects could not be read; the lines above name them\n"),
        "{}",
        output.stderr
    );
    assert!(output.stdout.contains("widget_size{"));
}

#[test]
fn names_and_values_of_objects_cannot_control_a_terminal() {
    let directory = Directory::new("check");
    let file = directory.write("metrics.yaml", VALID);
    let objects = OBJECTS
        .replace("\"b\"", r#""b\nerror: forged""#)
        .replace("much", r"\u001b[2Jmuch\nerror: forged")
        .replace("Gadget", r"Gadget\u001b[31m\nerror: forged");
    let objects = directory.write("objects.json", &objects);
    let output = run(&["check", &file, "--objects", &objects], "");
    let shown = output.stderr;
    assert!(
        !shown.contains('\u{1b}') && !shown.contains("\nerror: forged"),
        "{shown:?}"
    );
    assert!(
        shown.contains(r"Gadget\u{1b}[31m\nerror: forged"),
        "{shown}"
    );
    assert!(shown.contains(r"\nerror: forged"), "{shown}");
}

#[test]
fn facts_that_are_often_mistakes_are_notes() {
    let directory = Directory::new("notes");
    // One object has a state that the key `list` of the configuration does not contain. One entry is for a kind that no
    // object has.
    let config = directory.write(
        "metrics.yaml",
        &format!(
            "{VALID}{}",
            VALID
                .replace("spec:\n  resources:\n", "")
                .replace("kind: Widget", "kind: Gadgte")
        ),
    );
    let objects = OBJECTS.replace("\"On\"", "\"Ready\"");
    let objects = directory.write("objects.json", &objects);
    let output = run(&["check", &config, "--objects", &objects], "");
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    for note in [
        "note: widget_phase: a: `Ready` is not in `list`, so all samples are 0\n",
        "note: the entry for acme.dev/v1 Gadgte selects none of the objects\n",
        "unread: widget_size: b: gauge: the value is not a number\n",
    ] {
        assert!(
            output.stderr.contains(note),
            "{note} is not in\n{}",
            output.stderr
        );
    }
    // No label takes its value from the object, so all objects would have the same sample.
    let config = VALID.replace(
        "labelsFromPath: { name: [metadata, name] }",
        "labelsFromPath: {}",
    );
    let output = run(&["check", "-"], &config);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let note = "note: line 7: spec.resources[0].metrics[0]: no label comes from the object, so only one of several \
                objects has samples; add `labelsFromPath: { name: [metadata, name] }`";
    assert!(output.stderr.contains(note), "{}", output.stderr);
}

#[test]
fn a_missing_value_is_named_with_its_path() {
    let directory = Directory::new("missing");
    let config = directory.write("metrics.yaml", VALID);
    let objects = OBJECTS.replace("\"size\": \"2Ki\"", "\"sizes\": 1");
    let objects = directory.write("objects.json", &objects);
    let output = run(&["check", &config, "--objects", &objects], "");
    let expected = "unread: widget_size: a: gauge: there is no value at the path spec.size\n";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
}
