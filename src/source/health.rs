//! Health: the state of each resource and of its feeds, and whether the program is ready.
//!
//! Every [`Source`](crate::source::Source) has a [`Health`]. Serve [`Health::readiness`] at `/readyz`, and
//! [`Health::snapshot`] as JSON or on a page.

mod clock;
#[cfg(any(feature = "manifests", feature = "watch"))]
mod crate_sources;
mod failure_reason;
mod feed;
mod readiness;
mod resource;
mod tracked;

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
#[cfg(feature = "watch")]
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use failure_reason::FailureReason;
pub use feed::FeedReporter;
#[cfg(any(feature = "manifests", feature = "watch"))]
pub(super) use feed::FeedState;
#[cfg(feature = "watch")]
pub(super) use readiness::EXPENSIVE;
pub use readiness::{Readiness, ReadinessPolicy, UnknownPolicy};
pub use resource::{FeedHealth, FeedOrigin, HealthSnapshot, ResourceHealth, ResourceState};

use crate::exposition::Plan;
use crate::registry::StateMetrics;
use crate::resource::{ResourceInfo, ResourceName};
#[cfg(any(feature = "manifests", feature = "watch"))]
use crate::store::AnyStore;
use crate::store::{StoreAddress, StoreStats};
use clock::{Instant, sleep_until};
use tracked::{ReportedFeed, TrackedResource};

/// A handle to the health of all resources.
///
/// A clone is another handle to the same health.
///
/// ```
/// # #[cfg(feature = "watch")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::source::health::{FailureReason, FeedOrigin, ReadinessPolicy, ResourceState};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let builder = StateMetrics::builder().built_in([BuiltIn::Pods, BuiltIn::Nodes]);
/// let metrics = builder.fed_by_host(BuiltIn::Nodes).build()?;
/// let watch = metrics.watch(client).build()?;
/// let health = watch.health();
/// let nodes = health.reporter(BuiltIn::Nodes);
/// assert!(!health.readiness(ReadinessPolicy::Default).ready);
/// tokio::spawn(watch.run());
/// nodes.complete();
///
/// let readiness = health.ready(ReadinessPolicy::Default).await;
/// assert!(readiness.ready);
///
/// let [nodes, pods] = &health.resources()[..] else { unreachable!("two are registered") };
/// assert_eq!((nodes.source, pods.source), (FeedOrigin::Host, FeedOrigin::Watched));
/// assert_eq!(pods.state, ResourceState::Failing(FailureReason::NotFound));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "watch"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Health {
    inner: Arc<HealthInner>,
}

struct HealthInner {
    metrics: StateMetrics,
    /// What feeds a resource, unless `set_feeds` sets another origin for the resource.
    origin: FeedOrigin,
    limits: HealthLimits,
    resources: RwLock<Resources>,
    /// If a StatefulSet determines the shard: the reason why the shard is not known yet.
    sharding: Mutex<Option<String>>,
    /// Whether the source has started its feeds.
    is_started: AtomicBool,
    /// Whether the default readiness policy has been met at least once.
    was_ready: AtomicBool,
    changed: watch::Sender<()>,
}

/// How long a source tolerates resources that fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HealthLimits {
    /// How long readiness waits for failing resources, counted from the first complete list of any resource.
    pub(super) readiness_deadline: Option<Duration>,
    /// How long objects of a forbidden resource stay in the store.
    pub(super) forget_forbidden_after: Option<Duration>,
}

/// The interval between two checks of readiness while readiness can change without an event. Such a change happens in
/// two cases: a refusal (403 or 404) has lasted long enough, or a list makes no more progress after the readiness
/// deadline.
const LATE_CHECK: Duration = Duration::from_secs(1);

/// Returns how long to pause after a check of readiness. `check` is the duration of the check. After a short check,
/// there is no pause. Otherwise, the pause is nine times as long as the check, so that checks take at most a tenth of
/// the time.
#[cfg(feature = "watch")]
fn pause_after(check: Duration) -> Duration {
    // A pause needs the timer of a tokio runtime.
    let is_short = check < Duration::from_micros(100) || Handle::try_current().is_err();
    if is_short { Duration::ZERO } else { check * 9 }
}

/// Without the feature `watch`, there is no timer, so there is no pause.
#[cfg(not(feature = "watch"))]
fn pause_after(_check: Duration) -> Duration {
    Duration::ZERO
}

#[derive(Default)]
struct Resources {
    /// The plan of the exposition. The resources in `tracked` come from this plan.
    plan: Weak<Plan>,
    /// The resources, in the order of the plan.
    tracked: Vec<TrackedResource>,
    /// For each store, the index of its resource in `tracked`.
    indexes: HashMap<StoreAddress, usize>,
    reported: Vec<ReportedFeed>,
}

// === impl Health ===

impl Health {
    /// Creates the health for a program that feeds all resources itself, without a watch or manifests of this crate.
    ///
    /// Readiness depends only on the resources for which you create a [`reporter`](Self::reporter).
    #[must_use]
    pub fn new(metrics: &StateMetrics) -> Self {
        Self::of_origin(metrics, FeedOrigin::Host, HealthLimits::default(), true)
    }

    fn of_origin(
        metrics: &StateMetrics,
        origin: FeedOrigin,
        limits: HealthLimits,
        is_started: bool,
    ) -> Self {
        Self {
            inner: Arc::new(HealthInner {
                metrics: metrics.clone(),
                origin,
                limits,
                resources: RwLock::default(),
                sharding: Mutex::default(),
                is_started: AtomicBool::new(is_started),
                was_ready: AtomicBool::new(false),
                changed: watch::Sender::new(()),
            }),
        }
    }

    /// Returns the current health of all resources, and whether the default readiness policy is met.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        let (readiness, resources) = self.check(ReadinessPolicy::Default);
        HealthSnapshot {
            ready: readiness.ready,
            sharding: readiness.sharding,
            resources,
        }
    }

    /// The health of each resource, in the order of the exposition.
    #[must_use]
    pub fn resources(&self) -> Vec<ResourceHealth> {
        let figures = self.figures().into_iter();
        figures.map(|(_, _, health)| health).collect()
    }

    /// Returns whether the policy is met, and which resources prevent readiness.
    #[must_use]
    pub fn readiness(&self, policy: ReadinessPolicy) -> Readiness {
        self.check(policy).0
    }

    /// Checks a policy. Also returns the health of the resources, on which the result depends.
    fn check(&self, policy: ReadinessPolicy) -> (Readiness, Vec<ResourceHealth>) {
        let inner = &self.inner;
        let sharding = inner.sharding.lock().clone();
        let is_started = inner.is_started.load(Ordering::Acquire);
        let resources = self.resources();
        let is_late = self
            .deadline(&resources)
            .is_some_and(|at| at <= Instant::now());
        let is_met = |policy: ReadinessPolicy| {
            let blocking = || policy.blocking(&resources, is_late).next();
            sharding.is_none() && is_started && blocking().is_none()
        };
        if is_met(ReadinessPolicy::Default) {
            // `Relaxed` is enough, because readers of this flag read no other data that depends on it.
            inner.was_ready.store(true, Ordering::Relaxed);
        }
        let ready = match policy {
            ReadinessPolicy::Default => inner.was_ready.load(Ordering::Relaxed),
            ReadinessPolicy::Strict => is_met(policy),
        };
        let blocking = policy.blocking(&resources, is_late).filter(|_| !ready);
        let blocking = blocking.cloned().collect();
        let readiness = Readiness::new(ready, &resources, blocking, sharding);
        (readiness, resources)
    }

    /// Returns the time at which readiness stops waiting for failing resources. Returns `None` if there is no such
    /// deadline, or if no list is complete yet.
    fn deadline(&self, resources: &[ResourceHealth]) -> Option<Instant> {
        let after = self.inner.limits.readiness_deadline?;
        readiness::served_since(resources)?.checked_add(after)
    }

    /// Waits until the policy is met.
    pub async fn ready(&self, policy: ReadinessPolicy) -> Readiness {
        let mut changes = self.inner.changed.subscribe();
        let mut plans = self.inner.metrics.current_plan().changes();
        let mut pause = Duration::ZERO;
        loop {
            // While many resources sync, there are many changes, and each check reads all resources. So make a pause
            // between two checks, to limit the CPU time.
            if !pause.is_zero() {
                sleep_until(Some(Instant::now() + pause)).await;
            }
            let began = Instant::now();
            let (readiness, resources) = self.check(policy);
            if readiness.ready {
                return readiness;
            }
            let has_deadline = policy == ReadinessPolicy::Default;
            let deadline = self.deadline(&resources).filter(|_| has_deadline);
            pause = pause_after(began.elapsed());
            let soon = Instant::now() + LATE_CHECK;
            let next_check = if readiness::is_settling(&resources) {
                Some(soon)
            } else {
                deadline.map(|at| at.max(soon))
            };
            let (mut change, mut plan) = (pin!(changes.changed()), pin!(plans.changed()));
            let mut late = pin!(sleep_until(next_check));
            poll_fn(|context| {
                let is_changed = change.as_mut().poll(context).is_ready()
                    || plan.as_mut().poll(context).is_ready()
                    || late.as_mut().poll(context).is_ready();
                if is_changed {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Creates a reporter, with which the host reports the state of its feed of a resource.
    ///
    /// Also declare with [`fed_by_host`](crate::registry::Builder::fed_by_host) that the host feeds the resource.
    /// Without this declaration, the health of a watch or of manifests ignores the reports. The resource may be
    /// registered after this call, by a configuration of custom resources.
    ///
    /// A resource may have several reporters. The resource is complete when each of its reporters has reported a
    /// complete list. A new reporter replaces the dropped reporters of the resource.
    #[must_use = "a dropped reporter reports that the feed has stopped"]
    pub fn reporter(&self, resource: impl Into<ResourceName>) -> FeedReporter {
        let name = resource.into();
        let reporter = self.feed(None);
        let mut resources = self.inner.resources.write();
        let reported = &mut resources.reported;
        reported.retain(|other| other.resource != name || !other.feed.is_stopped());
        reported.push(ReportedFeed {
            resource: name,
            feed: Arc::clone(reporter.state()),
        });
        drop(resources);
        self.notify();
        reporter
    }

    /// Creates a reporter for a feed of this source.
    pub(super) fn feed(&self, namespace: Option<String>) -> FeedReporter {
        FeedReporter::new(namespace, self.inner.changed.clone())
    }

    /// Returns the statistics of the store and the health, for each resource.
    pub(super) fn figures(&self) -> Vec<(ResourceInfo, StoreStats, ResourceHealth)> {
        loop {
            self.follow_plan();
            let resources = self.inner.resources.read();
            let figures = resources.tracked.iter().map(|own| {
                let stats = own.stats();
                let forget_after = self.inner.limits.forget_forbidden_after;
                let health = own.health(&stats, &resources.reported, forget_after);
                (own.info().clone(), stats, health)
            });
            let figures = figures.collect();
            // If the plan has changed meanwhile, because resources were added or removed, start again.
            if resources.is_of(&self.inner.metrics.plan()) {
                return figures;
            }
        }
    }

    /// Adds the new resources of the current plan, and removes resources that are no longer in the plan. All other
    /// resources keep their health.
    fn follow_plan(&self) {
        let plan = self.inner.metrics.plan();
        if self.inner.resources.read().is_of(&plan) {
            return;
        }
        let mut resources = self.inner.resources.write();
        // Read the plan again after locking, so that an older plan cannot replace a newer plan.
        let plan = self.inner.metrics.plan();
        let (mut before, mut counted) = (HashMap::new(), Vec::new());
        for own in std::mem::take(&mut resources.tracked) {
            match own.address() {
                Some(store) => drop(before.insert(store, own)),
                None => counted.push(own),
            }
        }
        let mut indexes = HashMap::with_capacity(plan.stores().len());
        for (index, store) in plan.stores().iter().enumerate() {
            let address = StoreAddress::of(store);
            let known = before.remove(&address);
            let tracked = known.unwrap_or_else(|| TrackedResource::new(store, self.inner.origin));
            resources.tracked.push(tracked);
            indexes.insert(address, index);
        }
        resources.tracked.append(&mut counted);
        resources.indexes = indexes;
        resources.plan = Arc::downgrade(&plan);
    }

    fn notify(&self) {
        self.inner.changed.send_replace(());
    }
}

// === impl Resources ===

impl Resources {
    /// Whether the resources were taken from this plan.
    fn is_of(&self, plan: &Arc<Plan>) -> bool {
        self.plan.as_ptr() == Arc::as_ptr(plan)
    }

    /// The resource of a store.
    #[cfg(any(feature = "manifests", feature = "watch"))]
    fn of_store(&mut self, store: &Arc<dyn AnyStore>) -> Option<&mut TrackedResource> {
        let index = self.indexes.get(&StoreAddress::of(store))?;
        self.tracked.get_mut(*index)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readiness = self.readiness(ReadinessPolicy::Default);
        f.debug_struct("Health")
            .field("ready", &readiness.ready)
            .field("expected", &readiness.expected)
            .field("complete", &readiness.complete)
            .finish_non_exhaustive()
    }
}
