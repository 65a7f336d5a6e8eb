//! High availability: only one of several replicas, the leader, serves the metrics of objects.
//!
//! The other replicas are standbys. A Lease, an object of the API server, names the leader.
//!
//! [`machine`] has the rules, and uses neither a clock nor the network. [`driver`] follows the rules, and sends the
//! requests to the API server. [`Leadership`] contains the decision whether this replica is the leader. Each response
//! reads this decision.

#[cfg(test)]
mod chaos;
mod clock;
mod driver;
mod leadership;
mod machine;
mod problems;
mod record;
mod timing;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{self, ClusterError, ServerInUse};
use crate::options::{HighAvailability, SourceOptions, names};
use clock::uptime;
use driver::{Driver, LeaseClient};
use machine::{Election, Uptime};
use problems::Problems;
use timing::Timing;

pub(crate) use leadership::Leadership;
pub(crate) use record::Exported;

/// A replica that has not started to take part in the election.
pub(crate) struct Candidate {
    leases: LeaseClient,
    /// The text that names this replica in the Lease.
    identity: String,
    options: HighAvailability,
    leadership: Leadership,
}

/// The running election of this replica. If this value is dropped, the replica leaves the election without a hand-over
/// to a standby.
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
    #[error(
        "the kubeconfig or the pod has an invalid namespace, so --ha has no namespace for the Lease; set --ha-namespace"
    )]
    Namespace,
    #[error("cannot create the metrics of the election: {0}")]
    Metrics(#[from] prometheus::Error),
}

// === impl Candidate ===

impl Candidate {
    /// Creates a client for the API server `server`, but sends no request.
    ///
    /// # Errors
    ///
    /// The function fails if the options do not name an API server.
    pub(crate) async fn new(
        options: &HighAvailability,
        source: &SourceOptions,
        server: &ServerInUse,
    ) -> Result<Self, ElectionError> {
        let (client, _) = cluster::client(source, server).await?;
        let client = cluster::bounded(client, LARGEST_RESPONSE);
        let namespace = options.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        // The namespace becomes a part of the path of requests.
        if !names::is_namespace(&namespace) {
            return Err(ElectionError::Namespace);
        }
        let name = options.lease_name.clone();
        let leadership = Leadership::new(&format!("{namespace}/{name}"), &options.identity)?;
        let leases = Api::namespaced_with(client, &namespace, &record::lease_resource());
        Ok(Self {
            leases: LeaseClient::new(leases, name),
            // If a container restarts in its pod, the Lease may still name the old process as the leader. The random
            // number gives the new process another identity, so that the new process does not consider itself the
            // leader.
            identity: format!("{}_{:016x}", options.identity, random()),
            options: options.clone(),
            leadership,
        })
    }

    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Starts to take part in the election. `exported` returns the resource versions of the objects that this replica
    /// exports, or `None` until the replica meets the readiness policy.
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
            problems: Problems::default(),
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

/// Returns a random number. The standard library creates each hasher with random keys, so the hash of no data is
/// random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

// === impl RunningElection ===

impl RunningElection {
    /// Hands over the leadership to a standby. If no standby accepts within the limit, releases the Lease.
    pub(crate) async fn leave(&mut self, limit: Duration) {
        // The time limit starts now, even if the driver must first wait for the response to a request in progress.
        self.leave.send_replace(Some(uptime() + limit));
        // An error means that the task has panicked. The error needs no action, because the Lease expires in this case.
        let _ = (&mut self.task).await;
    }
}

impl Drop for RunningElection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
