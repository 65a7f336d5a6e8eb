//! Tests the catalogue, which lists all families of this crate:
//! - The catalogue must be equal to the catalogue of kube-state-metrics.
//! - The docs must contain the catalogue.
//! - The catalogue must have all metrics and labels that common rules and dashboards use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use kube_state_metrics::BuiltIn;
use kube_state_metrics::families::catalogue as listing;
use kube_state_metrics::families::catalogue::{CatalogueEntry, catalogue};
use kube_state_metrics::family::MetricType;
use kube_state_metrics::resource::Scope;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::golden;

/// Metrics about the exporter itself, which the catalogue does not contain.
const OWN_METRICS: &[&str] = &[
    "kube_state_metrics_list_total",
    "kube_state_metrics_shard_ordinal",
    "kube_state_metrics_total_shards",
    "kube_state_metrics_watch_total",
];

/// Pairs of a metric and a label. Rules and dashboards select the metric by this label, although the metric has never
/// had this label in kube-state-metrics.
const NEVER_THERE: &[(&str, &str)] = &[
    ("kube_deployment_status_replicas_unavailable", "pod"),
    ("kube_pod_info", "pod_template_hash"),
];

/// Pairs of a metric and a label that the metric does not have. The expressions of rules and dashboards create this
/// label from other labels with `label_replace` and `label_join`.
const MADE: &[(&str, &str)] = &[
    ("kube_job_owner", "workload"),
    ("kube_job_owner", "workload_type"),
    ("kube_pod_container_resource_limits", "workload"),
    ("kube_pod_container_resource_limits", "workload_type"),
    ("kube_pod_container_resource_requests", "workload"),
    ("kube_pod_container_resource_requests", "workload_type"),
    ("kube_pod_info", "workload"),
    ("kube_pod_info", "workload_type"),
    ("kube_pod_owner", "job_name"),
    ("kube_pod_owner", "replicaset"),
    ("kube_pod_owner", "workload"),
    ("kube_pod_owner", "workload_type"),
    ("kube_replicaset_owner", "workload"),
    ("kube_replicaset_owner", "workload_type"),
];

/// Pairs of a metric and a label that the metric does not have. An expression with this metric names the label in `by`
/// or `on`, but the label belongs to another metric of the expression.
const OF_ANOTHER_METRIC: &[(&str, &str)] = &[
    ("kube_job_owner", "pod"),
    ("kube_job_owner", "replicaset"),
    ("kube_pod_info", "container"),
    ("kube_pod_status_phase", "container"),
    ("kube_pod_status_phase", "owner_kind"),
    ("kube_pod_status_ready", "owner_kind"),
    ("kube_pod_status_reason", "owner_kind"),
    ("kube_replicaset_owner", "job_name"),
    ("kube_replicaset_owner", "pod"),
];

/// The metrics and labels that rules and dashboards in public repositories use.
#[derive(Deserialize)]
struct Used {
    sources: Vec<Source>,
    /// The labels that rules and dashboards use with a metric, by the name of the metric.
    labels: BTreeMap<String, UsedLabels>,
}

#[derive(Deserialize)]
struct Source {
    repository: String,
    metrics: Vec<String>,
}

#[derive(Deserialize)]
struct UsedLabels {
    /// Labels that occur in selectors of the metric.
    matched: Vec<String>,
    /// Labels that an expression with the metric names in a grouping or a join.
    grouped: Vec<String>,
}

/// Returns one JSON object for each family of kube-state-metrics.
fn families_of_the_reference() -> Vec<Value> {
    let text = golden::read("tests/conformance/catalog.jsonl");
    let families = text.lines().map(|line| serde_json::from_str(line).unwrap());
    families.collect()
}

pub(super) fn resources_of_the_reference() -> BTreeSet<String> {
    let families = families_of_the_reference();
    let resources = families.iter().map(|family| family["resource"].as_str());
    resources.map(|name| name.unwrap().to_owned()).collect()
}

#[test]
fn the_catalogue_is_that_of_kube_state_metrics() {
    let resources = resources_of_the_reference();
    let mut ours = catalogue();
    ours.retain(|entry| resources.contains(entry.resource.name()));
    let ours = ours.into_iter().map(|entry| {
        let family = &entry.descriptor;
        json!({
            "default": entry.resource.is_default(),
            "deprecated": family.deprecated_since().unwrap_or_default(),
            "name": family.name(),
            "optIn": family.opt_in(),
            "resource": entry.resource.name(),
            "stability": family.stability().as_str(),
            "type": match family.metric_type() {
                // kube-state-metrics currently has only counters and gauges. So the catalogue shows every other type as
                // a gauge.
                MetricType::Counter => "counter",
                _ => "gauge",
            },
        })
    });
    let theirs = families_of_the_reference();
    for (at, (ours, theirs)) in ours.clone().zip(&theirs).enumerate() {
        assert_eq!(ours, *theirs, "family {at}");
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn the_documents_are_up_to_date() {
    let families = catalogue();
    for of_resource in families.chunk_by(|a, b| a.resource == b.resource) {
        let name = of_resource[0].resource.name();
        let page = format!("docs/reference/families/{name}.md");
        golden::check(&page, &listing::markdown(of_resource));
    }
    golden::check("docs/reference/families/README.md", &index(&families));
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/families");
    assert_eq!(
        std::fs::read_dir(root).unwrap().count(),
        BuiltIn::ALL.len() + 1,
        "a page of a resource that does not exist"
    );
}

#[test]
fn the_readme_has_the_numbers_of_families_and_resources() {
    let text = golden::read("README.md");
    let marker = " resources**, and families for your custom resources";
    let (before, after) = text.split_once(marker).unwrap();
    let (before, _) = before.rsplit_once("**").unwrap();
    let (families, resources) = (catalogue().len(), BuiltIn::ALL.len());
    let text = format!("{before}**{families} families of {resources}{marker}{after}");
    golden::check("README.md", &text);
}

/// Returns the text of the page that lists all resources, with links to their pages.
fn index(families: &[CatalogueEntry]) -> String {
    let defaults = BuiltIn::defaults().count();
    let mut text = format!(
        "# Metric families\n\n\
         There are {} families of {} resources; {defaults} resources are enabled by default. Each resource has a \
         page with its\nfamilies. The page shows the labels of each family, the fields of the object \
         that the family reads, and the help text.\n\n\
         - `label_*` and `annotation_*` stand for several labels, whose names come from the \
         objects.\n\
         - `STABLE` families keep their names and labels; `ALPHA` families may change in any \
         release.\n\
         - Names, labels and values are the same as in [kube-state-metrics]\
         (https://github.com/kubernetes/kube-state-metrics) 2.20.\n\
         - [Queries](../queries.md) shows examples of queries.\n\n\
         | resource | kind | scope | families | default |\n|---|---|---|---|---|\n",
        families.len(),
        BuiltIn::ALL.len(),
    );
    for of_resource in families.chunk_by(|a, b| a.resource == b.resource) {
        let entry = &of_resource[0];
        let scope = match entry.info.scope() {
            Scope::Namespaced => "namespaced",
            Scope::Cluster => "cluster",
        };
        let _ = writeln!(
            text,
            "| [{0}]({0}.md) | `{1}` {2} | {scope} | {3} | {4} |",
            entry.resource,
            entry.info.api_version(),
            entry.info.kind(),
            of_resource.len(),
            if entry.resource.is_default() {
                "on"
            } else {
                "off"
            },
        );
    }
    text
}

#[test]
fn rules_and_dashboards_find_their_metrics_and_labels() {
    let used: Used =
        serde_json::from_str(&golden::read("tests/conformance/used_metrics.json")).unwrap();
    let families: BTreeMap<_, _> = (catalogue().into_iter())
        .map(|entry| (entry.descriptor.name().to_owned(), entry))
        .collect();
    let mut missing = BTreeSet::new();
    let mut exceptions = BTreeSet::new();
    for source in &used.sources {
        assert!(!source.metrics.is_empty(), "{}", source.repository);
        for metric in &source.metrics {
            if OWN_METRICS.contains(&metric.as_str()) {
                exceptions.insert((metric.as_str(), ""));
            } else if !families.contains_key(metric) {
                missing.insert(format!("{metric} of {}", source.repository));
            }
        }
    }
    for (metric, labels) in &used.labels {
        let Some(entry) = families.get(metric) else {
            continue;
        };
        let matched = labels
            .matched
            .iter()
            .map(|label| (label, &[NEVER_THERE][..]));
        let grouped = (labels.grouped.iter()).map(|label| (label, &[MADE, OF_ANOTHER_METRIC][..]));
        for (label, lists) in matched.chain(grouped) {
            if has(entry, label) {
                continue;
            }
            let mut listed = lists.iter().flat_map(|list| list.iter());
            match listed.find(|own| **own == (metric.as_str(), label.as_str())) {
                Some(exception) => _ = exceptions.insert(*exception),
                None => _ = missing.insert(format!("{metric}{{{label}}}")),
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let listed = OWN_METRICS.len() + NEVER_THERE.len() + MADE.len() + OF_ANOTHER_METRIC.len();
    assert_eq!(exceptions.len(), listed, "an exception that is none");
}

/// Whether samples of a family may have a label.
fn has(entry: &CatalogueEntry, label: &str) -> bool {
    let own = entry.descriptor.labels();
    (entry.base_labels.iter().map(String::as_str))
        .chain(own)
        .any(|known| match known.strip_suffix('*') {
            Some(prefix) => label.starts_with(prefix),
            None => label == known,
        })
}
