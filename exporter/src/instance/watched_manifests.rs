//! Manifests as a source: their files are read at startup and after every change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::self_metrics::{DefinitionMetrics, StoreMetrics};
use kube_state_metrics::source::HostSource;
use kube_state_metrics::source::manifests::{LoadReport, ManifestFeed, ManifestSource};
use prometheus::{IntGauge, Registry};

use super::source::{RunningSource, SourceError, SourceParts};
use crate::file_watcher::FileWatcher;
use crate::humanize::counted;

/// If a manifest cannot be read for a temporary reason, the time until the manifests are read again.
const RETRY: Duration = Duration::from_secs(10);
/// The path of standard input.
const STDIN: &str = "-";

/// Logs the problems each time the manifests are read, and updates the metrics of the manifests.
#[derive(Debug)]
struct ReadingRecorder {
    /// The problems of the last read, which are not logged again.
    logged: BTreeSet<String>,
    problems: IntGauge,
    definitions: DefinitionMetrics,
}

/// Reads the manifests, and reads them again after each change.
///
/// # Errors
///
/// If a path does not exist, or the metrics cannot be registered. An unreadable file in a directory, and a path that
/// disappears later, are not errors: the log and a metric report them.
pub(super) async fn start(
    metrics: &StateMetrics,
    paths: Vec<PathBuf>,
) -> Result<RunningSource, SourceError> {
    for path in paths.iter().filter(|path| *path != Path::new(STDIN)) {
        let failed = |source| SourceError::ManifestPath {
            path: path.clone(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() && !metadata.is_dir() {
            let problem = "it is a named pipe, a device or a socket";
            return Err(failed(std::io::Error::other(problem)));
        }
    }
    let registry = Registry::new();
    let mut recorder = ReadingRecorder::new(metrics, &registry)?;
    let skipped = recorder.problems.clone();
    // The watcher starts before the manifests are read, so that it reports every later change.
    let file_watcher = FileWatcher::new(paths.clone());
    let feed = ManifestSource::new(paths).open(metrics);
    let health = feed.health();
    let (feed, report) = load(feed).await?;
    recorder.record(&report);
    let is_partial = report.is_partial;
    let parts = SourceParts {
        description: "manifests".to_owned(),
        registry,
        skipped: Some(skipped),
        server_version: None,
    };
    let source = HostSource::new(
        health,
        reload_on_change(file_watcher, feed, recorder, is_partial),
    );
    Ok(RunningSource::start(source, parts))
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
    mut recorder: ReadingRecorder,
    mut is_partial: bool,
) {
    loop {
        tokio::select! {
            () = file_watcher.changed() => {}
            () = tokio::time::sleep(RETRY), if is_partial => {}
        }
        let report;
        (feed, report) = match load(feed).await {
            Ok(loaded) => loaded,
            // The runtime is shutting down.
            Err(_) => return,
        };
        recorder.record(&report);
        let was_partial = std::mem::replace(&mut is_partial, report.is_partial);
        if is_partial {
            // The problems have been logged.
            if !was_partial {
                tracing::warn!(
                    "not all manifests can be read at the moment; the previous objects stay, and the \
                     manifests are read again every {RETRY:?}"
                );
            }
            continue;
        }
        let objects = counted(report.objects as u64, "object", "objects");
        tracing::info!("reloaded the manifests: {objects}");
    }
}

// === impl ReadingRecorder ===

impl ReadingRecorder {
    /// Registers the metrics of the manifests and of the stores.
    fn new(metrics: &StateMetrics, registry: &Registry) -> Result<Self, prometheus::Error> {
        let problems = IntGauge::new(
            "kube_state_metrics_manifest_problems",
            "Files, documents and objects that were skipped when the manifests were read last.",
        )?;
        let definitions = DefinitionMetrics::new()?;
        registry.register(Box::new(problems.clone()))?;
        registry.register(Box::new(definitions.clone()))?;
        registry.register(Box::new(StoreMetrics::new(metrics)?))?;
        Ok(Self {
            logged: BTreeSet::new(),
            problems,
            definitions,
        })
    }

    /// Logs the problems that the previous read did not have.
    fn record(&mut self, report: &LoadReport) {
        let problems: BTreeSet<_> = report.problems.iter().map(ToString::to_string).collect();
        for problem in problems.difference(&self.logged) {
            tracing::warn!("{problem}");
        }
        let count = problems.len().try_into().unwrap_or(i64::MAX);
        self.problems.set(count);
        self.definitions.record(report.definitions);
        self.logged = problems;
    }
}
