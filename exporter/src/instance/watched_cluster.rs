//! A cluster as a source: its objects are listed and watched.

use kube_state_metrics::StateMetrics;
use kube_state_metrics::source::health::{
    FeedHealth, FeedOrigin, Health, ReadinessPolicy, ResourceHealth, ResourceState,
};
use prometheus::Registry;
use prometheus::proto::MetricFamily;

use super::coverage::{Coverage, ResourceScope, UncoveredScope};
use super::source::{ObjectSource, SourceError, SourceFuture};
use super::status::{InstanceStatus, ResourceStatus};
use super::task::BackgroundTask;
use crate::cluster;
use crate::options::SourceOptions;

/// The resource of the definitions of custom resources.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Watches a cluster.
#[derive(Debug)]
pub(super) struct WatchedCluster {
    metrics: StateMetrics,
    url: String,
    health: Health,
    /// Custom resources are found by their definitions, which are watched for that.
    discovers_custom_resources: bool,
    registry: Registry,
    task: BackgroundTask,
}

// === impl WatchedCluster ===

impl WatchedCluster {
    /// Connects to the API server and starts the watches. Does not wait for objects.
    ///
    /// # Errors
    ///
    /// If the options lead to no API server, or the watches cannot be configured.
    pub(super) async fn start(
        metrics: StateMetrics,
        options: &SourceOptions,
        discovers_custom_resources: bool,
    ) -> Result<Self, SourceError> {
        let (client, url) = cluster::client(options).await?;
        let registry = Registry::new();
        let mut watch = metrics
            .watch(client)
            .registry(&registry)
            .object_limit(options.object_limit)
            .use_api_server_cache(options.use_cache)
            .streaming_lists(options.streaming_lists)
            .discover_custom_resources(discovers_custom_resources)
            .shard_handover(options.shard_handover);
        if let Some(node) = &options.node {
            watch = watch.node(node);
        }
        if options.unscheduled_pods {
            watch = watch.unscheduled_pods();
        }
        if let Some((namespace, pod)) = &options.pod {
            watch = watch.shard_of_pod(namespace, pod);
        }
        let watcher = watch.build()?;
        Ok(Self {
            metrics,
            url,
            health: watcher.health(),
            discovers_custom_resources,
            registry,
            task: BackgroundTask::spawn(watcher.run()),
        })
    }

    /// The scopes of resources that the watch has not started yet.
    fn not_started(&self, known: &[ResourceHealth]) -> impl Iterator<Item = UncoveredScope> {
        let stores = (self.metrics.stores().into_iter()).map(|store| store.resource().label());
        let definitions = self
            .discovers_custom_resources
            .then(|| DEFINITIONS.to_owned());
        let wanted = stores.chain(definitions);
        let unknown = wanted.filter(|label| known.iter().all(|health| health.resource != *label));
        unknown.map(|label| UncoveredScope {
            scope: ResourceScope::all_namespaces(label),
            reason: ResourceState::NotStarted.to_string(),
        })
    }
}

impl ObjectSource for WatchedCluster {
    fn is_alive(&self) -> bool {
        self.task.is_running()
    }

    fn ready(&self, policy: ReadinessPolicy) -> SourceFuture<'_> {
        Box::pin(async move {
            self.health.ready(policy).await;
        })
    }

    fn coverage(&self) -> Coverage {
        // Before the stores are listed: if all definitions are complete here, their stores exist.
        let resources = self.health.resources();
        let mut uncovered: Vec<_> = self.not_started(&resources).collect();
        uncovered.extend(resources.iter().flat_map(uncovered_scopes));
        Coverage {
            covered: resources.iter().flat_map(covered_scopes).collect(),
            uncovered,
        }
    }

    fn status(&self, policy: ReadinessPolicy) -> InstanceStatus {
        let readiness = self.health.readiness(policy);
        // The first line repeats whether it is ready.
        let remarks = readiness.to_string();
        let remarks = remarks.lines().skip(1).map(str::to_owned);
        let resources = self.health.resources();
        InstanceStatus {
            ready: readiness.ready,
            source: format!("watching {}", self.url),
            remarks: remarks.collect(),
            resources: resources.into_iter().map(resource_status).collect(),
        }
    }

    fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn covered_scopes(health: &ResourceHealth) -> Vec<ResourceScope> {
    let mut covered = Vec::new();
    if health.complete {
        covered.push(ResourceScope::all_namespaces(health.resource.clone()));
    }
    // If all feeds are complete and the resource is not, it does not serve their lists yet.
    if !health.feeds.iter().all(|feed| feed.complete) {
        let complete = health.feeds.iter().filter(|feed| feed.complete);
        covered.extend(complete.map(|feed| feed_scope(health, feed)));
    }
    covered
}

fn uncovered_scopes(health: &ResourceHealth) -> Vec<UncoveredScope> {
    if health.complete || health.source != FeedOrigin::Watched {
        return Vec::new();
    }
    if health.feeds.iter().all(|feed| feed.complete) {
        let scope = ResourceScope::all_namespaces(health.resource.clone());
        let reason = reason(health.state, health.last_error.as_deref());
        return vec![UncoveredScope { scope, reason }];
    }
    let feeds = health.feeds.iter();
    let open = feeds.filter(|feed| !feed.complete && !feed.was_refused);
    open.map(|feed| UncoveredScope {
        scope: feed_scope(health, feed),
        reason: reason(feed.state, feed.last_error.as_deref()),
    })
    .collect()
}

fn reason(state: ResourceState, error: Option<&str>) -> String {
    match (state, error) {
        // The error begins with the state.
        (ResourceState::Failing(_), Some(error)) => error.to_owned(),
        _ => state.to_string(),
    }
}

fn feed_scope(health: &ResourceHealth, feed: &FeedHealth) -> ResourceScope {
    ResourceScope {
        resource: health.resource.clone(),
        namespace: feed.namespace.clone(),
    }
}

fn resource_status(health: ResourceHealth) -> ResourceStatus {
    let state = match health.source {
        FeedOrigin::LeftOut => "left out".to_owned(),
        _ => health.state.to_string(),
    };
    ResourceStatus {
        resource: health.resource,
        api_version: health.api_version,
        kind: health.kind,
        state,
        objects: health.objects,
        series: health.series,
        memory_bytes: health.memory_bytes,
        last_event_seconds: health.silent_seconds,
        errors: health.decode_errors,
        last_error: health.last_error,
    }
}
