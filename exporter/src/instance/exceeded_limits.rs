//! The limits that objects exceed: log lines, and lines for `/readyz?verbose`.

use std::collections::HashSet;
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::registry::Limit;
use kube_state_metrics::store::ExceededLimit;
use tokio::time::MissedTickBehavior;

use crate::humanize::counted;

/// Logs the first object of each resource that exceeds a limit; a metric counts the others.
pub(super) async fn report(metrics: StateMetrics) {
    let mut reported = HashSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for store in metrics.stores() {
            let resource = store.resource().label();
            for exceeded in store.exceeded_limits() {
                if reported.insert((resource.clone(), exceeded.limit)) {
                    log(&resource, &exceeded);
                }
            }
        }
    }
}

/// A line for each resource and limit, without the names of objects.
pub(super) fn lines(metrics: &StateMetrics) -> Vec<String> {
    let stores = metrics.stores();
    let lines = stores.iter().flat_map(|store| {
        let resource = store.resource().label();
        let exceeded = store.exceeded_limits();
        exceeded.into_iter().map(move |exceeded| {
            let (what, flag) = described(exceeded.limit);
            let times = counted(exceeded.count, "time", "times");
            format!(
                "{resource}: {what} left out {times} because of {flag}; the log names an object"
            )
        })
    });
    lines.collect()
}

fn log(resource: &str, exceeded: &ExceededLimit) {
    let (what, flag) = described(exceeded.limit);
    let object = exceeded.first_object.as_str();
    tracing::warn!(
        resource,
        object,
        "{what} of an object are left out because of {flag}; raise it if the object is wanted; \
         kube_state_metrics_limit_exceeded_total counts further objects"
    );
}

/// What is left out, and the flag of the limit.
fn described(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::SamplesPerFamily => ("samples", "--sample-limit"),
        Limit::LabelsPerSample => ("labels", "--label-limit"),
        _ => ("parts", "a limit"),
    }
}
