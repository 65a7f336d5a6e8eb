//! Manifests as a source: their files are read at startup and after every change.

use std::collections::BTreeSet;
use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::self_metrics::{DefinitionMetrics, StoreMetrics};
use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::manifests::{LoadReport, ManifestFeed, ManifestSource};
use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

use super::coverage::{Coverage, ResourceScope};
use super::source::{ObjectSource, SourceError, SourceFuture};
use super::status::{InstanceStatus, ResourceStatus, SYNCED};
use super::task::BackgroundTask;
use crate::file_watcher::FileWatcher;
use crate::humanize::thousands;

/// Watches manifest files.
#[derive(Debug)]
pub(super) struct WatchedManifests {
    metrics: StateMetrics,
    state: Arc<Mutex<ManifestState>>,
    manifest_metrics: ManifestMetrics,
    task: BackgroundTask,
}

/// The result of the last reading.
#[derive(Debug)]
struct ManifestState {
    read_at: Instant,
    objects: usize,
    problems: BTreeSet<String>,
}

/// The metrics of the stores and of the manifests.
#[derive(Debug)]
struct ManifestMetrics {
    registry: Registry,
    problems: IntGauge,
    definitions: DefinitionMetrics,
}

// === impl WatchedManifests ===

impl WatchedManifests {
    /// Reads the manifests, and reads them again after every change.
    ///
    /// # Errors
    ///
    /// If the metrics cannot be registered. A file that cannot be read is logged and counted instead.
    pub(super) async fn start(
        metrics: StateMetrics,
        paths: Vec<PathBuf>,
    ) -> Result<Self, SourceError> {
        let manifest_metrics = ManifestMetrics::new(&metrics)?;
        // Before the first reading, so that no later change is missed.
        let file_watcher = FileWatcher::new(paths.clone());
        let feed = ManifestSource::new(paths).open(&metrics);
        let (feed, report) = load(feed).await?;
        let definitions = manifest_metrics.definitions.clone();
        definitions.record(report.definitions);
        let state = ManifestState::new(report, &BTreeSet::new());
        let state = Arc::new(Mutex::new(state));
        let reloading = reload_on_change(file_watcher, feed, Arc::clone(&state), definitions);
        Ok(Self {
            metrics,
            state,
            manifest_metrics,
            task: BackgroundTask::spawn(reloading),
        })
    }
}

impl ObjectSource for WatchedManifests {
    fn is_alive(&self) -> bool {
        self.task.is_running()
    }

    /// Resolves at once: the manifests have been read when the source starts.
    fn ready(&self, _: ReadinessPolicy) -> SourceFuture<'_> {
        Box::pin(ready(()))
    }

    fn coverage(&self) -> Coverage {
        let stores = self.metrics.stores().into_iter();
        let resources = stores.map(|store| store.resource().label());
        Coverage {
            covered: resources.map(ResourceScope::all_namespaces).collect(),
            uncovered: Vec::new(),
        }
    }

    fn status(&self, _: ReadinessPolicy) -> InstanceStatus {
        let state = self.state.lock();
        let remarks = match state.problems.len() {
            0 => Vec::new(),
            count => vec![format!(
                "{count} documents or files skipped; the log names them"
            )],
        };
        let stores = self.metrics.stores().into_iter();
        let resources = stores.map(|store| {
            let (resource, stats) = (store.resource(), store.stats());
            ResourceStatus {
                resource: resource.label(),
                api_version: resource.api_version().into_owned(),
                kind: resource.kind().to_owned(),
                state: SYNCED.to_owned(),
                objects: stats.objects,
                series: stats.series,
                memory_bytes: stats.memory_bytes,
                last_event_seconds: Some(state.read_at.elapsed().as_secs_f64()),
                errors: stats.decode_syntax_errors + stats.decode_field_errors,
                last_error: None,
            }
        });
        InstanceStatus {
            ready: true,
            source: "manifests".to_owned(),
            remarks,
            resources: resources.collect(),
        }
    }

    fn gather(&self) -> Vec<MetricFamily> {
        let problems = self.state.lock().problems.len();
        let metrics = &self.manifest_metrics;
        metrics
            .problems
            .set(problems.try_into().unwrap_or(i64::MAX));
        metrics.registry.gather()
    }
}

/// Reads the manifests on a thread for blocking work.
async fn load(
    mut feed: ManifestFeed,
) -> Result<(ManifestFeed, LoadReport), tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || {
        let report = feed.reload();
        (feed, report)
    })
    .await
}

async fn reload_on_change(
    mut file_watcher: FileWatcher,
    mut feed: ManifestFeed,
    state: Arc<Mutex<ManifestState>>,
    definitions: DefinitionMetrics,
) {
    loop {
        file_watcher.changed().await;
        let report;
        (feed, report) = match load(feed).await {
            Ok(loaded) => loaded,
            // The runtime is shutting down.
            Err(_) => return,
        };
        definitions.record(report.definitions);
        let before = std::mem::take(&mut state.lock().problems);
        let new = ManifestState::new(report, &before);
        tracing::info!(
            "manifests read again: {} objects",
            thousands(new.objects as u64)
        );
        *state.lock() = new;
    }
}

// === impl ManifestState ===

impl ManifestState {
    /// Logs the problems that are not among those of the reading `before`.
    fn new(report: LoadReport, before: &BTreeSet<String>) -> Self {
        let problems: BTreeSet<_> = report.problems.iter().map(ToString::to_string).collect();
        for problem in problems.difference(before) {
            tracing::warn!("{problem}");
        }
        Self {
            read_at: Instant::now(),
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
