//! The stores and what feeds them, as one configuration asks for them.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_state_metrics::custom_resources::FamilyErrors;
use kube_state_metrics::manifests::{LoadReport, ManifestFeed, ManifestSource};
use kube_state_metrics::self_metrics::{DefinitionMetrics, StoreMetrics};
use kube_state_metrics::watch::{
    FeedHealth, Health, ReadinessPolicy, ResourceHealth, ResourceState, Source as FedBy, WatchError,
};
use kube_state_metrics::{BuildError, StateMetrics};
use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::cluster::{self, ClusterError};
use crate::follow::Follower;
use crate::handover::{Missing, Part};
use crate::options::{MetricsOptions, SourceOptions};
use crate::report::Reports;
use crate::status::{ResourceStatus, Status, thousands};

/// The resource of the definitions of custom resources.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Stores with a feed. Dropping it stops the feed.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) metrics: StateMetrics,
    pub(crate) content: MetricsOptions,
    pub(crate) reports: Reports,
    feed: Feed,
    /// It took the place of one that was ready, and has what that one had.
    inherits: bool,
    _tending: Task,
}

/// Why an instance cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("the manifests could not be read: {0}")]
    Load(#[from] tokio::task::JoinError),
    #[error("cannot register the metrics of the stores: {0}")]
    Registry(#[from] prometheus::Error),
}

/// Where the objects come from.
#[derive(Debug)]
enum Feed {
    Manifests(Manifests),
    Cluster(Cluster),
}

/// A cluster that is watched.
#[derive(Debug)]
struct Cluster {
    url: String,
    health: Health,
    policy: ReadinessPolicy,
    registry: Registry,
    task: Task,
}

/// Manifests that are followed.
#[derive(Debug)]
struct Manifests {
    state: Arc<Mutex<Loaded>>,
    own: ManifestMetrics,
    task: Task,
}

/// What the last reading of the manifests gave.
#[derive(Debug)]
struct Loaded {
    at: Instant,
    objects: usize,
    problems: BTreeSet<String>,
}

/// Metrics of the stores and of the reading of manifests.
#[derive(Debug)]
struct ManifestMetrics {
    registry: Registry,
    problems: IntGauge,
    definitions: DefinitionMetrics,
}

/// A task that ends with its handle.
#[derive(Debug)]
struct Task(JoinHandle<()>);

// === impl Instance ===

impl Instance {
    /// Builds the stores and follows their source: manifests are read at once, the objects of a
    /// cluster come as it sends them.
    ///
    /// # Errors
    ///
    /// Where the content is not valid, or there is no way to a cluster.
    pub(crate) async fn start(
        content: MetricsOptions,
        source: SourceOptions,
    ) -> Result<Self, InstanceError> {
        let metrics = content.build()?;
        let feed = if source.manifests.is_empty() {
            Feed::Cluster(Cluster::start(&metrics, &content, &source).await?)
        } else {
            Feed::Manifests(Manifests::start(&metrics, source.manifests).await?)
        };
        let tending = tokio::spawn(tend(metrics.clone()));
        Ok(Self {
            metrics,
            content,
            reports: Reports::default(),
            feed,
            inherits: false,
            _tending: Task(tending),
        })
    }

    /// Whether what feeds the stores is at work.
    pub(crate) fn is_alive(&self) -> bool {
        let task = match &self.feed {
            Feed::Manifests(manifests) => &manifests.task,
            Feed::Cluster(cluster) => &cluster.task,
        };
        !task.0.is_finished()
    }

    /// Waits until there is something complete to serve.
    pub(crate) async fn ready(&self) {
        if let Feed::Cluster(cluster) = &self.feed {
            cluster.health.ready(cluster.policy).await;
        }
    }

    /// Waits until every resource is complete or refused.
    pub(crate) async fn settled(&self) {
        if let Feed::Cluster(cluster) = &self.feed {
            cluster.health.ready(ReadinessPolicy::Default).await;
        }
    }

    /// What is served completely.
    pub(crate) fn held(&self) -> Vec<Part> {
        match &self.feed {
            Feed::Manifests(_) => labels(&self.metrics).map(Part::all).collect(),
            Feed::Cluster(cluster) => cluster.held(),
        }
    }

    /// What is neither complete nor refused.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        match &self.feed {
            Feed::Manifests(_) => Vec::new(),
            Feed::Cluster(cluster) => cluster.missing(&self.metrics, &self.content),
        }
    }

    /// Takes the place of another one, whose readiness it keeps: nothing gets worse by that.
    pub(crate) fn take_over(&mut self, old: &Self) {
        self.inherits = old.status().ready;
    }

    /// What is known of each resource.
    pub(crate) fn status(&self) -> Status {
        match &self.feed {
            Feed::Manifests(manifests) => manifests.status(&self.metrics),
            Feed::Cluster(cluster) => cluster.status(self.inherits),
        }
    }

    /// Metrics of the stores and their feed.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        match &self.feed {
            Feed::Manifests(manifests) => {
                let problems = manifests.state.lock().problems.len();
                let own = &manifests.own;
                own.problems.set(problems.try_into().unwrap_or(i64::MAX));
                own.registry.gather()
            }
            Feed::Cluster(cluster) => cluster.registry.gather(),
        }
    }

    /// What is served, in words: `1,234 series of 120 objects`.
    pub(crate) fn summary(&self) -> String {
        let status = self.status();
        let (series, objects) = (thousands(status.series()), thousands(status.objects()));
        format!("{series} series of {objects} objects")
    }
}

/// The resources there are now, as they are shown.
fn labels(metrics: &StateMetrics) -> impl Iterator<Item = String> + use<> {
    metrics.stats().map(|(resource, _)| resource.label())
}

/// Keeps compressed blocks in shape, and names what configured families cannot read.
async fn tend(metrics: StateMetrics) {
    let mut unread = HashSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let compressed = metrics.clone();
        // Compressing takes a while where there is much.
        if tokio::task::spawn_blocking(move || compressed.tend_gzip_cache())
            .await
            .is_err()
        {
            return;
        }
        for errors in told_first(&metrics, &mut unread) {
            tell(&errors);
        }
    }
}

/// The errors of families that had none before.
fn told_first(metrics: &StateMetrics, told: &mut HashSet<(String, String)>) -> Vec<FamilyErrors> {
    let mut errors = metrics.custom_resource_errors();
    errors.retain(|own| told.insert((own.resource.clone(), own.family.clone())));
    errors
}

/// Names the first value that a family cannot read; the others are counted.
fn tell(errors: &FamilyErrors) {
    let FamilyErrors {
        resource, family, ..
    } = errors;
    let example = errors.examples.first().map_or("", String::as_str);
    let message = "a value cannot be read; further ones are counted in \
                   kube_state_metrics_custom_resource_errors_total";
    // The configured level is one of the flag `-v`.
    match errors.level {
        ..=0 => tracing::warn!(resource, family, example, "{message}"),
        1..=2 => tracing::debug!(resource, family, example, "{message}"),
        3.. => tracing::trace!(resource, family, example, "{message}"),
    }
}

// === impl Cluster ===

impl Cluster {
    async fn start(
        metrics: &StateMetrics,
        content: &MetricsOptions,
        source: &SourceOptions,
    ) -> Result<Self, InstanceError> {
        let (client, url) = cluster::client(source).await?;
        let registry = Registry::new();
        let mut watch = metrics
            .watch(client)
            .registry(&registry)
            .object_limit(source.object_limit)
            .use_api_server_cache(source.use_cache)
            .streaming_lists(source.streaming_lists)
            .discover_custom_resources(content.custom.config.is_some())
            .shard_handover(source.shard_handover);
        if let Some(node) = &source.node {
            watch = watch.node(node);
        }
        if source.unscheduled_pods {
            watch = watch.unscheduled_pods();
        }
        if let Some((namespace, pod)) = &source.pod {
            watch = watch.shard_of_pod(namespace, pod);
        }
        let watcher = watch.build()?;
        Ok(Self {
            url,
            health: watcher.health(),
            policy: source.readiness,
            registry,
            task: Task(tokio::spawn(watcher.run())),
        })
    }

    fn held(&self) -> Vec<Part> {
        let mut held = Vec::new();
        for own in self.health.resources() {
            if own.complete {
                held.push(Part::all(own.resource.clone()));
            }
            // Where all are complete and the resource is not, it has not had their lists yet.
            if !own.feeds.iter().all(|feed| feed.complete) {
                let complete = own.feeds.iter().filter(|feed| feed.complete);
                held.extend(complete.map(|feed| Part::of(&own, feed)));
            }
        }
        held
    }

    fn missing(&self, metrics: &StateMetrics, content: &MetricsOptions) -> Vec<Missing> {
        // First, so that the kinds of all definitions that are complete here are looked for below.
        let known = self.health.resources();
        let definitions = content.custom.config.as_ref().map(|_| DEFINITIONS.into());
        let wanted = labels(metrics).chain(definitions);
        let unknown = wanted.filter(|label| !known.iter().any(|own| own.resource == *label));
        let unknown = unknown.map(|label| Missing {
            part: Part::all(label),
            reason: ResourceState::NotStarted.to_string(),
        });
        let mut missing: Vec<_> = unknown.collect();
        for own in &known {
            missing.extend(missing_of(own));
        }
        missing
    }

    /// With `inherits`, a resource that is not complete yet does not undo the readiness there was.
    fn status(&self, inherits: bool) -> Status {
        let readiness = self.health.readiness(self.policy);
        let inherits = inherits && self.policy == ReadinessPolicy::Default;
        // The first line says what the figures say.
        let remarks = readiness
            .to_string()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        let resources = self.health.resources();
        Status {
            ready: readiness.ready || inherits,
            source: format!("watching {}", self.url),
            remarks,
            resources: resources.into_iter().map(ResourceStatus::from).collect(),
        }
    }
}

/// What a resource lacks.
fn missing_of(own: &ResourceHealth) -> Vec<Missing> {
    if own.complete || own.source != FedBy::Watched {
        return Vec::new();
    }
    let lacking = |part, state: ResourceState, error: Option<&String>| Missing {
        part,
        reason: match (state, error) {
            // It begins with the state.
            (ResourceState::Failing(_), Some(error)) => error.clone(),
            _ => state.to_string(),
        },
    };
    let feeds = || own.feeds.iter();
    if feeds().all(|feed| feed.complete) {
        let part = Part::all(own.resource.clone());
        return vec![lacking(part, own.state, own.last_error.as_ref())];
    }
    let open = feeds().filter(|feed| !feed.complete && !feed.was_refused);
    open.map(|feed| lacking(Part::of(own, feed), feed.state, feed.last_error.as_ref()))
        .collect()
}

// === impl Part ===

impl Part {
    fn all(resource: String) -> Self {
        Self {
            resource,
            namespace: None,
        }
    }

    fn of(own: &ResourceHealth, feed: &FeedHealth) -> Self {
        Self {
            resource: own.resource.clone(),
            namespace: feed.namespace.clone(),
        }
    }
}

impl From<ResourceHealth> for ResourceStatus {
    fn from(own: ResourceHealth) -> Self {
        let state = match own.source {
            FedBy::LeftOut => "left out".to_owned(),
            _ => own.state.to_string(),
        };
        Self {
            resource: own.resource,
            api_version: own.api_version,
            kind: own.kind,
            state,
            objects: own.objects,
            series: own.series,
            memory_bytes: own.memory_bytes,
            last_event_seconds: own.silent_seconds,
            errors: own.decode_errors,
            last_error: own.last_error,
        }
    }
}

// === impl Manifests ===

impl Manifests {
    async fn start(metrics: &StateMetrics, paths: Vec<PathBuf>) -> Result<Self, InstanceError> {
        let own = ManifestMetrics::new(metrics)?;
        // Before the first reading, so that no change between the two is missed.
        let follower = Follower::new(paths.clone());
        let feed = ManifestSource::new(paths).open(metrics);
        let (feed, report) = load(feed).await?;
        let definitions = own.definitions.clone();
        definitions.note(report.definitions);
        let state = Arc::new(Mutex::new(Loaded::of(report, &BTreeSet::new())));
        let task = tokio::spawn(follow(follower, feed, Arc::clone(&state), definitions));
        Ok(Self {
            state,
            own,
            task: Task(task),
        })
    }

    fn status(&self, metrics: &StateMetrics) -> Status {
        let state = self.state.lock();
        let remarks = match state.problems.len() {
            0 => Vec::new(),
            count => vec![format!(
                "{count} documents or files skipped; the log names them"
            )],
        };
        let resources = metrics.stats().map(|(resource, stats)| ResourceStatus {
            resource: resource.label(),
            api_version: resource.api_version().into_owned(),
            kind: resource.kind().to_owned(),
            state: "synced".to_owned(),
            objects: stats.objects,
            series: stats.series,
            memory_bytes: stats.memory_bytes,
            last_event_seconds: Some(state.at.elapsed().as_secs_f64()),
            errors: stats.decode_syntax_errors + stats.decode_field_errors,
            last_error: None,
        });
        Status {
            ready: true,
            source: "manifests".to_owned(),
            remarks,
            resources: resources.collect(),
        }
    }
}

/// Reads the manifests, beside the other work.
async fn load(
    mut feed: ManifestFeed,
) -> Result<(ManifestFeed, LoadReport), tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || {
        let report = feed.reload();
        (feed, report)
    })
    .await
}

/// Reads the manifests again whenever they change.
async fn follow(
    mut follower: Follower,
    mut feed: ManifestFeed,
    state: Arc<Mutex<Loaded>>,
    definitions: DefinitionMetrics,
) {
    loop {
        follower.changed().await;
        let report;
        (feed, report) = match load(feed).await {
            Ok(loaded) => loaded,
            // Only where the process is about to end.
            Err(_) => return,
        };
        definitions.note(report.definitions);
        let before = std::mem::take(&mut state.lock().problems);
        let loaded = Loaded::of(report, &before);
        tracing::info!(
            "manifests read again: {} objects",
            thousands(loaded.objects as u64)
        );
        *state.lock() = loaded;
    }
}

impl Loaded {
    /// Logs what was skipped, unless it was `known` before.
    fn of(report: LoadReport, known: &BTreeSet<String>) -> Self {
        let problems: BTreeSet<_> = report.problems.iter().map(ToString::to_string).collect();
        for problem in problems.difference(known) {
            tracing::warn!("{problem}");
        }
        Self {
            at: Instant::now(),
            objects: report.objects,
            problems,
        }
    }
}

// === impl ManifestMetrics ===

impl ManifestMetrics {
    fn new(metrics: &StateMetrics) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let problems = IntGauge::new(
            "kube_state_metrics_manifest_problems",
            "Files, documents and objects that were skipped when the manifests were read last.",
        )?;
        let definitions = DefinitionMetrics::new()?;
        registry.register(Box::new(problems.clone()))?;
        registry.register(Box::new(definitions.clone()))?;
        registry.register(Box::new(StoreMetrics::new(metrics)?))?;
        Ok(Self {
            registry,
            problems,
            definitions,
        })
    }
}

// === impl Task ===

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
