//! Sources: components that feed the stores with objects.
//!
//! A source is a watch of a cluster, a feed of manifests, or a future of the host. Every source reports to a
//! [`Health`]. When a configuration adds or removes a resource, each source starts or stops feeding the resource.

pub mod health;
mod host;
#[cfg(feature = "manifests")]
pub mod manifests;
#[cfg(any(feature = "manifests", feature = "watch"))]
mod plan_follower;
#[cfg(feature = "watch")]
pub mod watch;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use health::Health;
pub use host::HostSource;

/// The future of a running source.
pub type SourceFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Feeds the stores of a [`StateMetrics`](crate::StateMetrics) with objects.
///
/// [`watch::ClusterWatch`] and [`manifests::ManifestFeed`] are sources; [`HostSource`] turns a
/// future of the host into a source.
///
/// ```
/// use kube_state_metrics::source::health::ReadinessPolicy;
/// use kube_state_metrics::source::Source;
/// use kube_state_metrics::StateMetrics;
///
/// /// Starts a source and waits until its resources are complete.
/// async fn start(source: impl Source + 'static) {
///     let health = source.health();
///     tokio::spawn(Box::new(source).run());
///     health.ready(ReadinessPolicy::Default).await;
/// }
/// ```
pub trait Source: fmt::Debug + Send {
    /// The health of the resources that the source feeds.
    fn health(&self) -> Health;

    /// Feeds the stores until the future is dropped.
    ///
    /// If a configuration of custom resources adds or removes a resource, the source starts or stops feeding this
    /// resource.
    ///
    /// When the future is dropped, the stores keep their samples.
    fn run(self: Box<Self>) -> SourceFuture;
}
