//! Tests the values of the Helm chart, and generates files from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use kube_state_metrics::BuiltIn;
use kube_state_metrics::resource::Scope;
use serde_json::{Value, json};

use super::helm::chart;
use super::{assert_golden, deploy, helm_mixin};

/// Values that the community chart does not have.
const OURS: &[&str] = &[
    "autosharding.handover",
    "cluster",
    "daemonsetSharding",
    "dashboards",
    "highAvailability",
    "image.refuseGoProgram",
    "joinLabels",
    "networkPolicy.apiServerPorts",
    "prometheusRule",
    "rbac.minimal",
    "readiness",
    "size",
    "test",
];

/// Values with their types. For all other values, the default shows the type. A map of collectors is invalid, but the
/// schema allows it, because the templates then fail with a better error message.
const TYPES: &[(&str, &[&str])] = &[
    ("affinity", &["object", "string"]),
    ("collectors", &["array", "string", "object"]),
    ("collectorsExclude", &["array", "string", "object"]),
    ("collectorsExtra", &["array", "string", "object"]),
    ("customResourceState.config", &["object", "string"]),
    ("hostUsers", &["boolean"]),
    ("image.tag", &["string", "number"]),
    ("kubeconfig.secret", &["string"]),
    ("metricAllowlist", &["array", "string"]),
    ("metricAnnotationsAllowList", &["array", "string"]),
    ("metricDenylist", &["array", "string"]),
    ("metricLabelsAllowlist", &["array", "string"]),
    ("namespaces", &["array", "string"]),
    ("namespacesDenylist", &["array", "string"]),
    ("priorityClassName", &["string"]),
    ("rbac.useExistingRole", &["string", "boolean"]),
    ("selfMonitor.telemetryHost", &["string"]),
    ("selfMonitor.telemetryNodePort", &["integer"]),
    ("selfMonitor.telemetryPort", &["integer"]),
    ("serviceAccount.name", &["string"]),
    ("updateStrategy", &["string"]),
    ("verticalPodAutoscaler.controlledValues", &["string"]),
];

/// A value of the chart: its path, its default, and its meaning.
pub(super) struct ChartValue {
    pub(super) path: String,
    default: Value,
    meaning: String,
}

/// Returns the values that have a comment, in the order of values.yaml.
pub(super) fn values() -> Vec<ChartValue> {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let defaults: Value = serde_saphyr::from_str(&text).unwrap();
    let mut values = Vec::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment = String::new();
    // The comment at the beginning of the file concerns the whole file, not a value.
    for line in text.lines().skip_while(|line| !line.is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("# ") {
            let gap = if comment.is_empty() { "" } else { " " };
            let _ = write!(comment, "{gap}{text}");
        } else if let Some((key, _)) = line.split_once(':').filter(|_| !line.starts_with('-')) {
            path.retain(|(own, _)| *own < indent);
            path.push((indent, key));
            if !comment.is_empty() {
                let keys: Vec<_> = path.iter().map(|(_, key)| *key).collect();
                let pointer = format!("/{}", keys.join("/"));
                values.push(ChartValue {
                    path: keys.join("."),
                    default: defaults.pointer(&pointer).unwrap().clone(),
                    meaning: std::mem::take(&mut comment),
                });
            }
        }
    }
    values
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns the types that the schema allows for a value. Each value can also be `null`, with which a user removes the
/// default.
fn types(value: &ChartValue) -> Vec<&'static str> {
    let listed = TYPES.iter().find(|(path, _)| *path == value.path);
    let mut types = match (listed, &value.default) {
        (Some((_, types)), _) => types.to_vec(),
        (None, Value::Bool(_)) => vec!["boolean"],
        (None, Value::Number(_)) => vec!["integer"],
        (None, Value::String(_)) => vec!["string"],
        (None, Value::Array(_)) => vec!["array"],
        (None, Value::Object(_)) => vec!["object"],
        (None, Value::Null) => panic!("{} needs a type", value.path),
    };
    types.push("null");
    types
}

fn schema() -> String {
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {},
    });
    for value in values() {
        let mut schema = &mut root;
        for key in value.path.split('.') {
            schema = &mut schema["properties"][key];
            if schema.is_null() {
                *schema = json!({ "type": ["object", "null"] });
            }
        }
        *schema = json!({ "type": types(&value), "description": value.meaning });
        if value.path == "readiness.policy" {
            schema["enum"] = json!(["default", "strict", null]);
        }
    }
    // The schema allows other keys, because the values of an older chart, or of a parent chart, may contain them.
    serde_json::to_string_pretty(&root).unwrap() + "\n"
}

/// Returns the paths of those maps that contain values.
pub(super) fn maps() -> BTreeSet<String> {
    let values = values();
    let maps = values.iter().flat_map(|value| {
        let dots = value.path.match_indices('.');
        dots.map(|(at, _)| value.path[..at].to_owned())
    });
    maps.collect()
}

/// Returns the content of the file that lists all paths of values. NOTES.txt compares these paths with the values that
/// the user sets.
fn paths() -> String {
    let mut paths: BTreeMap<_, _> = maps().into_iter().map(|path| (path, "map")).collect();
    paths.extend(values().into_iter().map(|value| (value.path, "value")));
    // A parent chart may define other values below `global`.
    paths.insert("global".to_owned(), "value");
    paths.retain(|path, _| !path.starts_with("global."));
    let mut text = String::from("# The paths of the values: a test generates this file.\n");
    for (path, kind) in paths {
        let _ = writeln!(text, "{path}: {kind}");
    }
    text
}

fn table() -> String {
    let mut text = String::from(
        "# Values of the Helm chart\n\n\
         This page lists all values of `deploy/helm/kube-state-metrics`. A test generates the page from \
         `values.yaml`. The column\n*community* compares each value with the chart kube-state-metrics 8.4.0 of the \
         Prometheus community:\n\n\
         - *same*: the value has the same meaning in both charts\n\
         - *none*: the value has no effect in either chart\n\
         - *ours*: the value exists only in this chart\n\n\
         | value | default | community | meaning |\n|---|---|---|---|\n",
    );
    for value in values() {
        let is_ours = OURS.iter().any(|own| is_at_or_below(&value.path, own));
        let community = match is_ours {
            true => "ours",
            false if value.meaning.starts_with("No effect") => "none",
            false => "same",
        };
        let default = match value.default {
            Value::Array(ref items) if items.len() > 9 => {
                "the default resources without admission policies".to_owned()
            }
            Value::Null => "unset".to_owned(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            text,
            "| `{}` | {default} | {community} | {} |",
            value.path, value.meaning
        );
    }
    text
}

#[test]
fn generated_files_of_the_chart_are_up_to_date() {
    let mut resources =
        String::from("# The resources of the program: a test generates this file.\n");
    for resource in BuiltIn::ALL {
        let info = resource.info();
        let namespaced = info.scope() == Scope::Namespaced;
        let (name, group) = (resource.name(), info.group());
        let _ = writeln!(
            resources,
            "{name}: {{group: {group:?}, namespaced: {namespaced}}}"
        );
    }
    assert_golden(&chart().join("files/resources.yaml"), &resources);
    helm_mixin::assert_copies();
    assert_golden(&chart().join("files/values.yaml"), &paths());
    assert_golden(&chart().join("values.schema.json"), &schema());
    assert_golden(&deploy().join("../docs/reference/helm-values.md"), &table());
}

#[test]
fn the_chart_has_every_value_of_the_community_chart() {
    let own = values();
    let community = include_str!("../../community-chart-values.txt");
    assert!(community.lines().count() > 150);
    for path in community.lines() {
        assert!(
            own.iter().any(|value| is_at_or_below(path, &value.path)),
            "{path}"
        );
    }
    let meanings: BTreeSet<_> = own.iter().map(|value| &value.path).collect();
    assert_eq!(meanings.len(), own.len());
    for value in OURS {
        assert!(
            own.iter().any(|own| is_at_or_below(&own.path, value)),
            "{value}"
        );
    }
}
