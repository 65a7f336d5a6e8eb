//! Reads the stream of a watch or of a streaming list: a response of the API server that is a sequence of events.
//!
//! Events that arrive without a pause between them are a *burst*. In this file, a *version* is a resource version. The
//! *stored version* is the version up to which all changes are stored.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::audit::Audit;
use super::blocking_sink::Handled;
use super::buffer_budget::HeldTooLong;
use super::connection::ResponseBody;
use super::event_splitter::EventSplitter;
use super::failure::{Failure, Status};
use super::object_buffer;
use super::oversized::{OversizedObject, Part};
use super::reflector::{MIN_SILENT_WATCHES, Reflector};
use super::sink::ListWatchSink;
use super::split_error::MAX_VERSION;
use super::turn::{MAX_PART, Turn};
use super::watch_event::{EventKind, InvalidEvent, WatchEvent};
use crate::decode::Encoding;
use crate::k8s::resource_version;
use crate::source::health::FailureReason;

/// What the stream currently sends: the list at its start, or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The stream sends the existing objects, up to the bookmark that ends the list.
    Listing,
    /// The stream sends changes.
    Watching,
}

/// Why the reflector stops reading a stream.
pub(super) enum StreamEnd {
    /// The server closed the stream.
    Closed,
    /// The connection broke.
    Cut(Failure),
    /// No event arrived before the timeout, or the list at the start was not complete before its deadline.
    Idle,
    /// A list is needed, because the shard has changed or the sink requires a list.
    NeedsList,
    /// The server does not support streaming lists and sent a plain watch.
    NotStreaming,
    /// An event is invalid, so its change is lost.
    Broken(Failure),
    /// A version is lower than the previous version. Either the events are out of order, or the server was restored
    /// from a backup.
    Disorder(Failure),
    /// The server ended the watch with an error.
    Error(Failure),
}

/// A stream and its progress.
pub(super) struct Stream {
    pub(super) phase: Phase,
    pub(super) encoding: Encoding,
    /// The time of the request. While the stream sends a list, the time in which the reflector handles events moves
    /// `opened` forward (see [`exclude_work`](Self::exclude_work)).
    pub(super) opened: Instant,
    last_event: Instant,
    /// Number of objects of the list that have arrived.
    pub(super) objects: u64,
    pub(super) turn: Turn,
}

/// An event that may take long to handle, or any event after such an event. The stream first splits the received bytes
/// into events, and then handles the deferred events in their order.
enum Deferred {
    Event(Bytes),
    Oversized(OversizedObject),
}

/// Maximum duration of a burst of events. After each burst, the reflector checks whether a timeout has passed or the
/// shard has changed.
const MAX_BURST: Duration = Duration::from_secs(1);
/// Duration of a pause that ends a burst of events.
const PAUSE: Duration = Duration::from_millis(1);
/// If a postponed object has waited for this time, the watch reads no events until it has applied a postponed object.
const MAX_POSTPONED: Duration = Duration::from_secs(1);

impl<S: ListWatchSink> Reflector<S> {
    /// Reads a stream to its end. `opened` is the time of the request. Returns the last phase of the stream, and why
    /// the reflector stops reading.
    pub(super) async fn read(
        &mut self,
        response: ResponseBody,
        phase: Phase,
        opened: Instant,
    ) -> (Phase, StreamEnd) {
        let (phase, mut end) = self.read_to_end(response, phase, opened).await;
        // The next watch may begin much later, so the postponed objects are applied now. A list would have them.
        while phase == Phase::Watching && !end.needs_list() && !self.sink.postponed.is_empty() {
            let permit = self.sink.postponed_permit().await;
            if let Err(error) = self.apply_postponed(permit).await {
                end = error;
            }
        }
        self.sink.stop_waiting();
        self.report_unapplied(None);
        (phase, end)
    }

    async fn read_to_end(
        &mut self,
        mut response: ResponseBody,
        phase: Phase,
        opened: Instant,
    ) -> (Phase, StreamEnd) {
        let encoding = response.encoding();
        let mut events = EventSplitter::new(encoding, &self.options.budget);
        let mut stream = Stream {
            phase,
            encoding,
            opened,
            last_event: Instant::now(),
            objects: 0,
            turn: Turn::new(),
        };
        // After a postponed object, the events that have arrived are handled before the next postponed object.
        let mut is_events_turn = false;
        loop {
            let now = Instant::now();
            let (list_end, stable) = (self.list_end(&stream), self.stable_at(&stream));
            if list_end.is_some_and(|at| at <= now) {
                return (stream.phase, StreamEnd::Idle);
            }
            if stable.is_some_and(|at| at <= now) {
                self.watch_is_stable();
                continue;
            }
            let is_watching = stream.phase == Phase::Watching;
            if is_watching {
                self.report_unapplied(None);
            }
            if is_watching && self.continue_audit() {
                return (stream.phase, StreamEnd::NeedsList);
            }
            let has_postponed = is_watching && !self.sink.postponed.is_empty();
            if !has_postponed {
                self.sink.stop_waiting();
            }
            let is_late = has_postponed && self.sink.postponed.longest_wait() >= MAX_POSTPONED;
            let silent = self.silent_at(&stream);
            let deadline = [list_end, stable]
                .into_iter()
                .flatten()
                .fold(silent, Instant::min);
            let read = tokio::select! {
                biased;
                Ok(()) = self.scope.changed() => {
                    if self.needs_list() {
                        return (stream.phase, StreamEnd::NeedsList);
                    }
                    continue;
                }
                () = Audit::changed(self.audit.as_mut()), if is_watching => continue,
                error = events.read_too_long() => return (stream.phase, error.into()),
                permit = self.sink.postponed_permit(), if has_postponed && !is_events_turn => {
                    if let Err(end) = self.apply_postponed(permit).await {
                        return (stream.phase, end);
                    }
                    if is_late {
                        // While the watch was waiting for the permit, it read no events.
                        stream.last_event = Instant::now();
                    }
                    is_events_turn = true;
                    continue;
                }
                read = timeout_at(deadline, response.read()), if !is_late || is_events_turn => read,
                () = yield_now(), if is_events_turn => {
                    is_events_turn = false;
                    continue;
                }
            };
            is_events_turn = false;
            // A burst may take long, so the watch must not keep the permit from other watches.
            self.sink.stop_waiting();
            let Ok(read) = read else {
                if Instant::now() >= silent {
                    return (stream.phase, self.silence(stream.phase, &events));
                }
                continue;
            };
            let burst = self.read_burst(read, &mut response, &mut events, &mut stream);
            let burst = burst.await;
            if let ControlFlow::Break(end) = burst {
                return (stream.phase, end);
            }
        }
    }

    /// The time at which a stream is closed if no event arrives.
    fn silent_at(&self, stream: &Stream) -> Instant {
        let timeouts = &self.options.timeouts;
        let timeout = match stream.phase {
            Phase::Listing => timeouts.response,
            Phase::Watching => timeouts.silence,
        };
        stream.last_event + timeout
    }

    /// Returns the reason for the end of a stream after a timeout without a complete event. A watch without events is
    /// silent, but a watch with an incomplete event has failed. A streaming list has the same result in both cases: the
    /// reflector then requests a paged list.
    fn silence(&self, phase: Phase, events: &EventSplitter) -> StreamEnd {
        if phase == Phase::Watching && events.is_in_event() {
            StreamEnd::Broken(Failure::no_object(self.options.timeouts.silence))
        } else {
            StreamEnd::Idle
        }
    }

    /// The deadline of a streaming list. The deadline also applies while the server sends objects. Only the time in
    /// which the reflector waits for the server counts.
    fn list_end(&self, stream: &Stream) -> Option<Instant> {
        let is_listing = stream.phase == Phase::Listing;
        let deadline = self.list_deadline().filter(|_| is_listing)?;
        stream.opened.checked_add(deadline)
    }

    /// Handles a chunk, and all further chunks that arrive without a pause.
    async fn read_burst(
        &mut self,
        mut read: Result<Option<Bytes>, Failure>,
        response: &mut ResponseBody,
        events: &mut EventSplitter,
        stream: &mut Stream,
    ) -> ControlFlow<StreamEnd> {
        let start = Instant::now();
        loop {
            match read {
                Ok(None) => return ControlFlow::Break(StreamEnd::Closed),
                Err(failure) => return ControlFlow::Break(StreamEnd::Cut(failure)),
                Ok(Some(bytes)) => {
                    let (phase, began) = (stream.phase, Instant::now());
                    if let Err(end) = self.handle_chunk(&bytes, events, stream).await {
                        return ControlFlow::Break(end);
                    }
                    if phase == Phase::Listing {
                        stream.exclude_work(began);
                    }
                }
            }
            if stream.phase == Phase::Listing || start.elapsed() > MAX_BURST {
                return ControlFlow::Continue(());
            }
            let Ok(next) = timeout(PAUSE, response.read()).await else {
                // Collect several events, because waking the task for each event costs more than handling the event.
                sleep(self.options.timeouts.gather).await;
                self.sink.paused();
                return ControlFlow::Continue(());
            };
            read = next;
        }
    }

    async fn handle_chunk(
        &mut self,
        bytes: &Bytes,
        events: &mut EventSplitter,
        stream: &mut Stream,
    ) -> Result<(), StreamEnd> {
        let arrived = std::time::Instant::now();
        for bytes in bytes.chunks(MAX_PART) {
            let waited = events.make_room(bytes.len()).await?;
            if stream.phase == Phase::Watching {
                stream.last_event += waited;
            }
            // The first event that may take long to handle, and all events after this event.
            let mut deferred = Vec::new();
            let fed = events.feed(bytes, |event| {
                stream.last_event = Instant::now();
                self.silent_watches = 0;
                match stream.phase {
                    Phase::Listing => self.feed.reporter().list_data_received(),
                    Phase::Watching => {
                        self.feed.reporter().watch_data_received();
                        self.silent_watches_before_list = MIN_SILENT_WATCHES;
                    }
                }
                match event {
                    Part::Whole(event) => {
                        if !deferred.is_empty()
                            || self.handle_small(event, stream, arrived)? == Handled::Later
                        {
                            deferred.push(Deferred::Event(object_buffer::copy(event)));
                        }
                        Ok(())
                    }
                    Part::Oversized(object) if deferred.is_empty() && !self.sink.has_batches() => {
                        self.handle_oversized(&object, stream)
                    }
                    Part::Oversized(object) => {
                        deferred.push(Deferred::Oversized(object));
                        Ok(())
                    }
                }
            });
            let mut left = deferred.len();
            for part in deferred {
                if stream.phase == Phase::Watching {
                    self.report_unapplied(Some((arrived, left)));
                }
                self.handle_deferred(part, stream, arrived).await?;
                left -= 1;
            }
            events.settle();
            fed?;
            if stream.turn.is_over(bytes.len()) {
                stream.turn.pause().await;
                self.sink.paused();
            }
        }
        Ok(())
    }

    /// Handles an event that may have a large or expensive object.
    async fn handle_deferred(
        &mut self,
        part: Deferred,
        stream: &mut Stream,
        arrived: std::time::Instant,
    ) -> Result<(), StreamEnd> {
        let encoding = stream.encoding;
        let event = match part {
            Deferred::Event(event) => event,
            Deferred::Oversized(object) => {
                if self.sink.has_batches() {
                    self.finish_listed(encoding).await?;
                }
                return self.handle_oversized(&object, stream);
            }
        };
        if self.handle_small(&event, stream, arrived)? == Handled::Done {
            return Ok(());
        }
        if self.sink.has_batches() && !self.parse(&event, encoding)?.is_added() {
            self.finish_listed(encoding).await?;
            if self.handle_small(&event, stream, arrived)? == Handled::Done {
                return Ok(());
            }
        }
        if let WatchEvent::Object(kind, object) = self.parse(&event, encoding)? {
            if let Some(object) = self.oversized(&event, object) {
                return self.handle_oversized(&object, stream);
            }
            let bytes = event.slice_ref(object.bytes());
            let is_large = event.len() >= encoding.large_object();
            let handled = self.handle_object(kind, object, (bytes, is_large), stream, arrived);
            return handled.await;
        }
        self.handle_event(&event, stream, arrived).map(|_| ())
    }

    /// Waits until all objects of the list in progress are applied.
    async fn finish_listed(&mut self, encoding: Encoding) -> Result<(), StreamEnd> {
        match self.finish_batches().await {
            Ok(None) => Ok(()),
            Ok(Some(error)) => {
                let invalid = InvalidEvent::of_object(&error, encoding);
                Err(invalid.unwrap_or(InvalidEvent::of(encoding)).into())
            }
            Err(failure) => Err(StreamEnd::Cut(failure)),
        }
    }

    fn parse<'e>(
        &self,
        event: &'e [u8],
        encoding: Encoding,
    ) -> Result<WatchEvent<'e>, InvalidEvent> {
        WatchEvent::parse(event, encoding, self.sink.partial.requested())
    }

    /// Handles an event if it is not large and its object is not expensive to apply.
    fn handle_small(
        &mut self,
        event: &[u8],
        stream: &mut Stream,
        arrived: std::time::Instant,
    ) -> Result<Handled, StreamEnd> {
        if event.len() >= stream.encoding.large_object() {
            return Ok(Handled::Later);
        }
        self.handle_event(event, stream, arrived)
    }

    /// Handles an event, unless the event must wait: its object is expensive to apply, or objects of the list must be
    /// applied first.
    fn handle_event(
        &mut self,
        event: &[u8],
        stream: &mut Stream,
        arrived: std::time::Instant,
    ) -> Result<Handled, StreamEnd> {
        let parsed = self.parse(event, stream.encoding)?;
        if self.sink.has_batches() && !parsed.is_added() {
            // A streaming list may also contain changes of objects. Such a change is applied after all objects of the
            // list that arrived before it.
            return Ok(Handled::Later);
        }
        let handled = match parsed {
            WatchEvent::Object(kind, object) => {
                if let Some(object) = self.oversized(event, object) {
                    self.handle_oversized(&object, stream)
                } else if self.offer(kind, object, stream.phase) {
                    self.metrics.event(kind);
                    self.feed.reporter().object_received();
                    self.count_listed(stream)
                } else if self.replace_small(kind, object, stream.phase, arrived)? == Handled::Done
                {
                    Ok(())
                } else if let Some(result) = self.sink.change_small(kind.change(), object) {
                    self.count_listed(stream)?;
                    self.after_object(kind, object, result, stream.phase, arrived)
                } else {
                    return Ok(Handled::Later);
                }
            }
            WatchEvent::Bookmark {
                version,
                ends_list,
                object,
            } => {
                // This bookmark may be the first event of the watch. If tables are requested, the first event defines
                // the columns for all events.
                self.sink.partial.read_columns(object.bytes());
                self.handle_bookmark(version, ends_list, stream)
            }
            WatchEvent::Error(status) => Err(self.handle_error(&status)),
        };
        handled.map(|()| Handled::Done)
    }

    /// Records the stored version, which is the version of the last changed object.
    pub(super) fn note_changed(&mut self) {
        let version = self.version.as_deref().and_then(resource_version::as_u64);
        self.newest = self.newest.max(version);
        self.feed.reporter().versions(self.newest, version);
    }

    fn handle_bookmark(
        &mut self,
        version: String,
        ends_list: bool,
        stream: &mut Stream,
    ) -> Result<(), StreamEnd> {
        self.metrics.event(EventKind::Bookmark);
        check_version(&version)?;
        if stream.phase == Phase::Watching {
            let advanced = advance(&mut self.version, &version);
            // A bookmark with a lower version means that the server was restored from a backup.
            self.version_lost |= advanced.is_err();
            self.report_versions();
            return advanced;
        }
        if !ends_list {
            return Err(StreamEnd::NotStreaming);
        }
        if self.needs_list() {
            return Err(StreamEnd::NeedsList);
        }
        stream.phase = Phase::Watching;
        self.is_unfinished_logged = false;
        self.end_list(version, stream.opened);
        Ok(())
    }

    fn handle_error(&mut self, status: &Status) -> StreamEnd {
        self.metrics.event(EventKind::Error);
        StreamEnd::Error(Failure::of_status(status))
    }
}

/// Advances the stored version to `version`.
///
/// The versions of a resource increase. Two versions can be compared if both are
/// [decimal](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
pub(super) fn advance(stored: &mut Option<String>, version: &str) -> Result<(), StreamEnd> {
    if version.is_empty() {
        return Ok(());
    }
    check_version(version)?;
    let before = stored.as_deref().and_then(resource_version::as_u64);
    let decreases = match (before, resource_version::as_u64(version)) {
        (Some(before), Some(version)) => version < before,
        _ => false,
    };
    if decreases {
        let message = "the watch sent an older version after a newer one";
        let failure = Failure::new(FailureReason::ServerError, message);
        return Err(StreamEnd::Disorder(failure));
    }
    let stored = stored.get_or_insert_default();
    stored.clear();
    stored.push_str(version);
    Ok(())
}

/// Returns an error if a version is too long for a request. Such a version must not be stored.
fn check_version(version: &str) -> Result<(), StreamEnd> {
    if version.len() <= MAX_VERSION {
        return Ok(());
    }
    let message = format!(
        "the watch sent a resourceVersion longer than {} KiB",
        MAX_VERSION >> 10
    );
    Err(StreamEnd::Broken(Failure::new(
        FailureReason::DecodeError,
        message,
    )))
}

// === impl Stream ===

impl Stream {
    /// Excludes the time since `began` from the duration of the list and from the time since the last event. In this
    /// time, the reflector applied objects, or waited until other feeds released memory, so the server is not slow.
    fn exclude_work(&mut self, began: Instant) {
        let now = Instant::now();
        let worked = now.duration_since(began);
        self.opened += worked;
        self.last_event = (self.last_event + worked).min(now);
    }
}

// === impl StreamEnd ===

impl StreamEnd {
    /// Whether a list follows, which has the newest version of each object.
    fn needs_list(&self) -> bool {
        matches!(
            self,
            Self::NeedsList | Self::NotStreaming | Self::Disorder(_) | Self::Error(_)
        )
    }
}

impl From<HeldTooLong> for StreamEnd {
    fn from(error: HeldTooLong) -> Self {
        Self::Broken(error.into())
    }
}

impl From<InvalidEvent> for StreamEnd {
    fn from(error: InvalidEvent) -> Self {
        let message = error.to_string();
        Self::Broken(match error {
            InvalidEvent::Line | InvalidEvent::OnlyMetadata => {
                Failure::new(FailureReason::DecodeError, message)
            }
            InvalidEvent::Frame => Failure::malformed(message),
        })
    }
}
