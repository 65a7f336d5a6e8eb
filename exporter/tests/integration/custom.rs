//! Tests custom resources: each flag and key of the configuration, with manifests and with clusters, and changes of the
//! configuration.

use std::fs;

use serde_json::{Value, json};

use super::api::Api;
use super::support::{Directory, Exporter, config_map, eventually, run};

const CONFIG: &str = "\
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: widget
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: size
      help: Size the widget asks for.
      each: { type: Gauge, gauge: { path: [spec, size] } }
";

/// A further entry of the configuration, for a built-in kind.
const BESIDE: &str = "  - groupVersionKind: { group: '', version: v1, kind: Namespace }
    metricNamePrefix: ns
    metrics:
    - { name: name_info, each: { type: Info, info: { path: [metadata, name], labelsFromPath: { name: [] } } } }
";

const DEFINITION: &str = "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.acme.dev, resourceVersion: '1'}
spec:
  group: acme.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true}, {name: v2, served: true}]
";

fn widget(name: &str, size: &str) -> String {
    format!(
        "---\napiVersion: acme.dev/v1\nkind: Widget\nmetadata: {{name: {name}, namespace: x}}\nspec: {{size: {size}}}\n"
    )
}

fn sample(name: &str, size: &str) -> String {
    format!(
        "widget_size{{customresource_group=\"acme.dev\",customresource_kind=\"Widget\",\
         customresource_version=\"v1\",name=\"{name}\"}} {size}\n"
    )
}

/// Returns a directory with a ConfigMap, a widget, and the definition of widgets.
fn manifests() -> Directory {
    let directory = Directory::new("custom");
    directory.write("map.yaml", &config_map("x", "one"));
    directory.write("widgets.yaml", &(DEFINITION.to_owned() + &widget("a", "3")));
    directory
}

fn reloaded(exporter: &Exporter, path: &str) -> Option<f64> {
    exporter.own(&format!(
        "kube_state_metrics_last_config_reload_successful{{filename=\"{path}\",type=\"customresourceconfig\"}}"
    ))
}

#[test]
fn each_source_of_a_configuration_is_evaluated() {
    let manifests = manifests();
    let directory = Directory::new("custom-config");
    let file = directory.write("crs.yaml", CONFIG);
    let indented = CONFIG.replace('\n', "\n  ");
    let other = directory.write("other.yaml", &CONFIG.replace("name: size", "name: other"));
    let options = |text: &str| directory.write("options.yaml", text);
    let render = |args: &[&str]| {
        let output = run(&[&["render", manifests.str()], args].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", output.stderr);
        output.stdout
    };
    let inline = render(&["--custom-resource-state-config", CONFIG]);
    assert!(
        inline.starts_with("# HELP widget_size Size the widget asks for.\n"),
        "{inline}"
    );
    assert!(inline.contains(&sample("a", "3")) && inline.contains("kube_configmap_info{"));
    assert_eq!(
        render(&["--custom-resource-state-config-file", &file]),
        inline
    );
    // The flag that contains the configuration takes precedence over the flag that names a file.
    let both = [
        "--custom-resource-state-config",
        CONFIG,
        "--custom-resource-state-config-file",
        &other,
    ];
    assert_eq!(render(&both), inline);
    let only = render(&[&both[..], &["--custom-resource-state-only"]].concat());
    assert!(
        only.contains(&sample("a", "3")) && !only.contains("kube_"),
        "{only}"
    );
    let filtered = render(&[
        "--custom-resource-state-config",
        CONFIG,
        "--metric-denylist=widget_",
    ]);
    assert!(!filtered.contains("widget_size") && filtered.contains("kube_configmap_info{"));

    // The options file accepts an old and a new name of the same key. The new name takes precedence.
    for text in [
        format!("custom_resource_config: |\n  {indented}\n"),
        format!("custom_resource_state_config_file: {file}\n"),
        format!("custom_resource_config_file: {file}\n"),
        format!(
            "custom_resource_state_config_file: {file}\ncustom_resource_config_file: {other}\n"
        ),
    ] {
        let config = options(&text);
        let exporter = Exporter::serving(&["--manifests", manifests.str(), "--config", &config]);
        assert!(exporter.metrics("").contains(&sample("a", "3")), "{text}");
        drop(exporter);
    }
    let config = options(&format!(
        "custom_resource_state_config_file: {file}\ncustom_resources_only: true\n"
    ));
    let exporter = Exporter::serving(&["--manifests", manifests.str(), "--config", &config]);
    let text = exporter.metrics("");
    assert!(
        text.contains(&sample("a", "3")) && !text.contains("kube_"),
        "{text}"
    );
}

#[test]
fn everything_about_a_resource_shows_where_that_of_built_in_ones_does() {
    let manifests = manifests();
    manifests.write("more.yaml", &widget("b", "much"));
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config",
        CONFIG,
    ]);
    let all = exporter.metrics("");
    assert!(all.contains(&sample("a", "3")));
    for names in [
        "widgets",
        "widgets.acme.dev",
        "acme.dev/v1,%20Resource=widgets",
    ] {
        let chosen = exporter.metrics(&format!("?resources={names}"));
        assert!(
            chosen.ends_with(&sample("a", "3")) && !chosen.contains("kube_"),
            "{names}: {chosen}"
        );
        let others = exporter.metrics(&format!("?exclude_resources={names}"));
        assert!(
            !others.contains("widget_") && others.contains("kube_configmap_info{"),
            "{names}"
        );
    }
    assert!(
        exporter
            .get("/readyz?verbose")
            .text()
            .contains("[+] widgets.v1.acme.dev: synced, 2 objects\n")
    );
    let found = exporter.get("/?q=widget").text();
    assert!(found.contains("widget_size"), "{found}");
    let page = exporter.get("/").text();
    assert!(page.contains("widgets"), "{page}");
    let resources: Value =
        serde_json::from_slice(&exporter.telemetry("/debug/resources").body).unwrap();
    let resources = resources["resources"].as_array().unwrap();
    assert!(
        resources
            .iter()
            .any(|own| own["resource"] == "widgets.v1.acme.dev" && own["series"] == 1)
    );
    let families: Value =
        serde_json::from_slice(&exporter.telemetry("/debug/cardinality").body).unwrap();
    let families = families["families"].as_array().unwrap();
    assert!(
        families
            .iter()
            .any(|own| own["name"] == "widget_size" && own["resource"] == "widgets.v1.acme.dev")
    );

    // For each family, a metric counts the values that are not readable. The log names the first such value.
    let errors = "kube_state_metrics_custom_resource_errors_total{family=\"widget_size\",resource=\"widgets.v1.acme.dev\"}";
    assert_eq!(exporter.own(errors), Some(1.0));
    exporter.tells("x/b: gauge: the value is not a number");
    assert_eq!(
        exporter.own("kube_state_metrics_series{resource=\"widgets.v1.acme.dev\"}"),
        Some(1.0)
    );
}

#[test]
fn kinds_of_manifests_come_and_go_and_are_counted() {
    let manifests = manifests();
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config",
        CONFIG,
    ]);
    let definitions =
        |event: &str| exporter.own(&format!("kube_state_metrics_custom_resource_state_{event}"));
    assert_eq!(definitions("cache"), Some(1.0));
    assert_eq!(definitions("add_events_total"), Some(1.0));
    // If no manifest contains the definition, the exporter uses the kind that the object names.
    manifests.write("widgets.yaml", &widget("b", "4"));
    eventually("the other object shows", || {
        exporter
            .metrics("")
            .contains(&sample("b", "4"))
            .then_some(())
    });
    eventually("the definition is gone", || {
        (definitions("cache") == Some(0.0)).then_some(())
    });
    assert_eq!(definitions("delete_events_total"), Some(1.0));
    fs::remove_file(manifests.path().join("widgets.yaml")).unwrap();
    eventually("the family of the object is removed", || {
        (!exporter.metrics("").contains("widget_size")).then_some(())
    });
    assert!(exporter.metrics("").contains("configmap=\"one\""));
}

#[test]
fn the_metrics_of_definitions_are_there_without_a_configuration() {
    let exporter = Exporter::start(&[]);
    for name in [
        "add_events_total",
        "update_events_total",
        "delete_events_total",
        "cache",
    ] {
        let series = format!("kube_state_metrics_custom_resource_state_{name}");
        assert_eq!(exporter.own(&series), Some(0.0), "{name}");
    }
}

#[test]
fn a_wrong_configuration_ends_the_start_with_all_that_is_wrong() {
    let directory = Directory::new("custom-wrong");
    let broken = CONFIG
        .replace("widget\n", "my-widget\n")
        .replace("type: Gauge", "type: Counter");
    let file = directory.write("crs.yaml", &broken);
    let missing = directory.path().join("missing.yaml");
    for (args, expected) in [
        (
            ["--custom-resource-state-config-file", &*file],
            vec![
                format!("{file}: line 7: spec.resources[0].metrics[0].name: `my-widget_size` is not a metric name"),
                format!("{file}: line 9: spec.resources[0].metrics[0].each.type: `Counter` is not a type"),
            ],
        ),
        (["--custom-resource-state-config", ""], vec![]),
        (["--custom-resource-state-config", "# nothing"], vec!["the configuration is empty".to_owned()]),
        (
            ["--custom-resource-state-config-file", missing.to_str().unwrap()],
            vec!["missing.yaml does not exist; create it, or give --continue-without-custom-resource-state-config-file".to_owned()],
        ),
    ] {
        let output = run(&[&["render", super::support::CLUSTER], &args[..]].concat(), "");
        let code = i32::from(!expected.is_empty());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", output.stderr);
        for line in expected {
            assert!(output.stderr.contains(&line), "{line}: {}", output.stderr);
        }
        let output = run(&[&["--manifests", super::support::CLUSTER, "--port=x"], &args[..]].concat(), "");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn unknown_keys_are_named_at_the_start() {
    let manifests = manifests();
    let config = CONFIG.replace("help:", "halp:");
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config",
        &config,
    ]);
    let line = "--custom-resource-state-config: line 8: spec.resources[0].metrics[0].halp: unknown key; it is ignored";
    exporter.tells(line);
    assert!(exporter.metrics("").contains(&sample("a", "3")));
    // At startup, the exporter reads the file, starts to watch the file for changes, and then reads the file again. The
    // two reads must cause only one warning in the log.
    let directory = Directory::new("custom-warned");
    let file = directory.write("crs.yaml", &config);
    let args = [
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config-file",
        &file,
    ];
    let exporter = Exporter::serving(&args);
    exporter.tells("halp: unknown key");
    let log = exporter.log();
    assert_eq!(log.matches("halp: unknown key").count(), 1, "{log}");
}

#[test]
fn an_expression_that_costs_too_much_is_cut_and_named() {
    let manifests = manifests();
    let pairs = "lists.range(400).all(a, lists.range(400).all(b, a < 400 && b < 400)) ? 1 : 0";
    let expression = format!("      each: {{ type: Gauge, gauge: {{ expr: '{pairs}' }} }}\n");
    let each = "      each: { type: Gauge, gauge: { path: [spec, size] } }\n";
    let config = CONFIG.replace(each, &expression);
    assert_ne!(config, CONFIG);
    let config = format!("--custom-resource-state-config={config}");
    let args = ["--manifests", manifests.str(), &config];
    let exporter = Exporter::serving(&args);
    assert!(!exporter.metrics("").contains("\nwidget_size{"));
    exporter.tells("because of --expression-cost-limit");
    exporter.tells("cost too much for this object");
    let ready = exporter.get("/readyz?verbose").text();
    assert!(
        ready.contains(": objects exceeded --expression-cost-limit "),
        "{ready}"
    );
    let unlimited = [&args[..], &["--expression-cost-limit=0"]].concat();
    let text = Exporter::serving(&unlimited).metrics("");
    assert!(text.contains(&sample("a", "1")), "{text}");
}

#[test]
fn samples_with_the_labels_of_another_object_are_counted() {
    let manifests = manifests();
    manifests.write("other.yaml", &widget("b", "4"));
    let without_labels = CONFIG.replace("    labelsFromPath: { name: [metadata, name] }\n", "");
    for (config, repeated) in [(CONFIG, 0), (&*without_labels, 1)] {
        let config = format!("--custom-resource-state-config={config}");
        let exporter = Exporter::serving(&["--manifests", manifests.str(), &config]);
        let text = exporter.metrics("");
        let lines = text.lines().filter(|line| line.starts_with("widget_size{"));
        assert_eq!(lines.count(), 2 - repeated);
        let metric = "kube_state_metrics_repeated_series{family=\"widget_size\"}";
        assert_eq!(exporter.own(metric), (repeated > 0).then_some(1.0));
        let report: Value =
            serde_json::from_slice(&exporter.telemetry("/debug/cardinality").body).unwrap();
        let mut families = report["families"].as_array().unwrap().iter();
        let family = families.find(|family| family["name"] == "widget_size");
        assert_eq!(family.unwrap()["repeated"], json!(repeated));
        let page = exporter.get("/?q=widget_size").text();
        let says = "1 sample is left out, because samples of other objects have the same labels";
        assert_eq!(page.contains(says), repeated > 0, "{page}");
    }
}

#[test]
fn kinds_beyond_the_limit_are_left_out_and_named() {
    let manifests = manifests();
    manifests.write("gadget.yaml", &widget("b", "4").replace("Widget", "Gadget"));
    let every = CONFIG.replace("kind: Widget", "kind: '*'");
    let args = |limit| {
        let limit = format!("--custom-resource-kind-limit={limit}");
        let config = format!("--custom-resource-state-config={every}");
        ["--manifests", manifests.str(), &config, &limit].map(str::to_owned)
    };
    let sizes = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("widget_size{"))
            .count()
    };
    for (limit, expected) in [(0, 2), (2, 2), (1, 1)] {
        let args = args(limit);
        let exporter = Exporter::serving(&args.each_ref().map(String::as_str));
        assert_eq!(sizes(&exporter.metrics("")), expected, "{limit}");
        let ready = exporter.get("/readyz?verbose").text();
        let line = "custom resources: 1 kind left out because of --custom-resource-kind-limit, or of the maximum of \
                    100,000 metrics of all kinds (widgets.v1.acme.dev)";
        assert_eq!(ready.contains(line), expected == 1, "{ready}");
        let left_out = exporter.own("kube_state_metrics_custom_resource_kinds_left_out");
        assert_eq!(left_out, Some(if expected == 1 { 1.0 } else { 0.0 }));
        if expected == 1 {
            exporter.tells(line);
        }
    }
}

#[test]
fn a_changed_file_is_used_without_an_outage_and_a_wrong_one_is_not() {
    let manifests = manifests();
    let directory = Directory::new("custom-reload");
    let file = directory.write("crs.yaml", CONFIG);
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config-file",
        &file,
    ]);
    let hash = format!(
        "kube_state_metrics_config_hash{{filename=\"{file}\",type=\"customresourceconfig\"}}"
    );
    let first = exporter.own(&hash).unwrap();
    assert_eq!(reloaded(&exporter, &file), Some(1.0));
    let both = || {
        let text = exporter.metrics("");
        assert!(text.contains("configmap=\"one\""), "an outage: {text}");
        text
    };

    directory.write("crs.yaml", &CONFIG.replace("name: size", "name: width"));
    eventually("the change shows", || {
        let text = both();
        assert_ne!(
            text.contains("widget_size{"),
            text.contains("widget_width{"),
            "a response has exactly one of the families"
        );
        text.contains("widget_width{").then_some(())
    });
    eventually("the new content is in use", || {
        (exporter.own(&hash).unwrap() != first).then_some(())
    });
    let second = exporter.own(&hash).unwrap();

    // If the new file has an invalid entry, the configuration in use stays in use.
    directory.write("crs.yaml", &CONFIG.replace("type: Gauge", "type: Counter"));
    eventually("the failure shows", || {
        (reloaded(&exporter, &file) == Some(0.0)).then_some(())
    });
    assert!(both().contains("widget_width{"));
    assert_eq!(
        exporter.own(&hash),
        Some(second),
        "the metric has the hash of the content in use"
    );
    exporter.tells("line 9: spec.resources[0].metrics[0].each.type: `Counter`");

    // If the file is deleted, the configuration in use also stays in use.
    fs::remove_file(&file).unwrap();
    exporter.tells("does not exist; create it");
    assert!(both().contains("widget_width{"));

    directory.write("crs.yaml", CONFIG);
    eventually("the correction shows", || {
        both().contains("widget_size{").then_some(())
    });
    eventually("the new content is in use", || {
        (exporter.own(&hash) == Some(first)).then_some(())
    });
    assert_eq!(reloaded(&exporter, &file), Some(1.0));
}

#[test]
fn a_file_that_is_cut_after_a_key_is_not_used() {
    let manifests = manifests();
    let directory = Directory::new("custom-cut");
    let file = directory.write("crs.yaml", CONFIG);
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config-file",
        &file,
    ]);
    for (cut, path) in [
        ("spec:\n", "spec: `spec` has no value"),
        (
            "spec:\n  resources:\n",
            "spec.resources: `resources` has no value",
        ),
        ("kind: CustomResourceStateMetrics\n", "there is no `spec`"),
    ] {
        directory.write("crs.yaml", cut);
        exporter.tells(path);
        eventually("the failure shows", || {
            (reloaded(&exporter, &file) == Some(0.0)).then_some(())
        });
        assert!(exporter.metrics("").contains("widget_size{"), "{cut}");
    }
    exporter.tells("write an empty list (`resources: []` or `metrics: []`)");
    directory.write("crs.yaml", "spec: { resources: [] }\n");
    eventually("an empty list is in use", || {
        (!exporter.metrics("").contains("widget_size{")).then_some(())
    });
}

#[test]
fn a_file_that_is_missing_may_come_later() {
    let manifests = manifests();
    let directory = Directory::new("custom-later");
    let file = directory.path().join("crs.yaml");
    let file = file.to_str().unwrap();
    let flag = "--continue-without-custom-resource-state-config-file";
    let options = directory.write(
        "options.yaml",
        &format!(
            "custom_resource_state_config_file: {file}\n{}: true\n",
            flag[2..].replace('-', "_")
        ),
    );
    let partly_wrong =
        format!("{CONFIG}    - {{ name: a b, each: {{ type: Gauge, gauge: {{ path: [a] }} }} }}\n");
    for (args, config) in [
        (
            vec!["--custom-resource-state-config-file", file, flag],
            CONFIG,
        ),
        // If a family has an error, a reload omits only this family, as the startup does.
        (vec!["--config", &options], &*partly_wrong),
    ] {
        let _ = fs::remove_file(file);
        let exporter = Exporter::serving(&[&["--manifests", manifests.str()], &args[..]].concat());
        let text = exporter.metrics("");
        assert!(
            text.contains("configmap=\"one\"") && !text.contains("widget_"),
            "{text}"
        );
        exporter.tells("crs.yaml does not exist; its metrics appear once it exists");
        assert_eq!(
            reloaded(&exporter, file),
            None,
            "a missing file has no metric"
        );
        directory.write("crs.yaml", config);
        eventually("the metrics of the file are exported", || {
            exporter
                .metrics("")
                .contains(&sample("a", "3"))
                .then_some(())
        });
        eventually("the new content is in use", || {
            (reloaded(&exporter, file) == Some(1.0)).then_some(())
        });
    }
}

/// An editor or an update of a volume may remove the file and write it again.
#[test]
fn a_file_that_is_missing_for_a_moment_stays_in_use() {
    let manifests = manifests();
    let directory = Directory::new("custom-vanishes");
    let file = directory.write("crs.yaml", CONFIG);
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config-file",
        &file,
        "--continue-without-custom-resource-state-config-file",
    ]);
    assert!(exporter.metrics("").contains(&sample("a", "3")));
    fs::remove_file(&file).unwrap();
    eventually("the missing file is a failed reload", || {
        (reloaded(&exporter, &file) == Some(0.0)).then_some(())
    });
    let line =
        "crs.yaml does not exist now, and the exporter uses its previous content; restore the file";
    exporter.tells(line);
    let verbose = eventually("the failure is shown", || {
        let text = exporter.get("/readyz?verbose").text();
        text.contains("crs.yaml").then_some(text)
    });
    assert!(verbose.contains(line), "{verbose}");
    assert!(exporter.metrics("").contains(&sample("a", "3")));
    directory.write("crs.yaml", &CONFIG.replace("name: size", "name: other"));
    eventually("the restored file is in use", || {
        let is_used = reloaded(&exporter, &file) == Some(1.0);
        (is_used && exporter.metrics("").contains("widget_other{")).then_some(())
    });
}

#[test]
fn only_the_families_that_have_errors_are_left_out_at_the_start() {
    let manifests = manifests();
    let directory = Directory::new("custom-partly");
    let broken =
        format!("{CONFIG}    - {{ name: a b, each: {{ type: Gauge, gauge: {{ path: [a] }} }} }}\n");
    let file = directory.write("crs.yaml", &broken);
    let exporter = Exporter::serving(&[
        "--manifests",
        manifests.str(),
        "--custom-resource-state-config-file",
        &file,
        "--continue-without-custom-resource-state-config-file",
    ]);
    let shows = |name: &str| exporter.metrics("").contains(name);
    assert!(shows(&sample("a", "3")));
    exporter.tells("`widget_a b` is not a metric name; use letters, digits, `_` and `:`; the first character must not be a digit; the family is left out");

    // If the file changes but still has the error, the exporter refuses the file. When the error is corrected, the
    // exporter uses the file.
    directory.write("crs.yaml", &broken.replace("name: size", "name: other"));
    eventually("the changed file is refused", || {
        (reloaded(&exporter, &file) == Some(0.0)).then_some(())
    });
    assert!(shows("widget_size{") && !shows("widget_other{"));
    directory.write("crs.yaml", &CONFIG.replace("name: size", "name: other"));
    eventually("the correction shows", || {
        shows("widget_other{").then_some(())
    });
}

#[test]
fn kinds_of_a_cluster_are_discovered_and_watched() {
    let definition = json!({
        "metadata": { "name": "widgets.acme.dev", "resourceVersion": "1" },
        "spec": {
            "group": "acme.dev", "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets" },
            "versions": [{ "name": "v1", "served": true }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let api = Api::start(&[]);
    api.put("customresourcedefinitions", definition);
    api.put(
        "widgets",
        json!({ "metadata": { "name": "a", "namespace": "x", "resourceVersion": "2" }, "spec": { "size": 3 } }),
    );
    api.put(
        "namespaces",
        json!({ "metadata": { "name": "x", "resourceVersion": "3" } }),
    );
    let url = format!("--apiserver={}", api.url);
    let config = CONFIG.to_owned() + BESIDE;
    let exporter = Exporter::serving(&[
        &url,
        "--resources=namespaces",
        "--custom-resource-state-config",
        &config,
    ]);
    exporter.becomes_ready();
    let text = exporter.metrics("");
    assert!(text.contains(&sample("a", "3")), "{text}");
    assert!(
        text.contains("ns_name_info{")
            && text.contains("kube_namespace_created")
                | text.contains("kube_namespace_status_phase{"),
        "{text}"
    );
    assert_eq!(api.count(definitions), 1);
    assert_eq!(api.count("/api/v1/namespaces"), 1, "{:?}", api.requests());
    assert_eq!(
        exporter.own("kube_state_metrics_custom_resource_state_cache"),
        Some(1.0)
    );
    assert_eq!(
        exporter.own("kube_state_metrics_custom_resource_state_add_events_total"),
        Some(1.0)
    );
    assert!(exporter.own("kube_state_metrics_watch_total{resource=\"*unstructured.Unstructured\",result=\"success\"}").is_some());
    let ready = exporter.get("/readyz?verbose").text();
    for name in [
        "widgets.v1.acme.dev",
        "namespaces.v1",
        "customresourcedefinitions.apiextensions.k8s.io",
    ] {
        assert!(
            ready.contains(&format!("[+] {name}: synced, 1 object")),
            "{name}: {ready}"
        );
    }

    // If no custom resources are configured, the exporter does not request CustomResourceDefinitions.
    let exporter = Exporter::serving(&[&url, "--resources=namespaces"]);
    exporter.becomes_ready();
    assert_eq!(api.count(definitions), 1);
    assert_eq!(
        exporter.own("kube_state_metrics_custom_resource_state_add_events_total"),
        Some(0.0)
    );
}

#[test]
fn a_shard_and_namespaces_hold_for_custom_resources() {
    let directory = Directory::new("custom-shards");
    let many: String = (0..40)
        .map(|number| {
            widget(&format!("w{number}"), "1")
                .replace("name: w", &format!("uid: u{number}, name: w"))
        })
        .collect();
    directory.write("widgets.yaml", &many);
    directory.write(
        "other.yaml",
        &widget("other", "2").replace("namespace: x", "namespace: ys"),
    );
    let count = |args: &[&str]| {
        let base = [
            "render",
            directory.str(),
            "--custom-resource-state-config",
            CONFIG,
        ];
        let output = run(&[&base[..], args].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
        output
            .stdout
            .lines()
            .filter(|line| line.starts_with("widget_size{"))
            .count()
    };
    assert_eq!(count(&[]), 41);
    let parts = ["0", "1", "2"].map(|index| count(&["--shard", index, "--total-shards=3"]));
    assert!(
        parts.iter().sum::<usize>() == 41 && parts.iter().all(|part| *part > 0),
        "{parts:?}"
    );
    assert_eq!(count(&["--namespaces=ys"]), 1);
    assert_eq!(count(&["--namespaces-denylist=ys"]), 40);
}
