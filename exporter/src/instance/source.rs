//! The interface of everything that feeds the stores of an instance.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::watch::WatchError;
use prometheus::proto::MetricFamily;

use super::coverage::Coverage;
use super::status::InstanceStatus;
use crate::cluster::ClusterError;

/// A future that borrows its source.
pub(super) type SourceFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Feeds the stores from its start until it is dropped.
pub(super) trait ObjectSource: Debug + Send + Sync {
    /// Whether the source is running. A cluster that cannot be reached does not end it.
    fn is_alive(&self) -> bool;

    /// Waits until the policy is met.
    fn ready(&self, policy: ReadinessPolicy) -> SourceFuture<'_>;

    /// The scopes that are complete, and those that are not.
    fn coverage(&self) -> Coverage;

    /// Whether the policy is met, and the state of each resource.
    fn status(&self, policy: ReadinessPolicy) -> InstanceStatus;

    /// The metrics of the stores and of the source.
    fn gather(&self) -> Vec<MetricFamily>;
}

/// Why a source cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("the manifests could not be read: {0}")]
    Load(#[from] tokio::task::JoinError),
    #[error("cannot register the metrics of the stores: {0}")]
    Registry(#[from] prometheus::Error),
}
