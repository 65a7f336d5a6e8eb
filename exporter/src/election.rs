//! High availability: one of several replicas serves the metrics of objects. A Lease of the API server determines this
//! replica.
//!
//! [`machine`] has the rules, and uses neither a clock nor the network. [`driver`] follows the rules, and sends the
//! requests to the API server. [`Leadership`] has the result, which each response reads.

#[cfg(test)]
mod chaos;
mod clock;
mod driver;
mod leadership;
mod machine;
mod record;
mod timing;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{self, ClusterError};
use crate::options::{HighAvailability, SourceOptions};
use clock::uptime;
use driver::{Driver, LeaseClient};
use machine::{Election, Uptime};
use timing::Timing;

pub(crate) use leadership::Leadership;
pub(crate) use record::Exported;

/// A replica that does not take part in the election yet.
pub(crate) struct Candidate {
    leases: LeaseClient,
    /// The identity in the Lease.
    identity: String,
    options: HighAvailability,
    leadership: Leadership,
}

/// The election that this replica takes part in. If this value is dropped, the replica leaves the election without a
/// hand-over.
#[derive(Debug)]
pub(crate) struct RunningElection {
    leave: watch::Sender<Option<Uptime>>,
    task: JoinHandle<()>,
}

/// Maximum size of a response of the API server. A Lease is smaller.
const LARGEST_RESPONSE: usize = 1 << 20;

/// The reason why this replica cannot take part in an election.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElectionError {
    #[error("cannot connect to the API server for --ha: {0}")]
    Cluster(#[from] ClusterError),
    #[error("cannot create the metrics of the election: {0}")]
    Metrics(#[from] prometheus::Error),
}

// === impl Candidate ===

impl Candidate {
    /// Creates a client for the API server, but sends no request.
    ///
    /// # Errors
    ///
    /// If the options provide no API server.
    pub(crate) async fn new(
        options: &HighAvailability,
        source: &SourceOptions,
    ) -> Result<Self, ElectionError> {
        let (client, _) = cluster::client(source).await?;
        let client = cluster::bounded(client, LARGEST_RESPONSE);
        let namespace = options.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let name = options.lease_name.clone();
        let leadership = Leadership::new(&format!("{namespace}/{name}"), &options.identity)?;
        let leases = Api::namespaced_with(client, &namespace, &record::lease_resource());
        Ok(Self {
            leases: LeaseClient::new(leases, name),
            // If a container restarts in its pod, the Lease may still name the old process as the leader. The new
            // process needs another identity, because it has not renewed the Lease.
            identity: format!("{}_{:016x}", options.identity, random()),
            options: options.clone(),
            leadership,
        })
    }

    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Takes part in the election. `exported` returns the versions of the objects that this replica exports; `None`
    /// until the replica meets the readiness policy.
    pub(crate) fn start(
        self,
        exported: impl Fn() -> Option<Exported> + Send + Sync + 'static,
    ) -> RunningElection {
        let timing = Timing::new(self.options.lease_duration);
        let (leave, left) = watch::channel(None);
        let driver = Driver {
            election: Election::new(self.identity, timing, self.options.on_outage),
            timing,
            leases: self.leases,
            leadership: self.leadership,
            exported: Arc::new(exported),
            leave: left,
        };
        RunningElection {
            leave,
            task: tokio::spawn(driver.run()),
        }
    }
}

/// A number that differs between processes, because the standard library keys each hasher with random numbers.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

// === impl RunningElection ===

impl RunningElection {
    /// Hands over to a standby. If no standby has accepted within the limit, releases the Lease.
    pub(crate) async fn leave(&mut self, limit: Duration) {
        // The limit starts now. The driver may begin the hand-over later, when its request in progress has ended.
        self.leave.send_replace(Some(uptime() + limit));
        // An error means that the task has panicked. The Lease then expires.
        let _ = (&mut self.task).await;
    }
}

impl Drop for RunningElection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
