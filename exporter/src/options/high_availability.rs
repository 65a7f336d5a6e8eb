//! High availability: replicas of which one serves the metrics of objects.

use std::env;
use std::time::Duration;

use super::metrics::MetricsOptions;
use super::parse::OnOutage;
use super::reader::Reader;
use super::source::SourceOptions;
use super::table;

/// How this replica takes part in the election of a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HighAvailability {
    /// The name of this replica, which people read in the Lease and in metrics.
    pub(crate) identity: String,
    /// The namespace of the Lease; `None` for the namespace of the pod or of the kubeconfig.
    pub(crate) namespace: Option<String>,
    pub(crate) lease_name: String,
    pub(crate) lease_duration: Duration,
    pub(crate) on_outage: OnOutage,
}

/// The name of the Lease if there is one shard. Shards have one Lease each.
const LEASE: &str = "kube-state-metrics";

// === impl HighAvailability ===

impl HighAvailability {
    /// Reads the options; `None` without `--ha`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        metrics: &MetricsOptions,
        source: &SourceOptions,
    ) -> Option<Self> {
        let is_enabled = reader.value(&table::HA);
        let options = Self {
            identity: reader.value(&table::HA_IDENTITY).unwrap_or_else(identity),
            namespace: reader.value(&table::HA_NAMESPACE),
            lease_name: (reader.value(&table::HA_LEASE_NAME))
                .unwrap_or_else(|| lease_name(metrics, source)),
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
            // All nodes would share the Lease, and only one node would have metrics.
            reader.problems.push(
                "--ha cannot be combined with --node, because each node has one exporter; remove one of the two"
                    .into(),
            );
        }
        Some(options)
    }
}

/// The name of the pod, or of the machine.
fn identity() -> String {
    let pod = env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    pod.unwrap_or_else(|| {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    })
}

/// The name of the Lease of the shard.
fn lease_name(metrics: &MetricsOptions, source: &SourceOptions) -> String {
    let shard = metrics.shard;
    let index = match &source.pod {
        // `rbac` may have a placeholder instead of the name of the pod.
        Some((_, pod)) => {
            let ordinal = pod.rsplit_once('-').and_then(|(_, own)| own.parse().ok());
            Some(ordinal.unwrap_or_default())
        }
        None => (shard.total() > 1).then(|| shard.index()),
    };
    match index {
        Some(index) => format!("{LEASE}-shard-{index}"),
        None => LEASE.to_owned(),
    }
}
