//! Starts a source that reads manifests at startup and after every change.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::self_metrics::{DefinitionMetrics, StoreMetrics};
use kube_state_metrics::source::HostSource;
use kube_state_metrics::source::manifests::{
    LastReading, LoadReport, ManifestFeed, ManifestProblem, ManifestSource, ReadingProgress,
};
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout};

use super::manifest_readings::ManifestReadings;
use super::source::{RunningSource, SLOW, STDIN, SourceError, SourceParts, slow_file};
use crate::file_watcher::{FileWatcher, ReloadPace};
use crate::humanize::counted;

/// If a manifest cannot be read for a temporary reason, or has become empty, the manifests are read again after this
/// time.
const RETRY: Duration = Duration::from_secs(10);
/// The new content of a changed manifest is used when the file has not changed for this time. Before that, a program
/// may still be writing the file.
const UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// The new content of a manifest is used at the latest this time after the first change, even if the file still
/// changes.
const LONGEST_CHANGE: Duration = Duration::from_secs(30);
/// The maximum number of problems of the same type that are logged after a reading. For example, a change of
/// permissions may make thousands of files unreadable.
const MAX_LOGGED: usize = 20;
/// How long the startup waits for the check that the paths exist.
const CHECK: Duration = Duration::from_secs(3);

/// Logs the problems and updates the metrics each time the manifests have been read.
#[derive(Debug)]
struct ReadingRecorder {
    /// The problems of the last read, which are not logged again.
    logged: BTreeSet<String>,
    problems: IntGauge,
    definitions: DefinitionMetrics,
}

/// Starts a task that reads the manifests, and reads them again after each change. The function does not wait until the
/// objects are read. `last` is the last reading of the instance that the new instance replaces.
///
/// # Errors
///
/// The function fails if a path does not exist, or if the metrics cannot be registered. The log and a metric report
/// other problems: a file in a directory that cannot be read, or a path that disappears later.
pub(super) async fn start(
    metrics: &StateMetrics,
    paths: Vec<PathBuf>,
    last: &LastReading,
) -> Result<RunningSource, SourceError> {
    let own = paths.clone();
    let checked = tokio::task::spawn_blocking(move || check(&own));
    // If the file system does not respond, the startup continues without this check, so that the ports open.
    if let Ok(Ok(checked)) = timeout(CHECK, checked).await {
        checked?;
    }
    let registry = Registry::new();
    let recorder = ReadingRecorder::new(metrics, &registry)?;
    let (loaded, is_loaded) = watch::channel(false);
    let feed = ManifestSource::new(paths.clone()).open(metrics);
    let feed = feed.hold_changes(UNCHANGED_FOR, LONGEST_CHANGE);
    let feed = feed.continue_after(last);
    let readings = Arc::new(ManifestReadings::default());
    let parts = SourceParts {
        description: "manifests".to_owned(),
        registry,
        skipped: Some(recorder.problems.clone()),
        server_version: None,
        is_loaded,
        reading: Some(feed.progress()),
        readings: Some(Arc::clone(&readings)),
    };
    let source = HostSource::new(
        feed.health(),
        read_and_follow(paths, feed, recorder, loaded, readings),
    );
    Ok(RunningSource::start(source, parts))
}

/// Checks that each path is a file or a directory.
fn check(paths: &[PathBuf]) -> Result<(), SourceError> {
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
    Ok(())
}

/// Reads the manifests with [`tokio::task::spawn_blocking`].
async fn load(
    mut feed: ManifestFeed,
    readings: &ManifestReadings,
) -> Result<(ManifestFeed, LoadReport), JoinError> {
    let progress = feed.progress();
    let reading = tokio::task::spawn_blocking(move || {
        let report = feed.reload();
        (feed, report)
    });
    let read = tokio::select! {
        read = reading => read?,
        never = warn_of_slow_files(&progress) => match never {},
    };
    readings.end(&read.1.incomplete, read.0.last_reading());
    Ok(read)
}

/// Logs each file that takes long to read. The function cannot stop such a read, because a file system that does not
/// respond blocks the thread.
async fn warn_of_slow_files(progress: &ReadingProgress) -> Infallible {
    let mut named = None;
    loop {
        tokio::time::sleep(SLOW).await;
        let Some((path, taken)) = progress.current() else {
            continue;
        };
        if taken >= SLOW && named.as_ref() != Some(&path) {
            let is_directory = progress.is_directory();
            let what = slow_file(&path, is_directory, taken);
            let kind = if is_directory { "directory" } else { "file" };
            tracing::warn!(
                "{what}; the exporter waits for the end of the {kind}. Check the file system, or remove the {kind} \
                 from --manifests"
            );
            named = Some(path);
        }
    }
}

/// Reads the manifests, and reads them again after each change. The function returns only if a read panics, or if the
/// runtime shuts down.
async fn read_and_follow(
    paths: Vec<PathBuf>,
    feed: ManifestFeed,
    mut recorder: ReadingRecorder,
    loaded: watch::Sender<bool>,
    readings: Arc<ManifestReadings>,
) {
    // The file watcher starts before the manifests are read for the first time, so that it finds every later change.
    // The start of the watcher runs on a separate thread, because the watcher reads the metadata of all files.
    let mut starting = tokio::task::spawn_blocking(|| FileWatcher::new(paths));
    let started = match timeout(SLOW, &mut starting).await {
        Ok(started) => started,
        Err(_) => {
            tracing::warn!(
                "the file system of --manifests has not responded for {SLOW:?}; the exporter waits for it"
            );
            starting.await
        }
    };
    let Ok(file_watcher) = started else {
        return;
    };
    let mut pace = ReloadPace::new();
    let start = Instant::now();
    let Ok((feed, report)) = load(feed, &readings).await else {
        return;
    };
    record_pace(&mut pace, start, report.paths_changed);
    recorder.record(&report);
    loaded.send_replace(true);
    reload_on_change(file_watcher, pace, feed, recorder, &report, &readings).await;
}

/// Starts the pause after a reading. `is_soon` states whether the next reading begins soon, because files have changed
/// during the reading, or have begun to change.
fn record_pace(pace: &mut ReloadPace, start: Instant, is_soon: bool) {
    if is_soon {
        pace.record_changes();
    } else {
        pace.record(start);
    }
}

async fn reload_on_change(
    mut file_watcher: FileWatcher,
    mut pace: ReloadPace,
    mut feed: ManifestFeed,
    mut recorder: ReadingRecorder,
    first: &LoadReport,
    readings: &ManifestReadings,
) {
    let (mut is_partial, mut paths_changed) = (first.is_partial, first.paths_changed);
    let mut is_changing = first.changing > 0;
    loop {
        // If paths have changed, only the pace determines when the files are read again.
        let retry = if paths_changed { Duration::ZERO } else { RETRY };
        tokio::select! {
            () = file_watcher.changed() => {}
            () = tokio::time::sleep(retry), if is_partial => {}
            () = tokio::time::sleep(UNCHANGED_FOR), if is_changing => {}
        }
        pace.wait().await;
        let start = Instant::now();
        let report;
        (feed, report) = match load(feed, readings).await {
            Ok(loaded) => loaded,
            // The read has panicked, or the runtime is shutting down.
            Err(_) => return,
        };
        let was_changing = std::mem::replace(&mut is_changing, report.changing > 0);
        let is_first_change = is_changing && !was_changing;
        record_pace(&mut pace, start, report.paths_changed || is_first_change);
        recorder.record(&report);
        if is_first_change {
            let files = counted(report.changing as u64, "manifest has", "manifests have");
            tracing::info!(
                "{files} changed; the exporter uses the new content of a file when the file has not changed for \
                 {UNCHANGED_FOR:?}, but at the latest after {LONGEST_CHANGE:?}"
            );
        }
        let was_partial = std::mem::replace(&mut is_partial, report.is_partial);
        paths_changed = report.paths_changed;
        if paths_changed {
            tracing::info!(
                "files were added, renamed or deleted while the exporter read the manifests; it reads them again"
            );
            continue;
        }
        if is_partial {
            // The warning does not contain the problems, because `record` has logged them.
            if !was_partial {
                tracing::warn!(
                    "some manifests cannot be read at the moment, or have become empty; their previous objects \
                     stay, and the manifests are read again every {RETRY:?}"
                );
            }
            continue;
        }
        if !is_changing {
            tracing::info!("{}", summary(report.objects, report.kept));
        }
    }
}

/// Returns the message about a reading of the manifests. `kept` is the number of objects of the previous reading that
/// stay.
fn summary(objects: usize, kept: usize) -> String {
    let objects = counted(objects as u64, "object", "objects");
    let kept = match kept {
        0 => String::new(),
        kept => {
            let kept = counted(kept as u64, "object", "objects");
            format!(
                " read, and {kept} of the previous reading kept, because their files cannot be read completely"
            )
        }
    };
    format!("reloaded the manifests: {objects}{kept}")
}

// === impl ReadingRecorder ===

impl ReadingRecorder {
    /// Registers the metrics of the manifests and of the stores.
    fn new(metrics: &StateMetrics, registry: &Registry) -> Result<Self, prometheus::Error> {
        let problems = IntGauge::new(
            "kube_state_metrics_manifest_problems",
            "Problems of the last reading of the manifests: files, documents and objects that were skipped, and files whose previous objects stay.",
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

    /// Logs the problems that are new since the previous read.
    fn record(&mut self, report: &LoadReport) {
        let mut problems = BTreeSet::new();
        let (mut counts, mut unlogged) = (HashMap::new(), 0);
        for problem in &report.problems {
            let text = problem.to_string();
            if !self.logged.contains(&text) && !problems.contains(&text) {
                let count: &mut usize = counts.entry(discriminant(problem)).or_default();
                *count += 1;
                if *count <= MAX_LOGGED {
                    tracing::warn!("{text}");
                } else {
                    unlogged += 1;
                }
            }
            problems.insert(text);
        }
        if unlogged > 0 {
            let more = counted(unlogged, "more problem", "more problems");
            tracing::warn!(
                "the manifests have {more} of the same types, which are not logged; \
                 kube_state_metrics_manifest_problems counts all of them"
            );
        }
        let count: usize = report.problems.iter().map(ManifestProblem::count).sum();
        let count = count.try_into().unwrap_or(i64::MAX);
        self.problems.set(count);
        self.definitions.record(report.definitions);
        self.logged = problems;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_about_a_reading_names_the_objects_that_stay() {
        assert_eq!(summary(1, 0), "reloaded the manifests: 1 object");
        assert_eq!(
            summary(0, 12),
            "reloaded the manifests: 0 objects read, and 12 objects of the previous reading kept, because their files \
             cannot be read completely"
        );
    }
}
