//! The reflector: lists the objects of a resource, then watches their changes.
//!
//! The reflector follows the rules of client-go's
//! [reflector](https://pkg.go.dev/k8s.io/client-go/tools/cache#Reflector). The reflector requests a streaming list if
//! the server supports streaming lists, otherwise a paged list. Then the reflector watches the resource. If the watch
//! ends, the reflector resumes the watch at the last version, as long as the server has this version. During failures,
//! the stored samples are served. The objects of a list are served when the list is complete.
//!
//! The reflector passes the objects to its sink ([`ListWatchSink`]), which usually writes samples to a store. In this
//! file, a *version* is a resource version, and the *scope* ([`ShardScope`]) is the shards whose objects are requested.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::audit::{Audit, ReceivedObjects, Rotation};
use super::blocking_sink::{BlockingSink, ThreadPermits};
use super::buffer_budget::BufferBudget;
use super::connection::{self, ResponseBody};
use super::failure::Failure;
use super::listed_expensive::ListedExpensive;
use super::logged_feed::LoggedFeed;
use super::metrics::FeedMetrics;
use super::oversized::OversizedObject;
use super::page_size::PageSize;
use super::representation::Representation;
use super::request::{ListWatchRequest, Target};
use super::sink::ListWatchSink;
use super::timeouts::{Backoff, WatchTimeouts};
use crate::decode::{DecodeError, Encoding};
use crate::k8s::resource_version;
use crate::source::health::FailureReason;

/// The options that all reflectors of a watch share.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Whether to request streaming lists.
    pub(super) streaming: bool,
    /// Whether the server may answer a list from its cache, with any version of the objects.
    pub(super) use_cache: bool,
    /// Maximum number of objects that a list requests and stores. If this limit is set, a list has one page.
    pub(super) object_limit: Option<u64>,
    pub(super) page_size: u64,
    /// Maximum number of objects that the server may send in a list. A list with more objects fails.
    pub(super) max_list_objects: Option<u64>,
    /// Limits the memory that all reflectors together use for buffers.
    pub(super) budget: Arc<BufferBudget>,
    /// Limits the number of objects that threads for blocking work apply at the same time.
    pub(super) permits: ThreadPermits,
    /// Whether to request protobuf for the kinds that have a protobuf encoding.
    pub(super) protobuf: bool,
    /// Minimum timeout of a streaming list. `None` means no timeout.
    pub(super) list_deadline: Option<Duration>,
    /// Time after which the samples of a forbidden resource are removed. `None` means never.
    pub(super) forget_forbidden_after: Option<Duration>,
    pub(super) timeouts: WatchTimeouts,
    /// The time between two audits of a watch. `None` disables audits.
    pub(super) audit_interval: Option<Duration>,
}

/// The shards to request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardScope {
    /// A number that increases when the current shard changes. After each increase, the objects are listed again.
    pub(super) generation: u64,
    /// The shard selector in requests, so that the server sends only objects of these shards.
    pub(super) selector: Option<String>,
}

/// The loop that lists and watches the objects of one target, and passes them to one sink.
pub(super) struct Reflector<S> {
    pub(super) client: Client,
    pub(super) target: Target,
    /// The encoding that requests ask for: protobuf or JSON.
    pub(super) encoding: Encoding,
    pub(super) options: Options,
    pub(super) sink: BlockingSink<S>,
    pub(super) feed: LoggedFeed,
    pub(super) metrics: FeedMetrics,
    pub(super) scope: watch::Receiver<ShardScope>,
    /// Whether the sink needs the objects of all shards.
    pub(super) reads_all_shards: bool,
    /// Whether the sink reads only the metadata of objects.
    pub(super) reads_only_metadata: bool,
    /// The current list or watch was requested with this [generation](ShardScope::generation) of the scope.
    pub(super) generation: u64,
    pub(super) backoff: Backoff,
    /// The resource version of the stored objects.
    pub(super) version: Option<String>,
    /// The highest resource version of a stored object.
    pub(super) newest: Option<u64>,
    /// The highest resource version of an object of the list in progress.
    pub(super) listed_newest: Option<u64>,
    /// Whether the server no longer has `version`.
    pub(super) version_lost: bool,
    /// Whether an audit has found a difference, so that the next list must have all changes up to now. The cache of the
    /// server may lack the same changes as the watch. The server answers streaming lists, and lists that accept any
    /// version, from this cache. Therefore, the next list must be a paged list of the latest version.
    pub(super) heals: bool,
    /// The end of the period in which paged lists are requested, because the server does not complete streaming lists.
    pub(super) paged_until: Option<Instant>,
    /// Whether paged lists are requested because a streaming list took too long. False if the server rejects streaming
    /// lists.
    gave_up_streaming: bool,
    /// Whether the response to the last streaming list did not begin in time.
    pub(super) is_stream_unanswered: bool,
    /// Whether the log contains a message about an unfinished streaming list. The next complete streaming list sets
    /// this flag to false.
    pub(super) is_unfinished_logged: bool,
    /// The duration of the last complete list.
    pub(super) last_list: Option<Duration>,
    /// How long expensive objects of the list in progress have taken.
    pub(super) expensive_time: Duration,
    /// The expensive objects of the paged list in progress.
    pub(super) listed_expensive: ListedExpensive,
    /// The number of objects in a page, if the objects are expensive.
    pub(super) page_size: PageSize,
    /// Whether the last watch was shorter than its minimum duration.
    pub(super) is_watch_unstable: bool,
    /// Number of consecutive streaming lists that ended before they were complete.
    pub(super) cut_streams: u32,
    /// Number of consecutive complete lists that no sufficiently long watch has followed.
    pub(super) unwatched_lists: u32,
    /// The stored version at the last invalid event of a watch.
    pub(super) broken_at: Option<String>,
    /// Number of consecutive watches that were closed because the server sent no event.
    pub(super) silent_watches: u32,
    /// Number of consecutive silent watches after which the objects are listed again.
    pub(super) silent_watches_before_list: u32,
    /// The time since which every response says that the resource does not exist.
    not_found_since: Option<Instant>,
    /// Whether the objects were removed because the server forbids the resource.
    is_forgotten: bool,
    /// The objects that a warning has already named, because they did not decode.
    logged_undecodable: HashSet<String>,
    /// The objects that a warning has already named, because they were larger than the maximum size.
    logged_oversized: HashSet<String>,
    pub(super) audit: Option<Audit>,
}

/// The next request. After a failure, the reflector waits for a backoff before the request. Otherwise, the reflector
/// waits for `pause`.
pub(super) struct NextStep {
    action: Action,
    failure: Option<Failure>,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    /// A paged list, even if streaming lists are enabled.
    PagedList,
    Watch,
}

/// After an incomplete streaming list, the reflector requests paged lists for this time.
const PAGED_FOR: Duration = Duration::from_secs(3600);
/// Maximum number of skipped objects that are logged as warnings. This limit keeps the log short if no object of a
/// resource decodes.
const MAX_LOGGED: usize = 20;
/// Initial value of [`Reflector::silent_watches_before_list`].
pub(super) const MIN_SILENT_WATCHES: u32 = 3;

// === impl Options ===

impl Options {
    /// Whether to request streaming lists. False if there is an object limit, because only paged lists can be limited.
    fn may_stream(&self) -> bool {
        self.streaming && self.object_limit.is_none()
    }
}

// === impl Reflector ===

impl<S: ListWatchSink> Reflector<S> {
    pub(super) fn new(
        client: Client,
        options: Options,
        sink: S,
        feed: LoggedFeed,
        metrics: FeedMetrics,
        scope: watch::Receiver<ShardScope>,
        target: Target,
    ) -> Self {
        let generation = scope.borrow().generation;
        let message = target.message().filter(|_| options.protobuf);
        Self {
            client,
            encoding: message.map_or(Encoding::Json, Encoding::Protobuf),
            target,
            sink: BlockingSink::new(sink, options.permits.clone(), &options.budget),
            feed,
            metrics,
            generation,
            scope,
            reads_all_shards: false,
            reads_only_metadata: false,
            backoff: Backoff::new(options.timeouts.clone()),
            version: None,
            newest: None,
            listed_newest: None,
            version_lost: false,
            heals: false,
            paged_until: None,
            gave_up_streaming: false,
            is_stream_unanswered: false,
            is_unfinished_logged: false,
            last_list: None,
            expensive_time: Duration::ZERO,
            listed_expensive: ListedExpensive::new(&options.budget),
            page_size: PageSize::default(),
            is_watch_unstable: false,
            cut_streams: 0,
            unwatched_lists: 0,
            broken_at: None,
            silent_watches: 0,
            silent_watches_before_list: MIN_SILENT_WATCHES,
            not_found_since: None,
            is_forgotten: false,
            logged_undecodable: HashSet::new(),
            logged_oversized: HashSet::new(),
            audit: None,
            options,
        }
    }

    /// Audits the watch, if audits are enabled and the sink stores rows. Two kinds of watches are not audited:
    /// - Watches with an object limit, because their lists do not contain all objects.
    /// - Watches with a selector, because their lists may cost the API server as much as a list of all objects.
    pub(super) fn with_audits(mut self, rotation: &Arc<Rotation>) -> Self {
        let interval = self.options.audit_interval;
        let has_all = self.options.object_limit.is_none() && self.sink.rows().is_some();
        let selectors = [&self.target.field_selector, &self.target.label_selector];
        let is_audited = has_all && selectors.iter().all(|own| own.is_none());
        if let Some(interval) = interval.filter(|_| is_audited) {
            self.audit = Some(Audit::new(interval, rotation));
            self.sink.received = Some(ReceivedObjects::new(self.target.resource.scope()));
        }
        self
    }

    /// Lists and watches. Never resolves.
    pub(super) async fn run(mut self) {
        let mut action = Action::List;
        loop {
            let next = match action {
                Action::List if self.can_stream() => self.streaming_list().await,
                Action::List | Action::PagedList => self.paged_list().await,
                Action::Watch => self.watch().await,
            };
            action = next.action;
            if let Some(failure) = next.failure {
                self.back_off(&failure).await;
            }
            if !next.pause.is_zero() {
                sleep(next.pause).await;
            }
            if self.needs_list() {
                action = Action::List;
            }
        }
    }

    /// Sends a request for objects with as few fields as the sink allows (see [`Representation`]). `selector` is the
    /// shard selector. If the server refuses the preferred encoding, all later requests ask for JSON.
    pub(super) async fn send(
        &mut self,
        request: ListWatchRequest<'_>,
        selector: Option<&str>,
        timeout: Duration,
    ) -> Result<ResponseBody, Failure> {
        loop {
            let representation = self.smallest_representation();
            self.sink.partial.begin(representation);
            let encoding = self.preferred_encoding(representation);
            let http = (self.target).request(request, selector, representation, encoding)?;
            let response = connection::send(&self.client, http, encoding, timeout).await;
            match (encoding, &response) {
                (Encoding::Protobuf(_), Err(failure)) if failure.is_of_encoding => {
                    self.request_json(failure);
                    continue;
                }
                (_, Ok(response)) => self.metrics.response(response.encoding()),
                _ => {}
            }
            return response;
        }
    }

    fn preferred_encoding(&self, representation: Representation) -> Encoding {
        let has_protobuf = representation.has_protobuf() && self.sink.reads_protobuf();
        if has_protobuf {
            self.encoding
        } else {
            Encoding::Json
        }
    }

    /// Makes all later requests ask for JSON, because the server or a proxy refuses or damages protobuf.
    fn request_json(&mut self, failure: &Failure) {
        self.encoding = Encoding::Json;
        let resource = self.target.resource.label();
        tracing::info!(resource, %failure, "requesting JSON from now on, because protobuf failed");
    }

    /// Reports a failure and sleeps for the backoff.
    async fn back_off(&mut self, failure: &Failure) {
        if failure.is_of_encoding && matches!(self.encoding, Encoding::Protobuf(_)) {
            self.request_json(failure);
        }
        self.clear_if_not_found(failure);
        let wait = self.backoff.next(failure);
        if !wait.is_zero() {
            self.feed.failed(failure);
            self.sink.failed(failure);
            self.clear_if_forbidden(failure);
            sleep(wait).await;
        }
    }

    /// Removes the stored objects if the server has forbidden the resource for the configured time.
    fn clear_if_forbidden(&mut self, failure: &Failure) {
        let is_listed = self.feed.reporter().is_complete() && !self.is_forgotten;
        if failure.reason != FailureReason::Forbidden || !is_listed {
            return;
        }
        let refused_for = self.feed.reporter().refused_for();
        let age = self.options.forget_forbidden_after;
        if age.is_some_and(|age| refused_for >= age) {
            self.is_forgotten = true;
            self.sink.begin_list();
            self.sink.end_list();
            self.feed.forgotten();
        }
    }

    /// Removes the stored objects if the resource has not existed on the server for the configured time.
    fn clear_if_not_found(&mut self, failure: &Failure) {
        let is_listed = self.feed.reporter().is_complete();
        if failure.reason != FailureReason::NotFound || !is_listed {
            self.not_found_since = None;
            return;
        }
        let since = *self.not_found_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.options.timeouts.gone_after {
            self.sink.begin_list();
            self.sink.end_list();
        }
    }

    /// Uses the current scope for the next list, and returns the shard selector of this scope.
    pub(super) fn enter_scope(&mut self) -> Option<String> {
        self.generation = self.scope.borrow_and_update().generation;
        // A new list begins, and none of its objects has arrived yet.
        self.listed_newest = None;
        self.expensive_time = Duration::ZERO;
        self.feed.reporter().list_is_expensive(false);
        self.shard_selector()
    }

    /// The shard selector of the current scope.
    pub(super) fn shard_selector(&self) -> Option<String> {
        let selector = self.scope.borrow().selector.clone();
        selector.filter(|_| !self.reads_all_shards)
    }

    /// Whether the last list lacked objects or fields that are needed now, so that a new list is necessary.
    pub(super) fn needs_list(&self) -> bool {
        self.scope.borrow().generation != self.generation
            || self.sink.wants_list()
            || self.sink.partial.has_lost_object()
            || self.sink.partial.requested() < self.smallest_representation()
    }

    /// The smallest representation with all fields that the sink reads.
    fn smallest_representation(&self) -> Representation {
        if self.sink.partial.need_whole_objects() {
            return Representation::Object;
        }
        if self.reads_only_metadata {
            return Representation::Metadata;
        }
        let reads_only = |paths: &[&str]| self.sink.reads_only(paths);
        Representation::smallest(&self.target.resource, reads_only)
    }

    /// Whether to request a streaming list.
    fn can_stream(&self) -> bool {
        let is_paged = self.paged_until.is_some_and(|until| Instant::now() < until);
        self.options.may_stream() && !is_paged && !self.heals
    }

    /// Requests paged lists for an hour, because the server does not complete streaming lists.
    pub(super) fn stop_streaming(&mut self) {
        self.paged_until = Some(Instant::now() + PAGED_FOR);
        self.gave_up_streaming = false;
    }

    /// Requests paged lists for an hour, because a streaming list took too long. Logs this change once.
    pub(super) fn give_up_streaming(&mut self) {
        self.stop_streaming();
        self.gave_up_streaming = true;
        self.is_stream_unanswered = false;
        if !std::mem::replace(&mut self.is_unfinished_logged, true) {
            self.feed.unfinished();
        }
    }

    /// Allows streaming lists again if the server has rejected them and is now unreachable. A new server may replace
    /// this server and support streaming lists.
    pub(super) fn reset_streaming_if_unreachable(&mut self, failure: &Failure) {
        if failure.reason == FailureReason::Unreachable && !self.gave_up_streaming {
            self.paged_until = None;
        }
    }

    /// The minimum version to request for the next list. `None` requests the latest version.
    pub(super) fn list_version(&self) -> Option<String> {
        if self.heals {
            return None;
        }
        if self.options.use_cache {
            return Some(String::from("0"));
        }
        match &self.version {
            Some(version) if !self.version_lost => Some(version.clone()),
            Some(_) => None,
            None => Some(String::from("0")),
        }
    }

    /// Publishes a complete list, which began at `began`.
    pub(super) fn end_list(&mut self, version: String, began: Instant) {
        self.sink.end_list();
        self.list_ended(version, began);
    }

    /// Records that a list, which began at `began`, is complete and published.
    pub(super) fn list_ended(&mut self, version: String, began: Instant) {
        self.last_list = Some(began.elapsed());
        self.feed.reporter().list_is_expensive(false);
        self.is_forgotten = false;
        self.report_unapplied(None);
        if self.feed.reporter().is_complete() {
            self.metrics.relisted();
        }
        self.feed.complete();
        self.unwatched_lists = self.unwatched_lists.saturating_add(1);
        self.version = Some(version);
        self.newest = self.listed_newest.take();
        self.report_versions();
        (self.version_lost, self.heals) = (false, false);
        self.not_found_since = None;
        if let Some(audit) = &mut self.audit {
            audit.relisted();
            self.feed.reporter().audited(None);
        }
    }

    /// Updates `listed_newest` after the caller has applied an object of the list in progress.
    pub(super) fn note_listed(&mut self) {
        let version = resource_version::as_u64(self.sink.last_version());
        self.listed_newest = self.listed_newest.max(version);
    }

    /// Waits until all objects of the list in progress are applied. Returns the first object whose bytes are not valid.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime is shutting down.
    pub(super) async fn finish_batches(&mut self) -> Result<Option<DecodeError>, Failure> {
        let applied = self.sink.finish_batches().await?;
        self.listed_newest = self.listed_newest.max(applied.newest);
        for error in &applied.errors {
            self.log_undecodable(error);
        }
        Ok(applied.malformed)
    }

    /// Reports the versions of the feed to its health. So another process can compare these versions with its own
    /// versions.
    pub(super) fn report_versions(&self) {
        let received = self.version.as_deref().and_then(resource_version::as_u64);
        self.feed.reporter().versions(self.newest, received);
    }

    /// Skips an object that is larger than the maximum size. Logs a warning the first time that this object is skipped.
    /// Removes the samples of an earlier version of the object.
    pub(super) fn skip_oversized(&mut self, object: &OversizedObject) {
        self.metrics.oversized();
        self.feed.reporter().object_skipped();
        let resource = self.target.resource.label();
        if is_first_log(&mut self.logged_oversized, object.to_string()) {
            tracing::warn!(
                resource,
                %object,
                "an object is larger than the maximum size (`object_size_limit`) and is skipped; raise the limit to \
                 export it"
            );
        } else {
            tracing::debug!(
                resource,
                %object,
                "an object is larger than the maximum size (`object_size_limit`) and is skipped; raise the limit to \
                 export it"
            );
        }
        self.sink.skip_oversized(object);
    }

    /// Logs that an object does not decode: the first time as a warning, later as a debug message.
    pub(super) fn log_undecodable(&mut self, error: &DecodeError) {
        if is_first_log(&mut self.logged_undecodable, error.object().to_owned()) {
            tracing::warn!(%error, "an object does not decode, so it has no samples");
        } else {
            tracing::debug!(%error, "an object does not decode, so it has no samples");
        }
    }
}

// === impl NextStep ===

impl NextStep {
    pub(super) fn now(action: Action) -> Self {
        Self {
            action,
            failure: None,
            pause: Duration::ZERO,
        }
    }

    /// Creates a step that sends the request after a pause, although no request has failed.
    pub(super) fn paused(pause: Duration, action: Action) -> Self {
        Self {
            pause,
            ..Self::now(action)
        }
    }

    pub(super) fn after(failure: Failure, action: Action) -> Self {
        Self {
            failure: Some(failure),
            ..Self::now(action)
        }
    }
}

/// Whether to log a skipped object as a warning: only the first time, and only for [`MAX_LOGGED`] objects. `logged`
/// contains the objects that already have a warning for the same reason.
fn is_first_log(logged: &mut HashSet<String>, object: String) -> bool {
    logged.len() < MAX_LOGGED && logged.insert(object)
}
