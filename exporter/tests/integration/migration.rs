//! Tests the configurations and queries in docs/how-to/migrate.md. That page describes how to run kube-state-metrics
//! and this exporter at the same time.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::deploy::helm::{has_helm, objects};
use super::prometheus::{Prometheus, block};
use super::support::{CLUSTER, Directory, Exporter, eventually_or};

const GUIDE: &str = include_str!("../../../docs/how-to/migrate.md");

/// The relabeling rule in the documentation that renames samples: its source label, its pattern and its replacement.
const NEW_NAMES: (&str, &str, &str) = ("__name__", "kube_(.+)", "new_kube_$1");

fn assert_new_names(rules: &Value, keys: [&str; 2]) {
    let [source, target] = keys;
    let rule = &rules[0];
    let (name, regex, replacement) = NEW_NAMES;
    assert_eq!(rule[source][0], name, "{rules}");
    assert_eq!(rule["regex"], regex);
    assert_eq!(rule[target], name);
    assert_eq!(rule["replacement"], replacement);
    assert_eq!(rules.as_array().unwrap().len(), 1);
}

#[test]
fn the_values_give_a_service_monitor_whose_series_have_other_names() {
    if !has_helm() {
        return;
    }
    let directory = Directory::new("migration");
    let values = directory.write("values.yaml", &block(GUIDE, "side-by-side-values", "yaml"));
    let objects = objects(Path::new(&values), &[]);
    let find = |kind: &str| objects.iter().find(|own| own["kind"] == kind).unwrap();
    let monitor = find("ServiceMonitor");
    assert_eq!(monitor["metadata"]["name"], "kube-state-metrics-new");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["honorLabels"], true);
    assert_eq!(endpoint["relabelings"][0]["targetLabel"], "job");
    assert_eq!(
        endpoint["relabelings"][0]["replacement"],
        "kube-state-metrics-new"
    );
    assert_new_names(
        &endpoint["metricRelabelings"],
        ["sourceLabels", "targetLabel"],
    );
    // If the Service had this annotation, another Prometheus job would also scrape it, without the relabeling.
    let annotations = &find("Service")["metadata"]["annotations"];
    assert!(
        annotations["prometheus.io/scrape"].is_null(),
        "{annotations}"
    );
}

#[test]
fn both_programs_are_compared_in_prometheus_without_doubled_names() {
    let old = Exporter::start(&["--resources=pods,nodes,services"]);
    // The second exporter has different metrics: it lacks a resource, a family and the pods of a namespace, and one pod
    // has another phase.
    let directory = Directory::new("changed");
    for entry in std::fs::read_dir(CLUSTER).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replacen("phase: Running", "phase: Failed", 1);
        directory.write(path.file_name().unwrap().to_str().unwrap(), &text);
    }
    let new = Exporter::serving(&[
        "--manifests",
        directory.str(),
        "--resources=pods,nodes",
        "--metric-denylist=^kube_node_role$",
        "--namespaces-denylist=batch",
    ]);
    let documented_job = block(GUIDE, "side-by-side", "yaml");
    let job: Value = serde_saphyr::from_str(&documented_job).unwrap();
    let job = &job["scrape_configs"][0];
    assert_eq!(job["honor_labels"], true);
    let rules = &job["metric_relabel_configs"];
    assert_new_names(rules, ["source_labels", "target_label"]);
    let target = "kube-state-metrics-new.monitoring.svc:8080";
    assert!(documented_job.contains(target));
    let config = format!(
        "global: {{scrape_interval: 2s}}\n{}  - job_name: kube-state-metrics\n    honor_labels: true\n    \
         static_configs: [{{targets: [{:?}]}}]\n",
        documented_job.replace(target, &new.main),
        old.main,
    );
    let Some(prometheus) = Prometheus::run(&config, &[]) else {
        return;
    };
    eventually_or(
        "both targets are up",
        || (prometheus.query("up") == [1.0, 1.0]).then_some(()),
        || format!("{:?}", prometheus.rows("up")),
    );
    // All metrics with the same name must come from the same job.
    let jobs = prometheus
        .rows("count by (__name__) (count by (__name__, job) ({__name__=~\".*kube_.+\"})) > 1");
    assert!(jobs.is_empty(), "{jobs:?}");
    let text = old.metrics("");
    let pods = text.matches("\nkube_pod_info{").count() as f64;
    assert_eq!(prometheus.query("count(kube_pod_info)"), [pods]);

    let rows = |name: &str| prometheus.rows(&block(GUIDE, name, "promql"));
    let labels = |name: &str, label: &str| -> BTreeSet<String> {
        let rows = rows(name).into_iter();
        rows.map(|row| row["metric"][label].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let families = labels("families-with-different-counts", "family");
    assert!(families.contains("kube_pod_info"), "{families:?}");
    assert!(!families.contains("kube_node_info"), "{families:?}");
    let missing = labels("families-of-one-program", "family");
    assert!(missing.contains("kube_node_role"), "{missing:?}");
    assert!(missing.contains("kube_service_info"), "{missing:?}");
    assert!(!missing.contains("kube_pod_info"), "{missing:?}");
    // The only missing pods are in the namespace that the second exporter does not watch.
    assert_eq!(
        labels("missing-series", "namespace"),
        BTreeSet::from(["batch".to_owned()])
    );
    let phases = labels("different-values", "phase");
    assert_eq!(
        phases,
        BTreeSet::from(["Failed", "Running"].map(String::from))
    );
}
