//! Health: what is known of each resource.

use std::fmt;
use std::ptr::addr_eq;
use std::sync::Arc;
#[cfg(feature = "custom-resources")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::watch;

use super::failure::FailureReason;
use super::feed::FeedState;
use super::outage::Outage;
use super::readiness::ReadinessPolicy;
use crate::StateMetrics;
use crate::exposition::Plan;
use crate::resource::ResourceInfo;
use crate::self_metrics::resource_label;
use crate::store::{AnyStore, StoreStats};

/// What is known of every resource. Cloning gives another handle to the same knowledge.
///
/// Serve [`readiness`](Self::readiness) at `/readyz` and [`snapshot`](Self::snapshot) as JSON or on
/// a page.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::watch::{FailureReason, ReadinessPolicy, ResourceState, FeedOrigin};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder()
///     .built_in([BuiltIn::Pods, BuiltIn::Nodes])
///     .fed_by_host(BuiltIn::Nodes)
///     .build()?;
/// let watcher = metrics.watch(client).build()?;
/// let health = watcher.health();
/// assert!(!health.readiness(ReadinessPolicy::Default).ready);
/// tokio::spawn(watcher.run());
///
/// let readiness = health.ready(ReadinessPolicy::Default).await;
/// assert!(readiness.ready);
///
/// let [nodes, pods] = &health.resources()[..] else { unreachable!("two are registered") };
/// assert_eq!((nodes.source, pods.source), (FeedOrigin::Host, FeedOrigin::Watched));
/// assert_eq!(pods.state, ResourceState::Failing(FailureReason::NotFound));
/// assert!(health.snapshot().ready);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Health {
    pub(super) shared: Arc<Shared>,
}

/// How far the knowledge of a resource has come.
///
/// ```
/// use kube_state_metrics::watch::{FailureReason, ResourceState};
///
/// let state = serde_json::to_value(ResourceState::Failing(FailureReason::Forbidden))?;
/// assert_eq!(state, serde_json::json!({ "state": "failing", "reason": "forbidden" }));
/// # Ok::<(), serde_json::Error>(())
/// ```
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
    /// The watches have ended; what was known is served, and grows old.
    Stopped,
}

/// Who feeds a resource.
///
/// ```
/// use kube_state_metrics::watch::FeedOrigin;
///
/// assert_eq!(serde_json::to_string(&FeedOrigin::LeftOut)?, "\"left_out\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedOrigin {
    /// The crate watches it.
    #[default]
    Watched,
    /// The host took a writer and feeds it.
    Host,
    /// It cannot be selected by node, and node scope is on.
    LeftOut,
}

/// All that is known of all resources at one moment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let snapshot = metrics.watch(client).build()?.health().snapshot();
/// assert!(!snapshot.ready && snapshot.sharding.is_none());
/// let json = serde_json::to_value(&snapshot)?;
/// assert_eq!(json["resources"][0]["state"], "not_started");
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::watch::ReadinessPolicy;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let watcher = metrics.watch(client).build()?;
/// let health = watcher.health();
/// tokio::spawn(watcher.run());
/// health.ready(ReadinessPolicy::Default).await;
/// let pods = health.resources().remove(0);
/// assert_eq!((pods.resource.as_str(), pods.kind.as_str(), pods.objects), ("pods", "Pod", 0));
/// assert!(!pods.complete && pods.last_error.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourceHealth {
    /// Plural name, with the group where there is one, such as `deployments.apps`; for kinds from a
    /// configuration also the version, such as `widgets.v1.acme.dev`.
    pub resource: String,
    /// Group and version.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// Who feeds it.
    pub source: FeedOrigin,
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::watch::ReadinessPolicy;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let watcher = metrics.watch(client).build()?;
/// let health = watcher.health();
/// tokio::spawn(watcher.run());
/// health.ready(ReadinessPolicy::Default).await;
/// let pods = health.resources().remove(0);
/// assert!(pods.feeds[0].namespace.is_none() && pods.feeds[0].was_refused);
/// # Ok(())
/// # }
/// ```
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

pub(super) struct Shared {
    pub(super) metrics: StateMetrics,
    resources: RwLock<Vec<Watched>>,
    /// Why the shard is not known yet, where a StatefulSet tells it.
    pub(super) sharding: Mutex<Option<String>>,
    /// All watches that are to be have begun.
    pub(super) begun: AtomicBool,
    /// It was ready once.
    pub(super) ready: AtomicBool,
    outage: Arc<Outage>,
    pub(super) changed: watch::Sender<()>,
}

/// One resource.
struct Watched {
    stored: Stored,
    label: String,
    /// The same in metrics.
    metrics_label: String,
    source: FeedOrigin,
    /// None before the watches begin.
    feeds: Option<Vec<Arc<FeedState>>>,
}

/// Where the objects of a resource go.
enum Stored {
    Store(Arc<dyn AnyStore>),
    /// They are definitions of kinds, and counted.
    #[cfg(feature = "custom-resources")]
    Definitions(ResourceInfo, Arc<AtomicU64>),
}

// === impl Health ===

impl Health {
    pub(super) fn new(metrics: StateMetrics) -> Self {
        let health = Self {
            shared: Arc::new(Shared {
                resources: RwLock::default(),
                sharding: Mutex::default(),
                begun: AtomicBool::new(false),
                ready: AtomicBool::new(false),
                outage: Arc::default(),
                changed: watch::Sender::new(()),
                metrics,
            }),
        };
        health.arrange(&health.shared.metrics.plan());
        health
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
        resources
            .iter()
            .map(|own| own.health(&own.stats()))
            .collect()
    }

    /// Calls `each` with the label in metrics, the stored figures and the health of every resource.
    pub(super) fn each(&self, mut each: impl FnMut(&str, &StoreStats, &ResourceHealth)) {
        for own in self.shared.resources.read().iter() {
            let stats = own.stats();
            each(&own.metrics_label, &stats, &own.health(&stats));
        }
    }

    /// Takes over the resources of a plan, in its order; those that stay keep what is known of them.
    pub(super) fn arrange(&self, plan: &Plan) {
        let mut resources = self.shared.resources.write();
        let mut before = std::mem::take(&mut *resources);
        for store in plan.stores() {
            let known = before.iter().position(|own| own.is_of(store));
            resources.push(match known {
                Some(at) => before.swap_remove(at),
                None => Watched {
                    stored: Stored::Store(Arc::clone(store)),
                    label: store.resource().label(),
                    metrics_label: resource_label(store.resource()),
                    source: FeedOrigin::Watched,
                    feeds: None,
                },
            });
        }
        resources.extend(before.into_iter().filter(|own| !own.is_store()));
        drop(resources);
        self.shared.changed.send_replace(());
    }

    /// Notes that all watches that are to be have begun.
    pub(super) fn begin(&self) {
        self.shared.begun.store(true, Ordering::Release);
        self.shared.changed.send_replace(());
    }

    /// Whether all resources of the plan in force are known here.
    pub(super) fn is_in_step(&self) -> bool {
        if !self.shared.begun.load(Ordering::Acquire) {
            return false;
        }
        let plan = self.shared.metrics.plan();
        let resources = self.shared.resources.read();
        let known = |store: &Arc<dyn AnyStore>| resources.iter().any(|own| own.is_of(store));
        plan.stores().iter().all(known)
    }

    /// Notes who feeds a resource, and by which watches.
    pub(super) fn start(
        &self,
        store: &Arc<dyn AnyStore>,
        source: FeedOrigin,
        feeds: Vec<Arc<FeedState>>,
    ) {
        let mut resources = self.shared.resources.write();
        if let Some(own) = resources.iter_mut().find(|own| own.is_of(store)) {
            own.source = source;
            own.feeds = Some(feeds);
        }
        drop(resources);
        self.shared.changed.send_replace(());
    }

    /// Adds the definitions of custom resources, which are counted in `known`.
    #[cfg(feature = "custom-resources")]
    pub(super) fn add_definitions(
        &self,
        resource: &ResourceInfo,
        known: Arc<AtomicU64>,
        feed: Arc<FeedState>,
    ) {
        self.shared.resources.write().push(Watched {
            label: resource.label(),
            metrics_label: resource_label(resource),
            stored: Stored::Definitions(resource.clone(), known),
            source: FeedOrigin::Watched,
            feeds: Some(vec![feed]),
        });
        self.shared.changed.send_replace(());
    }

    /// What is known of a watch that begins.
    pub(super) fn feed(
        &self,
        resource: &ResourceInfo,
        namespace: Option<String>,
    ) -> Arc<FeedState> {
        Arc::new(FeedState::new(
            resource,
            namespace,
            Arc::clone(&self.shared.outage),
            self.shared.changed.clone(),
        ))
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
    fn is_of(&self, store: &Arc<dyn AnyStore>) -> bool {
        match &self.stored {
            Stored::Store(own) => addr_eq(Arc::as_ptr(own), Arc::as_ptr(store)),
            #[cfg(feature = "custom-resources")]
            Stored::Definitions(..) => false,
        }
    }

    fn is_store(&self) -> bool {
        matches!(self.stored, Stored::Store(_))
    }

    /// Whether the store has had a list of each feed: one that came later, and is fed along with
    /// another, has not had those from before.
    fn is_listed(&self, stats: &StoreStats, feeds: usize) -> bool {
        !self.is_store() || stats.relists >= feeds as u64
    }

    fn stats(&self) -> StoreStats {
        match &self.stored {
            Stored::Store(store) => store.stats(),
            #[cfg(feature = "custom-resources")]
            Stored::Definitions(_, known) => StoreStats {
                objects: known.load(Ordering::Relaxed),
                ..StoreStats::default()
            },
        }
    }

    fn health(&self, stats: &StoreStats) -> ResourceHealth {
        let info = match &self.stored {
            Stored::Store(store) => store.resource(),
            #[cfg(feature = "custom-resources")]
            Stored::Definitions(info, _) => info,
        };
        let feeds = self.feeds.iter().flatten();
        let feeds: Vec<_> = feeds.map(|feed| feed.health()).collect();
        let rank = |state: ResourceState| match state {
            ResourceState::Stopped => 0,
            ResourceState::Failing(_) => 1,
            ResourceState::NotStarted => 2,
            ResourceState::Listing => 3,
            ResourceState::Synced => 4,
        };
        let started = self.feeds.is_some();
        let (fallback, complete) = match self.source {
            // Without any watch, every namespace asked for is denied: there is nothing to wait for.
            FeedOrigin::Watched if started => (
                ResourceState::Synced,
                feeds.iter().all(|feed| feed.complete) && self.is_listed(stats, feeds.len()),
            ),
            FeedOrigin::Host if stats.relists > 0 => (ResourceState::Synced, true),
            _ => (ResourceState::NotStarted, false),
        };
        let states = feeds.iter().map(|feed| feed.state);
        let state = states.min_by_key(|&state| rank(state)).unwrap_or(fallback);
        ResourceHealth {
            resource: self.label.clone(),
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

// === impl ResourceState ===

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::Listing => f.write_str("listing"),
            Self::Synced => f.write_str("synced"),
            Self::Failing(reason) => write!(f, "{reason}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
