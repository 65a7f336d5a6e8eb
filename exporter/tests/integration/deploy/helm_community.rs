//! Compares the chart with the community's chart (prometheus-community/kube-state-metrics). With the same values, both
//! charts must render the same objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::documents;
use super::helm::{cases, chart, render};

/// The lines that differ on purpose. Each item names a values file, and has the starts of the lines that differ with
/// this file. An empty name stands for all values files.
const DIFFERENT: &[(&str, &[&str])] = &[
    // This chart computes the rules of its roles from the values, so the rules differ. Another test compares these
    // rules with the output of `rbac`.
    (
        "",
        &[
            "ClusterRole/",
            "Role/",
            "Pod/ksm-kube-state-metrics-test-",
            "Pod/fn-test-",
            // Only this chart has rules and dashboards.
            "ConfigMap/ksm-kube-state-metrics-dashboard-",
            "PrometheusRule/",
        ],
    ),
    (
        "autosharding",
        &[
            "StatefulSet/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.args.4",
        ],
    ),
    (
        "mixin",
        &[
            "StatefulSet/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.args.4",
            // Only this chart has the value `size`.
            "StatefulSet/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.resources.",
        ],
    ),
    (
        "every-value",
        // The community chart writes this field with a wrong name. The CustomResourceDefinition has the field
        // `enableHTTP2`.
        &["ScrapeConfig/fn spec.enableH"],
    ),
    (
        "host-network",
        &["NetworkPolicy/ksm-kube-state-metrics spec.egress."],
    ),
    (
        "minimal-rights",
        &[
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.args.",
            // Only this chart can create RoleBindings in the watched namespaces and also a ClusterRole.
            "RoleBinding/ksm-kube-state-metrics ",
        ],
    ),
    (
        "join-labels",
        &[
            // Only this chart has the value `joinLabels`.
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.args.",
            "RoleBinding/ksm-kube-state-metrics ",
        ],
    ),
    (
        "kube-rbac-proxy",
        &[
            // The YAML text has the same content in another order.
            "ConfigMap/ksm-kube-state-metrics-rbac-config data.config-file.yaml",
            // In the community chart, the probes name ports that the container does not declare.
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.livenessProbe.httpGet.port",
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.readinessProbe.httpGet.port",
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-state-metrics.startupProbe.httpGet.",
            // In this chart, the path of the probe starts with a slash.
            "Deployment/ksm-kube-state-metrics spec.template.spec.containers.kube-rbac-proxy-telemetry.readinessProbe.httpGet.path",
        ],
    ),
];

/// Values that the test does not compare, because they contain the name or the version of a chart or of an exporter.
/// Each item is the end of the path of such values.
const VERSIONS: [&str; 3] = [".helm.sh/chart", ".app.kubernetes.io/version", ".image"];

/// Returns a line for each value in the objects. If a list item has a name, its line contains the name instead of the
/// index.
fn lines(objects: &[Value]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for object in objects {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let of = format!("{}/{} ", kind.as_str().unwrap(), name.as_str().unwrap());
        let mut values = BTreeMap::new();
        flatten(object, "", &mut values);
        let values = values.into_iter();
        let values = values.filter(|(path, _)| !VERSIONS.iter().any(|end| path.ends_with(end)));
        lines.extend(values.map(|(path, value)| format!("{of}{} = {value}", &path[1..])));
    }
    lines
}

fn flatten(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let key = item["name"]
                    .as_str()
                    .map_or(index.to_string(), String::from);
                flatten(item, &format!("{path}.{key}"), found);
            }
        }
        // A key with the value `null` counts as absent.
        Value::Null => {}
        value => drop(found.insert(path.to_owned(), value.clone())),
    }
}

#[test]
#[ignore = "needs helm, and COMMUNITY_CHART, a directory with the chart kube-state-metrics 8.4.0"]
fn the_same_values_render_the_same_objects_as_in_the_community_chart() {
    let community = std::env::var("COMMUNITY_CHART").expect("COMMUNITY_CHART is set");
    let versions = ["--api-versions=autoscaling.k8s.io/v1"];
    let rendered = |chart: &Path, values: &Path| {
        let output = render(chart, values, &versions);
        assert!(output.status.success(), "{}", output.stderr);
        // If a template is disabled, helm renders an empty document for it.
        let documents = output
            .stdout
            .split("\n---\n")
            .filter(|document| document.contains("kind: "));
        let documents: Vec<_> = documents.collect();
        lines(
            &documents
                .iter()
                .flat_map(|own| self::documents(own))
                .collect::<Vec<_>>(),
        )
    };
    let mut cases = cases();
    // The community chart cannot create a DaemonSet.
    cases.remove("daemonset").unwrap();
    for (name, values) in cases {
        let (theirs, ours) = (
            rendered(Path::new(&community), &values),
            rendered(&chart(), &values),
        );
        let different = theirs.symmetric_difference(&ours);
        let is_intended = |line: &&String| {
            let mut intended = DIFFERENT
                .iter()
                .filter(|(of, _)| of.is_empty() || *of == name);
            intended.any(|(_, starts)| starts.iter().any(|start| line.starts_with(start)))
        };
        let different: Vec<_> = different.filter(|line| !is_intended(line)).collect();
        assert!(different.is_empty(), "{name}: {different:#?}");
        println!(
            "{name}: {} values are the same",
            theirs.intersection(&ours).count()
        );
    }
}
