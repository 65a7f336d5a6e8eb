//! The options of high availability, with which only one of several replicas serves the metrics of objects.

use std::env;
use std::time::Duration;

use super::metrics::MetricsOptions;
use super::parse::OnOutage;
use super::reader::Reader;
use super::source::SourceOptions;
use super::table;

/// The options of the election in which the replicas choose a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HighAvailability {
    /// The name of this replica, which the Lease and metrics show.
    pub(crate) identity: String,
    /// The namespace of the Lease; `None` for the namespace of the pod or of the kubeconfig.
    pub(crate) namespace: Option<String>,
    pub(crate) lease_name: String,
    /// The part of the Lease's name that is the same for all shards. `None` if a user has set the name, or if there is
    /// only one shard.
    shared_name: Option<&'static str>,
    pub(crate) lease_duration: Duration,
    pub(crate) on_outage: OnOutage,
}

/// The default name of the Lease if there is one shard. If there are several shards, each shard has a separate Lease.
const LEASE: &str = "kube-state-metrics";
/// The default name of the Lease with `--track-unscheduled-pods`. This name differs from [`LEASE`], because other
/// replicas usually run in the same namespace. Those replicas export the other resources, and elect their own leader.
const UNSCHEDULED_PODS_LEASE: &str = "kube-state-metrics-unscheduled-pods";
/// Maximum number of Leases that a role names. If there are more shards, the role names only the Lease of this shard.
const MAX_NAMES: u32 = 1_000;

// === impl HighAvailability ===

impl HighAvailability {
    /// Reads the options; `None` without `--ha`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        metrics: &MetricsOptions,
        source: &SourceOptions,
    ) -> Option<Self> {
        let is_enabled = reader.value(&table::HA);
        let name = reader.value(&table::HA_LEASE_NAME);
        let default = match source.unscheduled_pods {
            true => UNSCHEDULED_PODS_LEASE,
            false => LEASE,
        };
        let shard = shard_index(metrics, source);
        let options = Self {
            identity: reader.value(&table::HA_IDENTITY).unwrap_or_else(identity),
            namespace: reader.value(&table::HA_NAMESPACE),
            shared_name: (name.is_none() && shard.is_some()).then_some(default),
            lease_name: name.unwrap_or_else(|| match shard {
                Some(index) => name_of_shard(default, index),
                None => default.to_owned(),
            }),
            lease_duration: reader.value(&table::HA_LEASE_DURATION),
            on_outage: reader.value(&table::HA_ON_OUTAGE),
        };
        if !is_enabled {
            return None;
        }
        if !source.manifests.is_empty() {
            reader.problems.push(
                "--ha needs an API server, and --manifests uses none; remove one of the two".into(),
            );
        }
        if source.node.is_some() && !source.unscheduled_pods {
            // The exporters on all nodes would share the Lease, so only one node would have metrics.
            reader.problems.push(
                "--ha cannot be combined with --node, because each node has one exporter; remove one of the two"
                    .into(),
            );
        }
        Some(options)
    }

    /// Returns the names of the Leases of all shards. Returns only the name of this shard's Lease in two cases: the
    /// name does not depend on the shard, or there are more than [`MAX_NAMES`] shards.
    pub(crate) fn lease_names(&self, shards: u32) -> Vec<String> {
        let all = self.shared_name.filter(|_| shards <= MAX_NAMES);
        let all = all
            .into_iter()
            .flat_map(|name| (0..shards).map(move |index| name_of_shard(name, index)));
        let mut names = vec![self.lease_name.clone()];
        names.extend(all.filter(|name| *name != self.lease_name));
        names
    }
}

/// The default identity: the name of the pod (`$POD_NAME`), or the host name.
fn identity() -> String {
    let pod = env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    pod.unwrap_or_else(|| {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    })
}

/// The index of the shard; `None` if there is one shard.
fn shard_index(metrics: &MetricsOptions, source: &SourceOptions) -> Option<u32> {
    let shard = metrics.shard;
    match &source.pod {
        // With the subcommand `rbac`, this name may be a placeholder without an ordinal, such as `$(POD_NAME)`.
        Some((_, pod)) => {
            let ordinal = pod.rsplit_once('-').and_then(|(_, own)| own.parse().ok());
            Some(ordinal.unwrap_or_default())
        }
        None => (shard.total() > 1).then(|| shard.index()),
    }
}

fn name_of_shard(name: &str, index: u32) -> String {
    format!("{name}-shard-{index}")
}
