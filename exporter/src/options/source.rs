//! Where the objects come from.

use std::path::PathBuf;
use std::time::Duration;

use kube_state_metrics::watch::ReadinessPolicy;

use super::flags::SourceFlags;
use super::parse;
use super::reader::Reader;
use crate::config_file::{ConfigFile, Scalar};

/// Where the objects come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceOptions {
    /// Files and directories; a cluster where there are none.
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) apiserver: Option<http::Uri>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) node: Option<String>,
    pub(crate) unscheduled_pods: bool,
    pub(crate) use_cache: bool,
    pub(crate) streaming_lists: bool,
    pub(crate) object_limit: u64,
    pub(crate) readiness: ReadinessPolicy,
    pub(crate) shard_handover: Duration,
    /// Namespace and name of the own pod.
    pub(crate) pod: Option<(String, String)>,
}

// === impl SourceOptions ===

impl SourceOptions {
    /// Reads it from flags and file.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &SourceFlags, file: &ConfigFile) -> Self {
        let text = |flag: &Option<String>, key: &Scalar| {
            key.0
                .as_ref()
                .or(flag.as_ref())
                .filter(|text| !text.is_empty())
                .cloned()
        };
        let pod = text(&flags.pod, &file.pod);
        let namespace = text(&flags.pod_namespace, &file.pod_namespace);
        if pod.is_some() != namespace.is_some() {
            reader.warnings.push(
                "--pod and --pod-namespace find the shard only together; one of them is missing, so \
                 --shard and --total-shards count"
                    .into(),
            );
        }
        let apiserver = text(&flags.apiserver, &file.apiserver);
        let manifests = file.manifests.as_ref().unwrap_or(&flags.manifests);
        Self {
            manifests: parse::items(manifests)
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            apiserver: apiserver.and_then(|url| {
                let from = reader.from("--apiserver", "apiserver", file.apiserver.0.is_some());
                let uri = parse::server(&url);
                uri.map_err(|cure| reader.problems.push(format!("{from}: `{url}` {cure}")))
                    .ok()
            }),
            kubeconfig: text(&flags.kubeconfig, &file.kubeconfig).map(PathBuf::from),
            node: text(&flags.node, &file.node),
            unscheduled_pods: reader.value(
                "--track-unscheduled-pods",
                &flags.track_unscheduled_pods,
                "track_unscheduled_pods",
                &file.track_unscheduled_pods,
                parse::switch,
                false,
            ),
            use_cache: reader.value(
                "--use-apiserver-cache",
                &flags.use_apiserver_cache,
                "use_api_server_cache",
                &file.use_apiserver_cache,
                parse::switch,
                false,
            ),
            streaming_lists: !reader.value(
                "--no-watchlist",
                &flags.no_watchlist,
                "no_watchlist",
                &file.no_watchlist,
                parse::switch,
                false,
            ),
            object_limit: reader.value(
                "--object-limit",
                &flags.object_limit,
                "object_limit",
                &file.object_limit,
                parse::limit,
                0,
            ),
            readiness: reader.value(
                "--readiness",
                &flags.readiness,
                "readiness",
                &file.readiness,
                |text| {
                    text.parse()
                        .map_err(|_| "is neither `default` nor `strict`".into())
                },
                ReadinessPolicy::Default,
            ),
            shard_handover: reader
                .value(
                    "--shard-handover",
                    &flags.shard_handover,
                    "shard_handover",
                    &file.shard_handover,
                    parse::timeout,
                    None,
                )
                .unwrap_or_default(),
            pod: namespace.zip(pod),
        }
    }

    /// Notes which of the options have no effect together.
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
                .push("--node has no effect beside --track-unscheduled-pods".into());
        }
    }
}
