//! [`RunningSource`]: the running source of an instance, and its state.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube_state_metrics::source::Source;
use kube_state_metrics::source::health::{
    FeedOrigin, Health, ReadinessPolicy, ResourceHealth, ResourceState,
};
use kube_state_metrics::source::manifests::{LastReading, ReadingProgress};
use kube_state_metrics::source::watch::{WatchError, WatchTimeouts};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;

use super::coverage::Coverage;
use super::manifest_readings::ManifestReadings;
use super::problems::{not_ready, problems, silent_watches};
use super::server_version::ServerVersion;
use super::status::{InstanceStatus, ResourceStatus};
use super::task::BackgroundTask;
use super::watch_thread::WatchThread;
use crate::cluster::ClusterError;
use crate::election::Exported;
use crate::humanize::counted;
use crate::rbac::missing_rules;

/// A running source. Dropping this value stops the source.
#[derive(Debug)]
pub(super) struct RunningSource {
    health: Health,
    run: Run,
    parts: SourceParts,
}

/// The task or the thread in which a source runs.
#[derive(Debug)]
enum Run {
    Task(BackgroundTask),
    Thread(WatchThread),
}

/// Data about a source, in addition to its health. The landing page, `/readyz` and metrics need both.
#[derive(Debug)]
pub(super) struct SourceParts {
    /// A description, such as `manifests` or `watching https://…`.
    pub(super) description: String,
    /// The metrics of the stores and of the source.
    pub(super) registry: Registry,
    /// The number of skipped documents and files; `None` if the source is not manifests.
    pub(super) skipped: Option<IntGauge>,
    /// The version of the API server; `None` if the source is manifests.
    pub(super) server_version: Option<ServerVersion>,
    /// Whether the manifests have been read once. If the source is not manifests, the value is always true.
    pub(super) is_loaded: watch::Receiver<bool>,
    /// The manifest that is being read; `None` if the source is not manifests.
    pub(super) reading: Option<ReadingProgress>,
    /// The readings of the manifests; `None` if the source is not manifests.
    pub(super) readings: Option<Arc<ManifestReadings>>,
}

/// The reason why a source cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(
        "--manifests: cannot read {}: {source}; give files or directories with manifests",
        config_file::shown_path(path)
    )]
    ManifestPath { path: PathBuf, source: io::Error },
    #[error(
        "cannot start the thread of the watches: {0}; check the limits on threads and open files"
    )]
    Thread(io::Error),
    #[error("cannot register the metrics of the stores: {0}")]
    Registry(#[from] prometheus::Error),
}

/// The text of `/readyz` while manifests are read for the first time.
const LOADING: &str = "loading manifests";
/// If a changed object is not processed for this time, `/readyz?verbose` shows the time.
const LONG_LAG: f64 = 10.0;
/// If a manifest takes longer than this to read, `/readyz` and the log name this manifest.
pub(super) const SLOW: Duration = Duration::from_secs(5);
/// The path of standard input.
pub(super) const STDIN: &str = "-";

// === impl RunningSource ===

impl RunningSource {
    /// Runs a source in a task.
    pub(super) fn start(source: impl Source, parts: SourceParts) -> Self {
        Self {
            health: source.health(),
            run: Run::Task(BackgroundTask::spawn(Box::new(source).run())),
            parts,
        }
    }

    /// Runs the watches of a cluster on a dedicated thread.
    ///
    /// # Errors
    ///
    /// The function fails if the thread cannot start.
    pub(super) fn start_on_thread(
        source: impl Source,
        span: tracing::Span,
        parts: SourceParts,
    ) -> Result<Self, SourceError> {
        let health = source.health();
        let thread = span
            .in_scope(|| WatchThread::start(Box::new(source).run()))
            .map_err(SourceError::Thread)?;
        Ok(Self {
            health,
            run: Run::Thread(thread),
            parts,
        })
    }

    /// Whether the source is running. If the cluster is unreachable, the source is still running.
    pub(super) fn is_alive(&self) -> bool {
        match &self.run {
            Run::Task(task) => task.is_running(),
            Run::Thread(thread) => thread.is_running(),
        }
    }

    /// Waits until the source meets the readiness policy.
    pub(super) async fn ready(&self, policy: ReadinessPolicy) {
        self.health.ready(policy).await;
        self.loaded().await;
    }

    /// Waits until manifests have been read once, or the source has stopped.
    pub(super) async fn loaded(&self) {
        let mut is_loaded = self.parts.is_loaded.clone();
        // An error means that the source has stopped.
        let _ = is_loaded.wait_for(|is_loaded| *is_loaded).await;
    }

    /// If the source is manifests, waits until a reading has found all objects.
    pub(super) async fn read_completely(&self) {
        if let Some(readings) = &self.parts.readings {
            readings.read_completely().await;
        }
    }

    /// The manifests that the last reading could not read completely.
    pub(super) fn incomplete_manifests(&self) -> BTreeSet<PathBuf> {
        let readings = self.parts.readings.as_ref();
        readings.map(|own| own.incomplete()).unwrap_or_default()
    }

    /// What the source knows about the files of its last reading. If the source is not manifests, there are no files.
    pub(super) fn last_reading(&self) -> LastReading {
        let readings = self.parts.readings.as_ref();
        readings.map(|own| own.last()).unwrap_or_default()
    }

    /// Whether the source meets the readiness policy.
    pub(super) fn is_ready(&self, policy: ReadinessPolicy) -> bool {
        self.health.readiness(policy).ready && *self.parts.is_loaded.borrow()
    }

    /// Returns which scopes have all their objects in the stores, and which scopes do not. A scope is a resource in one
    /// namespace or in all namespaces.
    pub(super) fn coverage(&self) -> Coverage {
        Coverage::of(&self.health.resources())
    }

    /// Determines the result of [`Self::coverage`] on a thread for blocking work. With thousands of families, the work
    /// takes too long for an asynchronous task.
    pub(super) async fn coverage_on_thread(&self) -> Coverage {
        let health = self.health.clone();
        let coverage = tokio::task::spawn_blocking(move || Coverage::of(&health.resources()));
        // While the runtime shuts down, it starts no thread.
        coverage.await.unwrap_or_else(|_| self.coverage())
    }

    /// Returns whether the source meets the readiness policy, and the state of each resource.
    pub(super) fn status(&self, policy: ReadinessPolicy) -> InstanceStatus {
        // The order is important: the code reads `is_loaded` before the readiness. So if `is_loaded` is true, the
        // readiness takes all objects of the manifests into account.
        let is_loaded = *self.parts.is_loaded.borrow();
        let readiness = self.health.readiness(policy);
        let resources = self.health.resources();
        let text = readiness.to_string();
        // The code skips the first line, which only states whether the source is ready.
        let remarks = text.lines().skip(1).map(str::to_owned);
        let behind = readiness.waiting.iter();
        let behind = behind.chain(&readiness.refused).chain(&readiness.failing);
        let problems = problems(behind, &readiness.blocking);
        let silence = WatchTimeouts::default().silence;
        let statuses = resources
            .into_iter()
            .map(|own| resource_status(own, silence));
        let statuses: Vec<_> = statuses.collect();
        let silent = statuses.iter().filter(|own| own.is_silent);
        let silent =
            silent.map(|own| (own.resource.clone(), own.last_event_seconds.unwrap_or(0.0)));
        let silent = silent_watches(silent.collect(), silence);
        let sharding = readiness.sharding.iter();
        let notes = sharding.map(|problem| format!("sharding: {problem}"));
        let notes = notes.chain(limited(&statuses)).chain(differing(&statuses));
        let ready = readiness.ready && is_loaded;
        InstanceStatus {
            ready,
            not_ready: (!ready).then(|| match is_loaded {
                true => not_ready(&readiness.blocking, readiness.sharding.is_none(), policy),
                false => format!("not ready: {LOADING}{}", self.slow_file()),
            }),
            source: self.parts.description.clone(),
            // Until the manifests are loaded, the result has no remarks, because all of the remarks would have the same
            // cause.
            remarks: remarks
                .chain(self.skipped())
                .filter(|_| is_loaded)
                .collect(),
            notes: notes.chain(self.skipped()).collect(),
            problems: problems.into_iter().chain(silent).collect(),
            limits: Vec::new(),
            kinds_left_out: None,
            resources: statuses,
        }
    }

    /// Returns the resource versions of the objects that the stores export. The result has an entry for each feed whose
    /// list is complete.
    pub(super) fn exported(&self) -> Exported {
        let mut exported = Exported::default();
        for resource in self.health.resources() {
            for feed in resource.feeds.iter().filter(|feed| feed.complete) {
                let name = match &feed.namespace {
                    Some(namespace) => format!("{}/{namespace}", resource.resource),
                    None => resource.resource.clone(),
                };
                exported.newest.insert(name.clone(), feed.newest_version);
                exported.received.insert(name, feed.received_version);
            }
        }
        exported
    }

    /// If the API server forbids resources, returns a line for each role to which rules must be added.
    pub(super) fn missing_rules(&self) -> Vec<String> {
        missing_rules(&self.health.resources())
    }

    /// The version of the API server; `None` if the source is manifests, or if the API server does not answer.
    pub(super) async fn server_version(&self) -> Option<String> {
        self.parts.server_version.as_ref()?.get().await
    }

    /// The metrics of the stores and of the source.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.parts.registry.gather()
    }

    /// A separator and a text about a manifest that takes long to read; empty if there is no such manifest.
    fn slow_file(&self) -> String {
        let reading = self.parts.reading.as_ref();
        let current = reading.and_then(|reading| Some((reading, reading.current()?)));
        match current.filter(|(_, (_, taken))| *taken >= SLOW) {
            Some((reading, (path, taken))) => {
                format!("; {}", slow_file(&path, reading.is_directory(), taken))
            }
            None => String::new(),
        }
    }

    fn skipped(&self) -> Option<String> {
        let skipped = self.parts.skipped.as_ref().map(IntGauge::get);
        let count = skipped.filter(|count| *count > 0)?.unsigned_abs();
        let what = counted(count, "document or file", "documents or files");
        Some(format!("{what} skipped; the log has the reasons"))
    }
}

/// Returns a line with the names of the resources whose lists have reached `--object-limit`.
fn limited(resources: &[ResourceStatus]) -> Option<String> {
    let limited = resources.iter().filter(|own| own.is_limited);
    let names: Vec<_> = limited.map(|own| &*own.resource).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the last list of {} has as many objects as `--object-limit` allows, and further objects have no metrics; \
             raise the limit, or restrict the namespaces",
            names.join(", ")
        )
    })
}

/// Returns a line with the names of the resources for which the last audit found differences from the API server.
fn differing(resources: &[ResourceStatus]) -> Option<String> {
    let differing = resources.iter().filter(|own| own.audit_difference > 0);
    let names: Vec<_> = differing.map(|own| &*own.resource).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the last audit found objects of {} that differ from those of the API server; the exporter lists the \
             objects again, at increasing intervals if a list does not help; the log names the first of the objects",
            names.join(", ")
        )
    })
}

/// Returns a text that names a manifest or a directory that takes long to read.
pub(super) fn slow_file(path: &Path, is_directory: bool, taken: Duration) -> String {
    let seconds = taken.as_secs();
    if path == Path::new(STDIN) {
        return format!("standard input has not ended for {seconds}s");
    }
    let what = if is_directory { "the directory " } else { "" };
    format!(
        "the exporter has been reading {what}{} for {seconds}s",
        config_file::shown_path(path)
    )
}

/// Returns the status of a resource. A resource counts as silent if its watch has sent no event and no bookmark for
/// longer than `silence`.
fn resource_status(health: ResourceHealth, silence: Duration) -> ResourceStatus {
    let is_watched = health.source == FeedOrigin::Watched && health.state == ResourceState::Synced;
    let silent_seconds = health.silent_seconds.filter(|_| is_watched);
    let state = match health.source {
        FeedOrigin::LeftOut => "left out".to_owned(),
        _ => health.state.to_string(),
    };
    let has_events = health.complete || health.objects > 0;
    ResourceStatus {
        resource: health.resource,
        api_version: health.api_version,
        kind: health.kind,
        state,
        objects: health.objects,
        series: health.series,
        memory_bytes: health.memory_bytes,
        // Before the first event, `silent_seconds` is the time since the start of the watch, not the time since an
        // event.
        last_event_seconds: health.silent_seconds.filter(|_| has_events),
        is_silent: silent_seconds.is_some_and(|seconds| seconds > silence.as_secs_f64()),
        errors: health.decode_errors,
        oversized: health.oversized,
        is_limited: health.is_limited,
        audit_difference: health.audit_difference.unwrap_or_default(),
        unapplied_objects: health.unapplied_objects,
        unapplied_seconds: health.unapplied_seconds.filter(|age| *age >= LONG_LAG),
        last_error: health
            .last_error
            .filter(|_| health.state != ResourceState::Synced),
    }
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::source::health::FailureReason;

    use super::*;

    #[test]
    fn a_synced_resource_has_no_error() {
        let unreachable = ResourceState::Failing(FailureReason::Unreachable);
        for (state, has_error) in [(unreachable, true), (ResourceState::Synced, false)] {
            let mut health = ResourceHealth::default();
            health.state = state;
            health.last_error = Some("of the start".to_owned());
            let status = resource_status(health, Duration::from_secs(90));
            assert_eq!(status.last_error.is_some(), has_error, "{state}");
        }
    }

    #[test]
    fn resources_that_differ_from_the_api_server_are_named() {
        let status = |resource: &str, difference| {
            let mut health = ResourceHealth::default();
            health.resource = resource.to_owned();
            health.audit_difference = difference;
            resource_status(health, Duration::from_secs(90))
        };
        let equal = [status("pods", Some(0)), status("nodes", None)];
        assert_eq!(differing(&equal), None);
        let line = differing(&[status("pods", Some(2)), status("nodes", None)]).unwrap();
        assert!(line.starts_with("the last audit found objects of pods that differ"));
    }

    #[test]
    fn a_synced_watch_without_a_bookmark_is_silent() {
        let unreachable = ResourceState::Failing(FailureReason::Unreachable);
        for (source, state, seconds, is_silent) in [
            (
                FeedOrigin::Watched,
                ResourceState::Synced,
                Some(89.0),
                false,
            ),
            (FeedOrigin::Watched, ResourceState::Synced, Some(91.0), true),
            (FeedOrigin::Watched, ResourceState::Synced, None, false),
            (FeedOrigin::Watched, unreachable, Some(91.0), false),
            (FeedOrigin::Host, ResourceState::Synced, Some(91.0), false),
            (
                FeedOrigin::Manifests,
                ResourceState::Synced,
                Some(91.0),
                false,
            ),
        ] {
            let mut health = ResourceHealth::default();
            (health.source, health.state, health.silent_seconds) = (source, state, seconds);
            let status = resource_status(health, Duration::from_secs(90));
            assert_eq!(
                status.is_silent, is_silent,
                "{source:?} {state:?} {seconds:?}"
            );
        }
    }
}
