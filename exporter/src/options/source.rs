//! The options of the source of objects: a cluster or manifests.

use std::path::PathBuf;
use std::time::Duration;

use kube_state_metrics::source::health::ReadinessPolicy;

use super::default_kubeconfig;
use super::reader::Reader;
use super::table;

/// The options of the source of objects: a cluster or manifests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceOptions {
    /// Files and directories with manifests. If there are none, the source is a cluster.
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) apiserver: Option<http::Uri>,
    /// The files of the kubeconfig; several files are merged.
    pub(crate) kubeconfig: Vec<PathBuf>,
    pub(crate) node: Option<String>,
    pub(crate) unscheduled_pods: bool,
    pub(crate) use_cache: bool,
    pub(crate) streaming_lists: bool,
    /// Whether the exporter requests protobuf for kinds that support protobuf.
    pub(crate) protobuf: bool,
    pub(crate) object_limit: u64,
    /// The maximum size of one object in bytes; zero means no limit.
    pub(crate) object_size_limit: usize,
    pub(crate) feed_buffer_limit: usize,
    /// The maximum number of objects of one list; zero means no limit.
    pub(crate) list_object_limit: u64,
    /// Maximum time of a streaming list.
    pub(crate) list_deadline: Duration,
    pub(crate) readiness: ReadinessPolicy,
    pub(crate) readiness_deadline: Duration,
    pub(crate) forget_forbidden_after: Duration,
    /// The time between two audits of a watch; zero means no audits.
    pub(crate) audit_interval: Duration,
    /// The value of `--shard-handover`; `None` if the option is not set.
    pub(crate) shard_handover: Option<Duration>,
    /// Namespace and name of the pod of this exporter.
    pub(crate) pod: Option<(String, String)>,
}

// === impl SourceOptions ===

impl SourceOptions {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let pod = reader.value(&table::POD);
        let namespace = reader.value(&table::POD_NAMESPACE);
        if pod.is_some() != namespace.is_some() {
            reader.warnings.push(
                "only one of --pod and --pod-namespace is set, so --shard and --total-shards apply; to find \
                 the shard by the StatefulSet, set both"
                    .into(),
            );
        }
        let manifests = reader.items(&table::MANIFESTS);
        Self {
            manifests: manifests.into_iter().map(PathBuf::from).collect(),
            apiserver: reader.value(&table::APISERVER),
            kubeconfig: reader.value(&table::KUBECONFIG).into_iter().collect(),
            node: reader.value(&table::NODE),
            unscheduled_pods: reader.value(&table::TRACK_UNSCHEDULED_PODS),
            use_cache: reader.value(&table::USE_APISERVER_CACHE),
            streaming_lists: !reader.value(&table::NO_WATCHLIST),
            protobuf: reader.value(&table::WIRE),
            object_limit: reader.value(&table::OBJECT_LIMIT),
            object_size_limit: reader.value(&table::OBJECT_SIZE_LIMIT),
            feed_buffer_limit: reader.value(&table::FEED_BUFFER_LIMIT),
            list_object_limit: reader.value(&table::LIST_OBJECT_LIMIT),
            list_deadline: reader.value(&table::LIST_DEADLINE).unwrap_or_default(),
            readiness: reader.value(&table::READINESS),
            readiness_deadline: reader.value(&table::READINESS_DEADLINE).unwrap_or_default(),
            forget_forbidden_after: reader
                .value(&table::FORGET_FORBIDDEN_AFTER)
                .unwrap_or_default(),
            audit_interval: reader.value(&table::AUDIT_INTERVAL).unwrap_or_default(),
            shard_handover: reader
                .value(&table::SHARD_HANDOVER)
                .map(Option::unwrap_or_default),
            pod: namespace.zip(pod),
        }
    }

    /// Sets the default kubeconfig if the options name no source. Outside a pod, this is the kubeconfig that kubectl
    /// uses.
    pub(crate) fn find_kubeconfig(&mut self) {
        if self.kubeconfig.is_empty() && self.apiserver.is_none() && self.manifests.is_empty() {
            self.kubeconfig = default_kubeconfig::find();
        }
    }

    /// Warns about options that have no effect because of other options.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if !self.manifests.is_empty() {
            let idle = [
                ("--node", self.node.is_some()),
                ("--track-unscheduled-pods", self.unscheduled_pods),
                ("--use-apiserver-cache", self.use_cache),
                ("--object-limit", self.object_limit > 0),
                ("--pod and --pod-namespace", self.pod.is_some()),
            ];
            for (flags, _) in idle.iter().filter(|(_, given)| *given) {
                reader
                    .warnings
                    .push(format!("{flags}: no effect with --manifests"));
            }
        } else if self.node.is_some() && self.unscheduled_pods {
            reader
                .warnings
                .push("--node has no effect with --track-unscheduled-pods".into());
        }
    }
}
