//! Logs that families of a Custom Resource State configuration cannot read some values of objects.

use std::sync::Arc;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::custom_resources::FamilyErrors;
use tracing::Level;

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

/// The level of the log line for an error. The configuration can set a verbosity for these errors: the minimum
/// verbosity (`-v`) with which the exporter logs them.
fn level_of(verbosity: i32) -> Level {
    match verbosity {
        ..=0 => Level::WARN,
        1..=2 => Level::DEBUG,
        3.. => Level::TRACE,
    }
}

/// Whether the log shows errors with this verbosity.
fn is_logged(verbosity: i32) -> bool {
    match level_of(verbosity) {
        Level::WARN => tracing::enabled!(Level::WARN),
        Level::DEBUG => tracing::enabled!(Level::DEBUG),
        _ => tracing::enabled!(Level::TRACE),
    }
}

fn log(errors: &FamilyErrors) {
    let FamilyErrors {
        resource, family, ..
    } = errors;
    let example = errors.examples.first().map_or("", String::as_str);
    let message = "a value cannot be read; kube_state_metrics_custom_resource_errors_total counts \
        such values";
    match level_of(errors.level) {
        Level::WARN => tracing::warn!(resource, family, example, "{message}"),
        Level::DEBUG => tracing::debug!(resource, family, example, "{message}"),
        _ => tracing::trace!(resource, family, example, "{message}"),
    }
}
