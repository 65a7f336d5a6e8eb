//! [`HostSource`]: a source that consists of a future of the host.

use std::fmt;
use std::future::Future;

use super::health::Health;
use super::{Source, SourceFuture};

/// A source that consists of a future of the host, which feeds stores.
///
/// ```
/// use kube_state_metrics::source::health::{Health, ReadinessPolicy};
/// use kube_state_metrics::source::{HostSource, Source};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = StateMetrics::builder().built_in([BuiltIn::Nodes]);
/// let metrics = builder.fed_by_host(BuiltIn::Nodes).build()?;
/// let health = Health::new(&metrics);
/// let reporter = health.reporter(BuiltIn::Nodes);
/// let mut writer = metrics.feeds_of(BuiltIn::Nodes)?.remove(0);
/// let source = HostSource::new(health.clone(), async move {
///     reporter.listing();
///     writer.begin_list();
///     let applied = writer.apply_json(br#"{ "metadata": { "name": "worker-1" } }"#);
///     assert!(applied.is_ok());
///     writer.end_list();
///     reporter.complete();
/// });
/// Box::new(source).run().await;
/// assert_eq!(health.readiness(ReadinessPolicy::Default).complete, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a source feeds nothing before `run`"]
pub struct HostSource {
    health: Health,
    future: SourceFuture,
}

// === impl HostSource ===

impl HostSource {
    /// Creates a source that runs `future`.
    ///
    /// The future must report the state of its feeds to `health`, with [reporters](Health::reporter).
    pub fn new(health: Health, future: impl Future<Output = ()> + Send + 'static) -> Self {
        let future = Box::pin(future);
        Self { health, future }
    }
}

impl Source for HostSource {
    fn health(&self) -> Health {
        self.health.clone()
    }

    fn run(self: Box<Self>) -> SourceFuture {
        self.future
    }
}

impl fmt::Debug for HostSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSource")
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
