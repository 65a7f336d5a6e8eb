//! Health: what is known of each resource, and whether that is enough to be ready.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::{Failure, FailureReason};
use crate::StateMetrics;
use crate::resource::ResourceInfo;
use crate::store::StoreStats;

/// What is known of every resource. Cloning gives another handle to the same knowledge.
///
/// Serve [`readiness`](Self::readiness) at `/readyz` and [`snapshot`](Self::snapshot) as JSON or on
/// a page.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

/// How far the knowledge of a resource has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResourceState {
    /// Nothing has been asked yet.
    #[default]
    NotStarted,
    /// The first list is on its way.
    Listing,
    /// All objects are known, and changes are followed.
    Synced,
    /// The last attempt failed; what was known before is still served, and the next attempt follows.
    Failing(FailureReason),
}

/// Who feeds a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The crate watches it.
    #[default]
    Watched,
    /// The host took a writer and feeds it.
    Host,
    /// It cannot be selected by node, and node scope is on.
    LeftOut,
}

/// When to be ready.
///
/// It displays as and parses from `default` and `strict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadinessPolicy {
    /// Once every watched resource has had its first complete list or a definite refusal (403 or
    /// 404), and ever after.
    #[default]
    Default,
    /// Once every watched resource has had its first complete list, and while none is refused.
    Strict,
}

/// Whether to be ready, and what is missing. It displays as the body of an answer to `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether to be ready.
    pub ready: bool,
    /// How many watched resources have had a complete list.
    pub complete: usize,
    /// How many resources are watched.
    pub watched: usize,
    /// Resources that have not had a complete list and no definite refusal either.
    pub waiting: Vec<ResourceHealth>,
    /// Resources the server refuses now.
    pub refused: Vec<ResourceHealth>,
    /// Resources that were complete and cannot be followed now.
    pub failing: Vec<ResourceHealth>,
    /// Why the shard is not known yet.
    pub sharding: Option<String>,
}

/// All that is known of all resources at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// By the default policy.
    pub ready: bool,
    /// Why the shard is not known yet, where it follows a StatefulSet.
    pub sharding: Option<String>,
    /// In the order of the exposition.
    pub resources: Vec<ResourceHealth>,
}

/// What is known of one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourceHealth {
    /// Plural name, with the group where there is one, such as `deployments.apps`.
    pub resource: String,
    /// Group and version.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// Who feeds it.
    pub source: Source,
    /// How far it has come; the worst of its namespaces.
    #[serde(flatten)]
    pub state: ResourceState,
    /// The first list is complete, for all its namespaces.
    pub complete: bool,
    /// Objects stored.
    pub objects: u64,
    /// Series stored.
    pub series: u64,
    /// Memory held by the store, in bytes.
    pub memory_bytes: u64,
    /// Lists completed.
    pub lists: u64,
    /// Objects that did not decode.
    pub decode_errors: u64,
    /// Seconds since the last event or bookmark; the longest of its namespaces.
    pub silent_seconds: Option<f64>,
    /// The last failure, also where it has passed.
    pub last_error: Option<String>,
    /// Its namespaces where they are watched one by one, else one entry without a namespace.
    pub feeds: Vec<FeedHealth>,
}

/// What is known of one watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FeedHealth {
    /// The namespace, where namespaces are watched one by one.
    pub namespace: Option<String>,
    /// How far it has come.
    #[serde(flatten)]
    pub state: ResourceState,
    /// The first list is complete.
    pub complete: bool,
    /// The server gave a definite refusal (403 or 404) at some time.
    pub was_refused: bool,
    /// Failed attempts since the last one that worked.
    pub failures: u64,
    /// Seconds since the last event or bookmark.
    pub silent_seconds: Option<f64>,
    /// The last failure, also where it has passed.
    pub last_error: Option<String>,
}

struct Shared {
    metrics: StateMetrics,
    resources: RwLock<Vec<Watched>>,
    /// The watch of the StatefulSet that tells the shard, or why there is none yet.
    sharding: Mutex<Option<String>>,
    ready: AtomicBool,
    changed: watch::Sender<()>,
}

/// One resource, in the order of the exposition.
struct Watched {
    source: Source,
    /// None before the watches begin.
    feeds: Option<Vec<Arc<FeedState>>>,
}

/// What is known of one watch, kept up to date by its reflector.
pub(super) struct FeedState {
    resource: String,
    namespace: Option<String>,
    known: Mutex<Known>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    state: ResourceState,
    complete: bool,
    was_refused: bool,
    failures: u64,
    last_sign: Option<Instant>,
    last_error: Option<String>,
}

// === impl Health ===

impl Health {
    pub(super) fn new(metrics: StateMetrics) -> Self {
        let resources = metrics.resources().map(|_| Watched {
            source: Source::Watched,
            feeds: None,
        });
        let resources = RwLock::new(resources.collect());
        Self {
            shared: Arc::new(Shared {
                metrics,
                resources,
                sharding: Mutex::default(),
                ready: AtomicBool::new(false),
                changed: watch::Sender::new(()),
            }),
        }
    }

    /// Whether to be ready, and what is missing.
    #[must_use]
    pub fn readiness(&self, policy: ReadinessPolicy) -> Readiness {
        let resources = self.resources();
        let watched = || resources.iter().filter(|own| own.source == Source::Watched);
        let refused = |own: &&ResourceHealth| {
            own.feeds.iter().any(|feed| match feed.state {
                ResourceState::Failing(reason) => reason.is_refusal(),
                _ => false,
            })
        };
        let settled = |own: &ResourceHealth| {
            own.complete
                || !own.feeds.is_empty()
                    && (own.feeds.iter()).all(|feed| feed.complete || feed.was_refused)
        };
        let failing = |own: &&ResourceHealth| {
            matches!(own.state, ResourceState::Failing(_)) && own.complete && !refused(own)
        };
        let sharding = self.shared.sharding.lock().clone();
        let all_settled = sharding.is_none() && watched().all(settled);
        let latch = &self.shared.ready;
        let ready = match policy {
            ReadinessPolicy::Default => {
                // Relaxed will do: nothing else hangs on the order of this flag.
                all_settled && !latch.swap(true, Ordering::Relaxed) || latch.load(Ordering::Relaxed)
            }
            ReadinessPolicy::Strict => {
                sharding.is_none() && watched().all(|own| own.complete && !refused(&own))
            }
        };
        Readiness {
            ready,
            complete: watched().filter(|own| own.complete).count(),
            watched: watched().count(),
            waiting: watched()
                .filter(|own| !own.complete && !refused(own))
                .cloned()
                .collect(),
            refused: watched().filter(refused).cloned().collect(),
            failing: watched().filter(failing).cloned().collect(),
            sharding,
        }
    }

    /// Waits until ready.
    pub async fn ready(&self, policy: ReadinessPolicy) -> Readiness {
        let mut changes = self.shared.changed.subscribe();
        loop {
            let readiness = self.readiness(policy);
            if readiness.ready || changes.changed().await.is_err() {
                return readiness;
            }
        }
    }

    /// All that is known of all resources now.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        HealthSnapshot {
            ready: self.readiness(ReadinessPolicy::Default).ready,
            sharding: self.shared.sharding.lock().clone(),
            resources: self.resources(),
        }
    }

    /// What is known of each resource, in the order of the exposition.
    #[must_use]
    pub fn resources(&self) -> Vec<ResourceHealth> {
        let resources = self.shared.resources.read();
        (self.shared.metrics.stats().zip(resources.iter()))
            .map(|((info, stats), own)| own.health(&info, &stats))
            .collect()
    }

    pub(super) fn metrics(&self) -> &StateMetrics {
        &self.shared.metrics
    }

    /// Notes who feeds the resource at a place of the exposition, and by which watches.
    pub(super) fn start(&self, at: usize, source: Source, feeds: Vec<Arc<FeedState>>) {
        if let Some(own) = self.shared.resources.write().get_mut(at) {
            own.source = source;
            own.feeds = Some(feeds);
        }
        self.shared.changed.send_replace(());
    }

    /// What is known of a watch that begins.
    pub(super) fn feed(
        &self,
        resource: &ResourceInfo,
        namespace: Option<String>,
    ) -> Arc<FeedState> {
        Arc::new(FeedState {
            resource: resource.to_string(),
            namespace,
            known: Mutex::default(),
            changed: self.shared.changed.clone(),
        })
    }

    /// Notes why the shard is not known, or that it is.
    pub(super) fn set_sharding(&self, problem: Option<String>) {
        *self.shared.sharding.lock() = problem;
        self.shared.changed.send_replace(());
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readiness = self.readiness(ReadinessPolicy::Default);
        f.debug_struct("Health")
            .field("ready", &readiness.ready)
            .field("watched", &readiness.watched)
            .field("complete", &readiness.complete)
            .finish_non_exhaustive()
    }
}

// === impl Watched ===

impl Watched {
    fn health(&self, info: &ResourceInfo, stats: &StoreStats) -> ResourceHealth {
        let feeds = self.feeds.iter().flatten();
        let feeds: Vec<_> = feeds.map(|feed| feed.health()).collect();
        let rank = |state: ResourceState| match state {
            ResourceState::Failing(_) => 0,
            ResourceState::NotStarted => 1,
            ResourceState::Listing => 2,
            ResourceState::Synced => 3,
        };
        let started = self.feeds.is_some();
        let (fallback, complete) = match self.source {
            // Without any watch, every namespace asked for is denied: there is nothing to wait for.
            Source::Watched if started => (
                ResourceState::Synced,
                feeds.iter().all(|feed| feed.complete),
            ),
            Source::Host if stats.relists > 0 => (ResourceState::Synced, true),
            _ => (ResourceState::NotStarted, false),
        };
        let states = feeds.iter().map(|feed| feed.state);
        let state = states.min_by_key(|&state| rank(state)).unwrap_or(fallback);
        ResourceHealth {
            resource: info.to_string(),
            api_version: info.api_version().into_owned(),
            kind: info.kind().to_owned(),
            source: self.source,
            state,
            complete,
            objects: stats.objects,
            series: stats.series,
            memory_bytes: stats.memory_bytes,
            lists: stats.relists,
            decode_errors: stats.decode_syntax_errors + stats.decode_field_errors,
            silent_seconds: (feeds.iter().filter_map(|feed| feed.silent_seconds)).reduce(f64::max),
            last_error: feeds.iter().find_map(|feed| feed.last_error.clone()),
            feeds,
        }
    }
}

// === impl FeedState ===

impl FeedState {
    pub(super) fn health(&self) -> FeedHealth {
        let known = self.known.lock();
        FeedHealth {
            namespace: self.namespace.clone(),
            state: known.state,
            complete: known.complete,
            was_refused: known.was_refused,
            failures: known.failures,
            silent_seconds: known.last_sign.map(|at| at.elapsed().as_secs_f64()),
            last_error: known.last_error.clone(),
        }
    }

    /// A first list begins; later ones leave the state alone, since what is known is served.
    pub(super) fn listing(&self) {
        let mut known = self.known.lock();
        known.last_sign.get_or_insert_with(Instant::now);
        if known.state == ResourceState::NotStarted {
            self.enter(&mut known, ResourceState::Listing, None);
        }
    }

    /// A list is complete.
    pub(super) fn complete(&self) {
        let mut known = self.known.lock();
        known.complete = true;
        known.failures = 0;
        known.last_sign = Some(Instant::now());
        self.enter(&mut known, ResourceState::Synced, None);
    }

    /// A watch goes on from what is known.
    pub(super) fn following(&self) {
        let mut known = self.known.lock();
        known.failures = 0;
        if known.complete {
            self.enter(&mut known, ResourceState::Synced, None);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.known.lock().complete
    }

    /// An event, a bookmark or the beginning of an answer.
    pub(super) fn sign_of_life(&self) {
        self.known.lock().last_sign = Some(Instant::now());
    }

    pub(super) fn failed(&self, failure: &Failure) {
        let mut known = self.known.lock();
        known.failures += 1;
        known.was_refused |= failure.reason.is_refusal();
        known.last_error = Some(failure.to_string());
        let state = ResourceState::Failing(failure.reason);
        self.enter(&mut known, state, Some(failure));
    }

    /// Logs a change of state, once.
    fn enter(&self, known: &mut Known, state: ResourceState, failure: Option<&Failure>) {
        if known.state == state {
            return;
        }
        let resource = &*self.resource;
        let namespace = self.namespace.as_deref().unwrap_or("*");
        match (state, failure) {
            (ResourceState::Failing(reason), Some(failure)) => tracing::warn!(
                resource,
                namespace,
                reason = reason.as_str(),
                error = %failure.message,
                "cannot follow the resource; what is known is served, and retries go on"
            ),
            (ResourceState::Synced, _) => tracing::info!(resource, namespace, "synced"),
            _ => tracing::debug!(resource, namespace, ?state, "state"),
        }
        known.state = state;
        self.changed.send_replace(());
    }
}

// === impl ReadinessPolicy ===

/// A readiness policy that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a readiness policy; use `default` or `strict`")]
pub struct UnknownPolicy(String);

impl FromStr for ReadinessPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "default" => Ok(Self::Default),
            "strict" => Ok(Self::Strict),
            _ => Err(UnknownPolicy(name.to_owned())),
        }
    }
}

impl fmt::Display for ReadinessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Strict => "strict",
        })
    }
}

// === impl Readiness ===

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ready { "ready" } else { "not ready" };
        let (complete, watched) = (self.complete, self.watched);
        writeln!(
            f,
            "{word}: {complete} of {watched} watched resources complete"
        )?;
        if let Some(problem) = &self.sharding {
            writeln!(f, "sharding: {problem}")?;
        }
        for (word, resources) in [
            ("waiting for", &self.waiting),
            ("refused", &self.refused),
            ("failing", &self.failing),
        ] {
            for own in resources {
                write!(f, "{word}: {} ({})", own.resource, own.state)?;
                match &own.last_error {
                    Some(error) => writeln!(f, ": {error}")?,
                    None => writeln!(f)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::Listing => f.write_str("listing"),
            Self::Synced => f.write_str("synced"),
            Self::Failing(reason) => write!(f, "{reason}"),
        }
    }
}
