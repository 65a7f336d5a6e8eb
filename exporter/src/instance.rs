//! The stores of one configuration, and the source that feeds them.

pub(crate) mod coverage;
mod exceeded_limits;
mod first_reports;
mod gzip_cache;
mod manifest_readings;
mod problems;
mod server_version;
mod source;
mod status;
mod task;
mod unreadable_values;
mod watch_thread;
mod watched_cluster;
mod watched_manifests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::health::ReadinessPolicy;
use prometheus::IntGauge;
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use tokio::sync::Notify;
use tokio::task::JoinError;

use crate::cluster::ServerInUse;
use crate::election::{Exported, Leadership};
use crate::humanize::{counted, thousands};
use crate::limited_threads::LimitedThreads;
use crate::options::{MetricsOptions, SourceOptions};
use crate::report::Reports;
use coverage::Coverage;
use source::{RunningSource, SourceError};
use task::BackgroundTask;

#[cfg(test)]
pub(crate) use exceeded_limits::LimitedResource;
pub(crate) use exceeded_limits::{
    LimitProblem, REPEATED, line as limit_line, log_all as log_limits, log_pattern,
};
pub(crate) use problems::{MOST_NAMES, Problem};
pub(crate) use status::{InstanceStatus, ResourceStatus};

/// The stores of one configuration with their source. Dropping an instance stops its source.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) metrics: StateMetrics,
    pub(crate) options: MetricsOptions,
    pub(crate) reports: Reports,
    /// Notified when a compressed scrape begins, so that a second thread compresses blocks for this scrape.
    pub(crate) compressed_scrape: Arc<Notify>,
    source: RunningSource,
    /// The metric `kube_state_metrics_ready`, which [`Self::gather`] updates.
    ready: IntGauge,
    readiness_policy: ReadinessPolicy,
    /// Whether the instance replaced a ready instance. If so, this instance also counts as ready.
    inherits_readiness: bool,
    /// Whether this replica is the leader; `None` without `--ha`. With `--ha`, the instance is ready only after this
    /// replica has read or written the Lease.
    leadership: Option<Leadership>,
    server: ServerInUse,
    /// Limits the threads that read the state of all resources.
    threads: LimitedThreads,
    _maintenance: [BackgroundTask; 3],
}

/// Maximum number of threads that read the state of all resources of an instance at the same time.
const THREADS: usize = 2;

/// The reason why an instance cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot build the stores: {0}")]
    Thread(#[from] JoinError),
}

/// The interval at which [`Instance::settled`] checks the resources.
const SETTLED_CHECK: Duration = Duration::from_millis(100);

// === impl Instance ===

impl Instance {
    /// Builds the stores and starts their source. The function does not wait until objects arrive. `server` is the API
    /// server of all clients of the exporter. `old` is the instance that the new instance replaces.
    ///
    /// # Errors
    ///
    /// The function fails if the options are invalid, or if the source cannot start.
    pub(crate) async fn start(
        options: MetricsOptions,
        source_options: SourceOptions,
        server: &ServerInUse,
        leadership: Option<Leadership>,
        old: Option<&Self>,
    ) -> Result<Self, InstanceError> {
        // With many families, building takes seconds.
        let building = tokio::task::spawn_blocking(move || (options.build(), options));
        let (metrics, options) = building.await?;
        let metrics = metrics?;
        let readiness_policy = source_options.readiness;
        let ready = IntGauge::new(
            "kube_state_metrics_ready",
            "1 if /readyz answers with 200, otherwise 0.",
        );
        let source = if source_options.manifests.is_empty() {
            let discovers_custom_resources = options.custom.config.is_some();
            watched_cluster::start(
                &metrics,
                &source_options,
                server,
                discovers_custom_resources,
            )
            .await?
        } else {
            let last = old.map(|old| old.source.last_reading()).unwrap_or_default();
            watched_manifests::start(&metrics, source_options.manifests, &last).await?
        };
        let compressed_scrape = Arc::<Notify>::default();
        // The tasks below work once a second. Each further thread needs further memory, so they share one.
        let thread = Arc::new(LimitedThreads::new(1));
        Ok(Self {
            _maintenance: [
                BackgroundTask::spawn(gzip_cache::maintain(
                    metrics.clone(),
                    Arc::clone(&compressed_scrape),
                    Arc::clone(&thread),
                )),
                BackgroundTask::spawn(unreadable_values::report(
                    metrics.clone(),
                    Arc::clone(&thread),
                )),
                BackgroundTask::spawn(exceeded_limits::report(metrics.clone(), thread)),
            ],
            compressed_scrape,
            metrics,
            options,
            reports: Reports::default(),
            source,
            ready: ready.map_err(SourceError::from)?,
            readiness_policy,
            inherits_readiness: false,
            leadership,
            server: server.clone(),
            threads: LimitedThreads::new(THREADS),
        })
    }

    /// Whether the source is running.
    pub(crate) fn is_alive(&self) -> bool {
        self.source.is_alive()
    }

    /// Waits until the readiness policy is met.
    pub(crate) async fn ready(&self) {
        self.source.ready(self.readiness_policy).await;
    }

    /// If the instance reads manifests, waits until it has read all manifests once.
    pub(crate) async fn loaded(&self) {
        self.source.loaded().await;
    }

    /// If the instance reads manifests, waits until a reading has found all objects: no objects of an earlier reading
    /// stay.
    pub(crate) async fn read_completely(&self) {
        self.source.read_completely().await;
    }

    /// The manifests that the last reading could not read completely, because they are incomplete or may still change.
    pub(crate) fn incomplete_manifests(&self) -> BTreeSet<PathBuf> {
        self.source.incomplete_manifests()
    }

    /// Waits until each resource is synced or forbidden. There is no timeout, even if requests for a resource fail for
    /// another reason.
    pub(crate) async fn settled(&self) {
        while !self.source.coverage_on_thread().await.uncovered.is_empty() {
            tokio::time::sleep(SETTLED_CHECK).await;
        }
    }

    /// Returns two groups of scopes: those whose first list is complete, and those whose first list is not complete
    /// yet. A scope is a resource, or a resource in a namespace. Scopes that the API server refuses to list are in
    /// neither group.
    pub(crate) fn coverage(&self) -> Coverage {
        self.source.coverage()
    }

    /// Marks the instance as ready if `old` is ready, because the instance serves at least the objects that `old`
    /// serves. The function does this only with the default readiness policy. With the strict policy, readiness depends
    /// only on the current state of the instance.
    pub(crate) fn take_over(&mut self, old: &Self) {
        let is_inheritable = self.readiness_policy == ReadinessPolicy::Default;
        self.inherits_readiness = is_inheritable && old.status().ready;
    }

    /// Whether the instance is ready, and the state of each resource.
    pub(crate) fn status(&self) -> InstanceStatus {
        let mut status = self.source.status(self.readiness_policy);
        if self.inherits_readiness {
            (status.ready, status.not_ready) = (true, None);
            for problem in &mut status.problems {
                problem.is_blocking = false;
            }
        }
        if let Some(leadership) = self.leadership.as_ref().filter(|own| !own.has_joined()) {
            let reason = format!("not ready: {leadership}");
            status.ready = false;
            status.not_ready.get_or_insert(reason);
        }
        let renewal = self.server.renewal_problems();
        status.remarks.extend(renewal.iter().cloned());
        status.notes.extend(renewal);
        status.limits = exceeded_limits::problems(&self.metrics);
        status.kinds_left_out = exceeded_limits::kinds_left_out(&self.metrics);
        status
    }

    /// Calls `look` with [`tokio::task::spawn_blocking`], and returns the result. `look` reads the state of all
    /// resources. With thousands of resources, this takes too long for an asynchronous task.
    pub(crate) async fn on_blocking_thread<T: Send + 'static>(
        self: &Arc<Self>,
        look: fn(&Self) -> T,
    ) -> T {
        let own = Arc::clone(self);
        let seen = self.threads.run(move || look(&own)).await;
        // During a shutdown, the runtime starts no thread, so this task calls `look` itself.
        seen.unwrap_or_else(|| look(self))
    }

    /// The policy that decides whether the instance is ready.
    pub(crate) fn readiness_policy(&self) -> ReadinessPolicy {
        self.readiness_policy
    }

    /// Returns the resource versions of the exported objects, so that another replica can compare its own versions with
    /// them. Returns `None` until `is_complete` returns true.
    pub(crate) fn exported(&self) -> Option<Exported> {
        self.is_complete().then(|| self.source.exported())
    }

    /// Whether the source meets the readiness policy, or the instance replaced a ready instance.
    fn is_complete(&self) -> bool {
        self.inherits_readiness || self.source.is_ready(self.readiness_policy)
    }

    /// Returns a line for each role that lacks rules, with the missing rules as YAML. These are rules for resources
    /// that the API server forbids.
    pub(crate) fn missing_rules(&self) -> Vec<String> {
        self.source.missing_rules()
    }

    /// The version of the API server; `None` if the source is manifests, or if the API server does not answer.
    pub(crate) async fn server_version(&self) -> Option<String> {
        self.source.server_version().await
    }

    /// The metrics of the stores and of their source, and the metric that shows whether the instance is ready.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        let has_joined = self.leadership.as_ref().is_none_or(Leadership::has_joined);
        let is_ready = has_joined && self.is_complete();
        self.ready.set(i64::from(is_ready));
        let mut families = self.source.gather();
        families.extend(self.ready.collect());
        families
    }

    /// The memory of the stores, in bytes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let stores = self.metrics.stores().into_iter();
        stores.map(|store| store.stats().memory_bytes).sum()
    }

    /// The size of the exposition, such as `1,234 series of 120 objects`.
    pub(crate) fn summary(&self) -> String {
        let status = self.status();
        let objects = counted(status.objects(), "object", "objects");
        format!("{} series of {objects}", thousands(status.series()))
    }
}
