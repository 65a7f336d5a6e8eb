//! The errors in the configuration of a watch.

use crate::errors::{debug_is_display, one_per_line};

/// The error of [`WatchBuilder::build`](super::WatchBuilder::build), with all problems.
///
/// `Display` and `Debug` print one problem per line.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let watch = metrics.watch(client).label_selector("pod", "team=shop");
/// let error = watch.build().unwrap_err();
/// assert_eq!(error.problems().len(), 1);
/// assert!(error.to_string().contains("`pod`, which is not registered; available: pods"));
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[error("{}", one_per_line(problems))]
pub struct WatchError {
    problems: Vec<WatchProblem>,
}

/// One problem of a watch configuration.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::source::watch::WatchProblem;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let registry = prometheus::Registry::new();
/// let first = metrics.watch(client.clone()).registry(&registry).build()?;
/// let error = metrics.watch(client).registry(&registry).build().unwrap_err();
/// assert!(matches!(error.problems(), [WatchProblem::Registry(_)]));
/// # drop(first);
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WatchProblem {
    /// The resource of a selector is not registered.
    #[error("the {what} selector is for `{resource}`, which is not registered; available: {known}")]
    UnknownResource {
        /// `label` or `field`.
        what: &'static str,
        /// The name of the resource for which the selector was set.
        resource: String,
        /// The names of the registered resources.
        known: String,
    },
    /// The metrics of the watch cannot be registered, usually because the registry has the metrics of another watch.
    #[error(
        "cannot register the metrics of the watch: {0}; use a separate registry for each watch"
    )]
    Registry(prometheus::Error),
}

debug_is_display!(WatchError, WatchProblem);

// === impl WatchError ===

impl WatchError {
    pub(super) fn new(problems: Vec<WatchProblem>) -> Self {
        Self { problems }
    }

    /// The problems, in the order in which they were found.
    #[must_use]
    pub fn problems(&self) -> &[WatchProblem] {
        &self.problems
    }
}
