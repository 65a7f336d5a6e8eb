//! Logs that families of a Custom Resource State configuration cannot read some values of objects.

use std::sync::Arc;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::custom_resources::FamilyErrors;

use super::first_reports::log_first;
use crate::limited_threads::LimitedThreads;

/// Logs the first error of each family. The log does not show further errors; a metric counts all errors. Errors that
/// the verbosity leaves out do not count as logged. `threads` are the threads on which the function reads the state of
/// all families.
pub(super) async fn report(metrics: StateMetrics, threads: Arc<LimitedThreads>) {
    let errors = |metrics: &StateMetrics| {
        let mut errors = metrics.custom_resources().errors();
        errors.retain(|errors| is_logged(errors.level));
        errors
    };
    let key = |errors: &FamilyErrors| (errors.resource.clone(), errors.family.clone());
    log_first(&metrics, &threads, errors, key, log).await;
}

/// Whether the log shows errors with this level.
fn is_logged(level: i32) -> bool {
    match level {
        ..=0 => tracing::enabled!(tracing::Level::WARN),
        1..=2 => tracing::enabled!(tracing::Level::DEBUG),
        3.. => tracing::enabled!(tracing::Level::TRACE),
    }
}

fn log(errors: &FamilyErrors) {
    let FamilyErrors {
        resource, family, ..
    } = errors;
    let example = errors.examples.first().map_or("", String::as_str);
    let message = "a value cannot be read; kube_state_metrics_custom_resource_errors_total counts \
        such values";
    // The configuration can set a level for these messages. The level is the minimum verbosity (`-v`) with which the
    // exporter logs these messages.
    match errors.level {
        ..=0 => tracing::warn!(resource, family, example, "{message}"),
        1..=2 => tracing::debug!(resource, family, example, "{message}"),
        3.. => tracing::trace!(resource, family, example, "{message}"),
    }
}
