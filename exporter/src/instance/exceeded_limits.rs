//! Reports the limits that objects exceed: as log lines, and as problems for the landing page.
//!
//! Each exceeded limit is one problem.

use std::sync::Arc;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::custom_resources::Config;
use kube_state_metrics::filter::{ExhaustedPattern, MetricList};
use kube_state_metrics::registry::Limit;
use kube_state_metrics::store::ExceededLimit;
use serde::Serialize;

use super::first_reports::log_first;
use crate::grouping::groups;
use crate::humanize::{counted, thousands, visible_line};
use crate::limited_threads::LimitedThreads;

/// A limit, and the resources whose objects have exceeded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LimitProblem {
    /// The items that are not exported because of the limit, such as `samples`.
    pub(crate) what: &'static str,
    pub(crate) flag: &'static str,
    pub(crate) resources: Vec<LimitedResource>,
}

/// A resource, and how often its objects have exceeded a limit. An update of an object counts once for each affected
/// family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LimitedResource {
    pub(crate) resource: String,
    pub(crate) count: u64,
}

/// A text for messages that explains how [`LimitedResource::count`] counts.
pub(crate) const REPEATED: &str = "an update of an object counts once for each affected family";
/// Maximum number of kinds that a message names.
const MAX_NAMES: usize = 5;

/// For each resource, logs the first object that exceeds a limit. Also logs the kinds of custom resources beyond
/// `--custom-resource-kind-limit`, and the regular expressions that need too much backtracking. The log does not show
/// how often objects exceed a limit; a metric counts this. `threads` are the threads on which the function reads the
/// state of all families.
pub(super) async fn report(metrics: StateMetrics, threads: Arc<LimitedThreads>) {
    let left_out = |metrics: &StateMetrics| Vec::from_iter(kinds_left_out(metrics));
    let log_line = |line: &String| tracing::warn!("{line}");
    let kinds = log_first(&metrics, &threads, left_out, |_| (), log_line);
    let exhausted = |metrics: &StateMetrics| metrics.exhausted_patterns();
    let key = |own: &ExhaustedPattern| (own.list, own.pattern.clone());
    let patterns = log_first(&metrics, &threads, exhausted, key, log_pattern);
    let key = |(resource, exceeded): &(String, ExceededLimit)| (resource.clone(), exceeded.limit);
    let log = |(resource, exceeded): &(String, ExceededLimit)| log(resource, exceeded);
    let limits = log_first(&metrics, &threads, exceeded, key, log);
    tokio::join!(kinds, patterns, limits);
}

/// The limits that objects have exceeded. The result does not contain names of objects.
pub(super) fn problems(metrics: &StateMetrics) -> Vec<LimitProblem> {
    let exceeded = exceeded(metrics);
    let by_limit = groups(exceeded.iter(), |(_, exceeded)| exceeded.limit);
    let problems = by_limit.into_iter().map(|(limit, exceeded)| {
        let (what, flag) = described(limit);
        let resources = exceeded.into_iter();
        let resources = resources.map(|(resource, exceeded)| LimitedResource {
            resource: resource.clone(),
            count: exceeded.count,
        });
        LimitProblem {
            what,
            flag,
            resources: resources.collect(),
        }
    });
    problems.collect()
}

/// Returns a line for the kinds of custom resources that exceed their limit.
pub(super) fn kinds_left_out(metrics: &StateMetrics) -> Option<String> {
    let kinds = metrics.custom_resources().kinds_left_out();
    let mut names: Vec<_> = kinds
        .iter()
        .take(MAX_NAMES)
        .map(|kind| kind.label())
        .collect();
    if kinds.len() > MAX_NAMES {
        names.push("...".to_owned());
    }
    (!kinds.is_empty()).then(|| {
        let (kinds, names) = (counted(kinds.len() as u64, "kind", "kinds"), names.join(", "));
        let max = thousands(Config::MAX_FAMILIES as u64);
        format!(
            "custom resources: {kinds} left out because of --custom-resource-kind-limit, or of the maximum of {max} \
             metrics of all kinds ({names}); raise the limit, configure fewer metrics, or name the kinds in the \
             configuration instead of a wildcard"
        )
    })
}

/// The limits that objects have exceeded, each with the resource of the objects.
fn exceeded(metrics: &StateMetrics) -> Vec<(String, ExceededLimit)> {
    let stores = metrics.stores().into_iter();
    let exceeded = stores.flat_map(|store| {
        let resource = store.resource().label();
        let limits = store.exceeded_limits().into_iter();
        limits.map(move |exceeded| (resource.clone(), exceeded))
    });
    exceeded.collect()
}

/// Logs that a regular expression in an option needs too much backtracking.
pub(crate) fn log_pattern(exhausted: &ExhaustedPattern) {
    let ExhaustedPattern {
        list,
        pattern,
        first_family,
        ..
    } = exhausted;
    let flag = match list {
        MetricList::Deny => "--metric-denylist",
        MetricList::OptIn => "--metric-opt-in-list",
        _ => "--metric-allowlist",
    };
    tracing::warn!(
        pattern,
        family = first_family,
        "a pattern of {flag} needs too much backtracking, so the search stops early and the family has no metrics \
         (unless another pattern of the same allowlist or opt-in list matches the family); simplify the pattern; \
         kube_state_metrics_exhausted_patterns counts such patterns"
    );
}

/// Logs all limits that objects have exceeded, and the kinds that are left out. A command that reads the objects only
/// once uses this function.
pub(crate) fn log_all(metrics: &StateMetrics) {
    for (resource, exceeded) in exceeded(metrics) {
        tracing::warn!("{}", line(&resource, &exceeded));
    }
    if let Some(line) = kinds_left_out(metrics) {
        tracing::warn!("{line}");
    }
}

/// Returns a line about a limit that objects of a resource have exceeded.
pub(crate) fn line(resource: &str, exceeded: &ExceededLimit) -> String {
    let (what, flag) = described(exceeded.limit);
    let times = counted(exceeded.count, "time", "times");
    visible_line(format!(
        "{resource}: {what} are left out because of {flag}, {times}; the first object is {}; raise the limit if the \
         object is correct",
        exceeded.first_object
    ))
}

fn log(resource: &str, exceeded: &ExceededLimit) {
    let (what, flag) = described(exceeded.limit);
    let object = exceeded.first_object.as_str();
    tracing::warn!(
        resource,
        object,
        "{what} of an object are left out because of {flag}; raise the limit if the object is correct; \
         kube_state_metrics_limit_exceeded_total counts how often objects exceed limits"
    );
}

// === impl LimitProblem ===

impl LimitProblem {
    /// Lists the resources, and how often the objects of each resource have exceeded the limit, such as `pods 3 times`.
    pub(crate) fn affected(&self) -> String {
        let resources = self.resources.iter();
        let resources = resources.map(|own| format!("{} {}", own.resource, own.times()));
        resources.collect::<Vec<_>>().join(", ")
    }

    /// Returns a line for each resource.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let (what, flag) = (self.what, self.flag);
        self.resources.iter().map(move |own| {
            let (resource, times) = (&own.resource, own.times());
            format!(
                "{resource}: objects exceeded {flag} {times}, so {what} are left out; {REPEATED}; the log names the \
                 first object"
            )
        })
    }
}

// === impl LimitedResource ===

impl LimitedResource {
    /// Returns the count as text, such as `3 times`.
    pub(crate) fn times(&self) -> String {
        counted(self.count, "time", "times")
    }
}

/// Returns the items that are not exported because of the limit, and the flag of the limit.
fn described(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::SamplesPerFamily => ("samples", "--sample-limit"),
        Limit::LabelsPerSample => ("labels", "--label-limit"),
        Limit::TextPerObject => ("samples or joined labels", "--text-limit"),
        Limit::ExpressionCost => ("samples", "--expression-cost-limit"),
        _ => ("parts", "a limit"),
    }
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::BuiltIn;
    use kube_state_metrics::registry::Limits;

    use super::*;

    #[test]
    fn a_limit_of_several_resources_is_one_problem() {
        let builder = StateMetrics::builder().built_in([BuiltIn::Nodes, BuiltIn::Pods]);
        let limits = Limits::default().samples_per_family(1);
        let metrics = builder.limits(limits).all_fed_by_host().build().unwrap();
        for (resource, name) in [
            (BuiltIn::Nodes, "a"),
            (BuiltIn::Pods, "b"),
            (BuiltIn::Pods, "c"),
        ] {
            let object = format!(
                "{{ \"metadata\": {{ \"namespace\": \"n\", \"name\": \"{name}\" }}, \
                 \"status\": {{ \"phase\": \"Running\", \"conditions\": [
                   {{ \"type\": \"Ready\", \"status\": \"True\" }}, {{ \"type\": \"Other\", \"status\": \"True\" }} ] }} }}"
            );
            for mut feed in metrics.feeds_of(resource).unwrap() {
                feed.apply_json(object.as_bytes()).unwrap();
            }
        }
        let problems = problems(&metrics);
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert_eq!((problem.what, problem.flag), ("samples", "--sample-limit"));
        let names: Vec<_> = problem.resources.iter().map(|own| &*own.resource).collect();
        assert_eq!(names, ["nodes", "pods"]);
        let lines: Vec<_> = problem.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[1].contains("; an update of an object counts once for each affected family; "),
            "{lines:?}"
        );
    }
}
