//! The state of one feed, and the reporter that changes this state. A *refusal* is a response of the API server with
//! status 403 or 404.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::clock::Instant;
use super::failure_reason::FailureReason;
use super::resource::{FeedHealth, ResourceState};

/// The state of the feed of one resource, in one namespace or in all namespaces.
pub(crate) struct FeedState {
    namespace: Option<String>,
    progress: Mutex<Progress>,
    /// Notifies the tasks that wait for a change of the health.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Progress {
    state: ResourceState,
    /// The time at which the first list was complete.
    complete_at: Option<Instant>,
    was_refused: bool,
    /// The time at which the current refusal of the server began.
    refused_at: Option<Instant>,
    /// The total duration of the refusals that ended since the last success.
    refused_before: Duration,
    /// Whether the stored objects were removed because the server forbids the resource.
    is_forgotten: bool,
    /// The time at which the list in progress last received an object.
    received_at: Option<Instant>,
    failures: u64,
    oversized: u64,
    is_limited: bool,
    /// Whether the list in progress takes long because its objects are expensive to apply.
    is_expensive: bool,
    last_event: Option<Instant>,
    /// Whether the last list was requested because watches received no events and no bookmarks. The next event,
    /// bookmark or failure sets this flag to false.
    is_silent: bool,
    last_error: Option<String>,
    newest_version: Option<u64>,
    received_version: Option<u64>,
    /// The time of the last audit or complete list; `None` if the watch is not audited.
    audited_at: Option<Instant>,
    /// Number of objects in the store that differed from the API server in the last audit.
    audit_difference: Option<u64>,
    /// The time at which the oldest object arrived that was received but not applied.
    unapplied_since: Option<Instant>,
    unapplied_objects: usize,
}

/// Reports the state of one feed to a [`Health`](super::Health).
///
/// When you drop the reporter, it reports that the feed has stopped.
///
/// ```
/// use kube_state_metrics::source::health::{FailureReason, Health, ReadinessPolicy};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let builder = StateMetrics::builder().built_in([BuiltIn::Nodes]);
/// let metrics = builder.fed_by_host(BuiltIn::Nodes).build()?;
/// let health = Health::new(&metrics);
/// let nodes = health.reporter(BuiltIn::Nodes);
/// nodes.listing();
/// assert!(!health.readiness(ReadinessPolicy::Default).ready);
/// nodes.failed(FailureReason::Unreachable, "no route to host");
/// let readiness = health.readiness(ReadinessPolicy::Default);
/// assert!(readiness.to_string().contains("nodes (unreachable): unreachable: no route to host"));
/// nodes.complete();
/// assert!(health.readiness(ReadinessPolicy::Default).ready);
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
pub struct FeedReporter {
    state: Arc<FeedState>,
}

// === impl FeedState ===

impl FeedState {
    pub(super) fn health(&self) -> FeedHealth {
        let progress = self.progress.lock();
        FeedHealth {
            namespace: self.namespace.clone(),
            state: progress.state,
            complete: progress.complete_at.is_some(),
            complete_at: progress.complete_at,
            received_at: progress.received_at,
            was_refused: progress.was_refused,
            refused_seconds: progress.refused_at.map(|at| at.elapsed().as_secs_f64()),
            refused_for: progress.refused_for(),
            is_forgotten: progress.is_forgotten,
            failures: progress.failures,
            oversized: progress.oversized,
            is_limited: progress.is_limited,
            is_expensive: progress.is_expensive,
            silent_seconds: progress.last_event.map(|at| at.elapsed().as_secs_f64()),
            last_error: progress.last_error.clone(),
            newest_version: progress.newest_version,
            received_version: progress.received_version,
            audit_seconds: progress.audited_at.map(|at| at.elapsed().as_secs_f64()),
            audit_difference: progress.audit_difference,
            unapplied_seconds: (progress.unapplied_since).map(|at| at.elapsed().as_secs_f64()),
            unapplied_objects: progress.unapplied_objects as u64,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.progress.lock().state == ResourceState::Stopped
    }

    fn enter(&self, progress: &mut Progress, state: ResourceState) {
        if progress.state != state {
            progress.state = state;
            self.changed.send_replace(());
        }
    }
}

// === impl Progress ===

impl Progress {
    /// Returns how long the server has refused the resource since the last success.
    fn refused_for(&self) -> Duration {
        let now = self.refused_at.map(|at| at.elapsed());
        self.refused_before + now.unwrap_or_default()
    }

    /// Stops counting the time of a refusal, because the server now responds in another way. The counted time is kept
    /// until a success. A refusal before that adds to the counted time.
    fn pause_refusal(&mut self) {
        self.refused_before = self.refused_for();
        self.refused_at = None;
    }

    /// Records that data of a list has arrived. Usually, the data resets the time since the last event. But if the list
    /// was requested because watches received no events, the data does not reset this time.
    fn receive_list(&mut self, now: Instant) {
        if !self.is_silent {
            self.last_event = Some(now);
        }
    }

    /// Records that an event or a bookmark has arrived.
    fn receive_event(&mut self) {
        self.is_silent = false;
        self.last_event = Some(Instant::now());
    }

    fn forget_refusals(&mut self) {
        self.refused_at = None;
        self.refused_before = Duration::ZERO;
    }
}

// === impl FeedReporter ===

impl FeedReporter {
    pub(super) fn new(namespace: Option<String>, changed: watch::Sender<()>) -> Self {
        let state = Arc::new(FeedState {
            namespace,
            progress: Mutex::default(),
            changed,
        });
        Self { state }
    }

    pub(crate) fn state(&self) -> &Arc<FeedState> {
        &self.state
    }

    /// Reports that a list begins.
    ///
    /// Only the first list changes the state of the feed. During later lists, the stored samples are still served.
    pub fn listing(&self) {
        let mut progress = self.state.progress.lock();
        progress.last_event.get_or_insert_with(Instant::now);
        if progress.state == ResourceState::NotStarted {
            self.state.enter(&mut progress, ResourceState::Listing);
        }
    }

    /// Reports that a list is complete.
    pub fn complete(&self) {
        let mut progress = self.state.progress.lock();
        let now = Instant::now();
        progress.complete_at.get_or_insert(now);
        progress.forget_refusals();
        progress.is_forgotten = false;
        progress.failures = 0;
        progress.receive_list(now);
        self.state.enter(&mut progress, ResourceState::Synced);
        // Notify even if the state has not changed, because this can be the first list for families that were added
        // later.
        self.state.changed.send_replace(());
    }

    /// Reports that an event or a bookmark of a watch has arrived.
    ///
    /// If the feed was failing, its state is synced again.
    pub fn event(&self) {
        let mut progress = self.state.progress.lock();
        progress.receive_event();
        self.resume(&mut progress);
    }

    /// Reports a failure.
    ///
    /// The health shows the message together with the reason.
    pub fn failed(&self, reason: FailureReason, message: impl fmt::Display) {
        let mut progress = self.state.progress.lock();
        progress.failures += 1;
        progress.received_at = None;
        progress.is_silent = false;
        if reason.is_refusal() {
            progress.was_refused = true;
            progress.refused_at.get_or_insert_with(Instant::now);
        } else {
            progress.pause_refusal();
        }
        progress.last_error = Some(format!("{reason}: {message}"));
        let state = ResourceState::Failing(reason);
        self.state.enter(&mut progress, state);
    }

    fn resume(&self, progress: &mut Progress) {
        progress.failures = 0;
        progress.forget_refusals();
        if progress.complete_at.is_some() {
            self.state.enter(progress, ResourceState::Synced);
        }
    }
}

#[cfg(feature = "watch")]
impl FeedReporter {
    /// Reports that a watch continues from the last received resource version, without a new list.
    pub(crate) fn following(&self) {
        self.resume(&mut self.state.progress.lock());
    }

    /// Reports that the server sends data of a list, whether or not the resource is synced.
    pub(crate) fn list_data_received(&self) {
        self.state.progress.lock().receive_list(Instant::now());
    }

    /// Reports that the server sends an event or a bookmark of a watch, even if the event cannot be decoded.
    pub(crate) fn watch_data_received(&self) {
        self.state.progress.lock().receive_event();
    }

    /// Reports that a list begins because watches received no events and no bookmarks. Until the next event, bookmark
    /// or failure, lists do not reset the time since the last event.
    pub(crate) fn silent(&self) {
        self.state.progress.lock().is_silent = true;
    }

    /// Reports that the server has begun to send a list, so the server no longer refuses the resource.
    pub(crate) fn list_opened(&self) {
        let mut progress = self.state.progress.lock();
        progress.pause_refusal();
        if progress.state.is_refusal() && progress.complete_at.is_none() {
            self.state.enter(&mut progress, ResourceState::Listing);
        }
    }

    /// Reports that the list in progress has received an object, so that readiness waits for the list.
    pub(crate) fn object_received(&self) {
        self.state.progress.lock().received_at = Some(Instant::now());
    }

    /// Reports two resource versions: the version of the newest object, and the version up to which all changes have
    /// arrived.
    pub(crate) fn versions(&self, newest: Option<u64>, received: Option<u64>) {
        let mut progress = self.state.progress.lock();
        progress.newest_version = newest;
        progress.received_version = received;
    }

    /// Reports the end of an audit. `difference` is the number of stored objects that differ from the API server.
    /// `None` means that the audit did not compare objects: their number was correct, or a list has replaced them. Then
    /// the result of the last comparison stays.
    pub(crate) fn audited(&self, difference: Option<u64>) {
        let mut progress = self.state.progress.lock();
        progress.audited_at = Some(Instant::now());
        progress.audit_difference = difference.or(progress.audit_difference).or(Some(0));
    }

    /// Reports the number of objects that were received but not applied, and the time at which the oldest of them
    /// arrived.
    pub(crate) fn unapplied(&self, since: Option<std::time::Instant>, objects: usize) {
        let mut progress = self.state.progress.lock();
        progress.unapplied_since = since.map(Instant::from_std);
        progress.unapplied_objects = objects;
    }

    /// Reports that an object was skipped because it is larger than the maximum size.
    pub(crate) fn object_skipped(&self) {
        self.state.progress.lock().oversized += 1;
    }

    /// Reports whether the number of objects in the last list has reached the object limit of the watch.
    pub(crate) fn limited(&self, is_limited: bool) {
        self.state.progress.lock().is_limited = is_limited;
    }

    /// Reports whether the list in progress takes long because its objects are expensive to apply.
    pub(crate) fn list_is_expensive(&self, is_expensive: bool) {
        let mut progress = self.state.progress.lock();
        if progress.is_expensive != is_expensive {
            progress.is_expensive = is_expensive;
            self.state.changed.send_replace(());
        }
    }

    /// Reports that the stored objects were removed because the server forbids the resource.
    pub(crate) fn forgotten(&self) {
        self.state.progress.lock().is_forgotten = true;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state.progress.lock().complete_at.is_some()
    }

    /// Returns how long the server has refused the resource since the last success. Periods with other failures do not
    /// count.
    pub(crate) fn refused_for(&self) -> Duration {
        self.state.progress.lock().refused_for()
    }

    pub(crate) fn resource_state(&self) -> ResourceState {
        self.state.progress.lock().state
    }
}

impl Drop for FeedReporter {
    fn drop(&mut self) {
        let mut progress = self.state.progress.lock();
        self.state.enter(&mut progress, ResourceState::Stopped);
    }
}

impl fmt::Debug for FeedReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedReporter")
            .field("health", &self.state.health())
            .finish()
    }
}

#[cfg(all(test, feature = "watch"))]
mod tests {
    use super::*;

    #[test]
    fn lists_after_silent_watches_do_not_end_the_silence() {
        let (changed, _) = watch::channel(());
        let reporter = FeedReporter::new(None, changed);
        let last_event = || reporter.state.progress.lock().last_event;
        let is_reset_by = |report: &&dyn Fn()| {
            let old = Instant::now();
            reporter.state.progress.lock().last_event = Some(old);
            std::thread::sleep(Duration::from_millis(1));
            report();
            last_event() != Some(old)
        };
        let lists: [&dyn Fn(); 2] = [&|| reporter.list_data_received(), &|| reporter.complete()];
        let ends: [&dyn Fn(); 2] = [&|| reporter.watch_data_received(), &|| reporter.event()];
        let failure = || reporter.failed(FailureReason::Unreachable, "no route to host");
        assert!(lists.iter().all(&is_reset_by));
        for end in ends {
            reporter.silent();
            assert!(!lists.iter().any(&is_reset_by));
            assert!(is_reset_by(&end));
            assert!(lists.iter().all(&is_reset_by));
        }
        reporter.silent();
        assert!(!is_reset_by(&(&failure as &dyn Fn())));
        assert!(lists.iter().all(&is_reset_by));
    }
}
