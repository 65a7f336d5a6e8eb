//! [`WatchHandle`]: controls a running watch.

use std::fmt;
use std::sync::Arc;

use super::shard_control::ShardControl;
use crate::registry::StateMetrics;
use crate::scope::Shard;
use crate::source::health::Health;

/// Controls a [`ClusterWatch`](super::ClusterWatch) while it runs. A clone controls the same watch.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::registry::Shard;
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let handle = metrics.watch(client).build()?.handle();
/// assert_eq!(handle.shard(), Shard::default());
/// assert!(!handle.health().snapshot().ready);
/// handle.set_shard(Shard::new(0, 2)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WatchHandle {
    health: Health,
    metrics: StateMetrics,
    control: Arc<ShardControl>,
}

// === impl WatchHandle ===

impl WatchHandle {
    pub(super) fn new(health: Health, metrics: StateMetrics, control: Arc<ShardControl>) -> Self {
        Self {
            health,
            metrics,
            control,
        }
    }

    /// The health of every resource.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The current shard.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.metrics.shard()
    }

    /// Changes the shard.
    ///
    /// If an object is in both the old and the new shard, its samples stay. If an object is only in the old shard, its
    /// samples are removed after the time [`shard_handover`](super::WatchBuilder::shard_handover).
    ///
    /// The watch lists every resource again to get the objects of the new shard. If the host feeds a resource, the host
    /// must also list this resource again.
    pub fn set_shard(&self, shard: Shard) {
        self.control.set(shard);
    }
}

impl fmt::Debug for WatchHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchHandle")
            .field("health", &self.health)
            .field("shard", &self.shard())
            .finish()
    }
}
