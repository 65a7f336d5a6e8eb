//! Manifests as a source: their files are read at startup and after every change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::self_metrics::{DefinitionMetrics, StoreMetrics};
use kube_state_metrics::source::HostSource;
use kube_state_metrics::source::manifests::{LoadReport, ManifestFeed, ManifestSource};
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::source::{RunningSource, SourceError, SourceParts};
use crate::file_watcher::FileWatcher;
use crate::humanize::counted;

/// The time until the manifests are read again if a manifest could not be read for a temporary reason.
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

/// Starts to read the manifests, and to read them again after each change. Does not wait for objects.
///
/// # Errors
///
/// If a path does not exist, or the metrics cannot be registered. An unreadable file in a directory, and a path that
/// disappears later, are not errors: the log and a metric report them.
pub(super) fn start(
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
    let recorder = ReadingRecorder::new(metrics, &registry)?;
    let (loaded, is_loaded) = watch::channel(false);
    let parts = SourceParts {
        description: "manifests".to_owned(),
        registry,
        skipped: Some(recorder.problems.clone()),
        server_version: None,
        is_loaded,
    };
    let feed = ManifestSource::new(paths.clone()).open(metrics);
    let source = HostSource::new(
        feed.health(),
        read_and_follow(paths, feed, recorder, loaded),
    );
    Ok(RunningSource::start(source, parts))
}

/// Reads the manifests on a thread for blocking work.
async fn load(mut feed: ManifestFeed) -> Result<(ManifestFeed, LoadReport), JoinError> {
    tokio::task::spawn_blocking(move || {
        let report = feed.reload();
        (feed, report)
    })
    .await
}

/// Reads the manifests, and reads them again after each change. Ends only if a thread that reads them panics, or while
/// the runtime shuts down.
async fn read_and_follow(
    paths: Vec<PathBuf>,
    feed: ManifestFeed,
    mut recorder: ReadingRecorder,
    loaded: watch::Sender<bool>,
) {
    // The watcher starts before the first reading, so that no later change is missed. The start blocks, because the
    // watcher looks at all files.
    let file_watcher = tokio::task::spawn_blocking(|| FileWatcher::new(paths));
    let Ok(file_watcher) = file_watcher.await else {
        return;
    };
    let Ok((feed, report)) = load(feed).await else {
        return;
    };
    recorder.record(&report);
    loaded.send_replace(true);
    reload_on_change(file_watcher, feed, recorder, report.is_partial).await;
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
            // `record` has logged the problems.
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
