//! Starts a source that lists and watches the objects of a cluster.

use kube_state_metrics::StateMetrics;
use prometheus::Registry;
use tokio::sync::watch;

use super::server_version::ServerVersion;
use super::source::{RunningSource, SourceError, SourceParts};
use crate::cluster::{self, ServerInUse};
use crate::options::SourceOptions;

/// Connects to the API server and starts the watches. The function does not wait until objects arrive.
///
/// # Errors
///
/// The function fails if the options do not name the API server `server`, or if the watches cannot be configured.
pub(super) async fn start(
    metrics: &StateMetrics,
    options: &SourceOptions,
    server: &ServerInUse,
    discovers_custom_resources: bool,
) -> Result<RunningSource, SourceError> {
    let (client, url) = cluster::client(options, server).await?;
    let server_version = ServerVersion::new(client.clone());
    let registry = Registry::new();
    let mut watch = metrics
        .watch(client)
        .registry(&registry)
        .object_limit(options.object_limit)
        .object_size_limit(options.object_size_limit)
        .max_list_objects(options.list_object_limit)
        .feed_buffer_limit(options.feed_buffer_limit)
        .use_api_server_cache(options.use_cache)
        .streaming_lists(options.streaming_lists)
        .protobuf(options.protobuf)
        .list_deadline(options.list_deadline)
        .readiness_deadline(options.readiness_deadline)
        .forget_forbidden_after(options.forget_forbidden_after)
        .audit_interval(options.audit_interval)
        .discover_custom_resources(discovers_custom_resources);
    if let Some(handover) = options.shard_handover {
        watch = watch.shard_handover(handover);
    }
    if let Some(node) = &options.node {
        watch = watch.node(node);
    }
    if options.unscheduled_pods {
        watch = watch.unscheduled_pods();
    }
    if let Some((namespace, pod)) = &options.pod {
        watch = watch.shard_of_pod(namespace, pod);
    }
    let parts = SourceParts {
        description: format!("watching {url}"),
        registry,
        skipped: None,
        server_version: Some(server_version),
        is_loaded: watch::channel(true).1,
        reading: None,
        readings: None,
    };
    RunningSource::start_on_thread(watch.build()?, server.span(), parts)
}
