//! The limits that objects exceed: log lines, and lines for `/readyz?verbose`.

use kube_state_metrics::StateMetrics;
use kube_state_metrics::registry::Limit;
use kube_state_metrics::store::ExceededLimit;

use super::first_reports::log_first;
use crate::humanize::counted;

/// Maximum number of kinds that a line names.
const MAX_NAMES: usize = 5;

/// Logs the first object of each resource that exceeds a limit, and the kinds beyond the limit on kinds. A metric
/// counts all objects.
pub(super) async fn report(metrics: StateMetrics) {
    let left_out = || Vec::from_iter(kinds_left_out(&metrics));
    let kinds = log_first(left_out, |_| (), |line| tracing::warn!("{line}"));
    let key = |(resource, exceeded): &(String, ExceededLimit)| (resource.clone(), exceeded.limit);
    let log = |(resource, exceeded): &(String, ExceededLimit)| log(resource, exceeded);
    tokio::join!(kinds, log_first(|| exceeded(&metrics), key, log));
}

/// A line for each resource and limit, without the names of objects.
pub(super) fn lines(metrics: &StateMetrics) -> Vec<String> {
    let lines = exceeded(metrics).into_iter().map(|(resource, exceeded)| {
        let (what, flag) = described(exceeded.limit);
        let times = counted(exceeded.count, "time", "times");
        format!("{resource}: {what} left out {times} because of {flag}; the log names an object")
    });
    lines.chain(kinds_left_out(metrics)).collect()
}

/// A line for the kinds of custom resources that exceed their limit.
fn kinds_left_out(metrics: &StateMetrics) -> Option<String> {
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
        format!(
            "custom resources: {kinds} left out because of --custom-resource-kind-limit ({names}); raise the limit, or \
             name the kinds in the configuration instead of a wildcard"
        )
    })
}

/// The limits that objects have exceeded, with the resource of each.
fn exceeded(metrics: &StateMetrics) -> Vec<(String, ExceededLimit)> {
    let stores = metrics.stores().into_iter();
    let exceeded = stores.flat_map(|store| {
        let resource = store.resource().label();
        let limits = store.exceeded_limits().into_iter();
        limits.map(move |exceeded| (resource.clone(), exceeded))
    });
    exceeded.collect()
}

fn log(resource: &str, exceeded: &ExceededLimit) {
    let (what, flag) = described(exceeded.limit);
    let object = exceeded.first_object.as_str();
    tracing::warn!(
        resource,
        object,
        "{what} of an object are left out because of {flag}; raise the limit if the object is correct; \
         kube_state_metrics_limit_exceeded_total counts further objects"
    );
}

/// What the limit leaves out, and its flag.
fn described(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::SamplesPerFamily => ("samples", "--sample-limit"),
        Limit::LabelsPerSample => ("labels", "--label-limit"),
        Limit::TextPerObject => ("samples", "--text-limit"),
        Limit::ExpressionCost => ("samples", "--expression-cost-limit"),
        _ => ("parts", "a limit"),
    }
}
