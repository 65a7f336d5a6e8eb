//! Reads the stream of a watch or of a streaming list.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::blocking_sink::LARGE_OBJECT;
use super::connection::{ResponseBody, send};
use super::failure::{Failure, Status};
use super::line_splitter::LineSplitter;
use super::list_bounds::count_object;
use super::object_buffer;
use super::oversized::{OversizedObject, Part};
use super::reflector::Reflector;
use super::request::ListWatchRequest;
use super::sink::{Change, ListWatchSink};
use super::split_error::MAX_VERSION;
use super::turn::{MAX_PART, Turn};
use super::watch_event::{EventKind, InvalidEvent, WatchEvent, version_of};
use crate::decode::{DecodeError, DecodeReason};
use crate::k8s::resource_version;
use crate::source::health::FailureReason;

/// The part of a stream that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The existing objects, up to the bookmark that ends the list.
    Listing,
    /// Changes.
    Watching,
}

/// Why reading a stream has ended.
pub(super) enum StreamEnd {
    /// The server closed the stream.
    Closed,
    /// The connection broke.
    Cut(Failure),
    /// The timeout expired without an event, or the list at the start did not end before its deadline.
    Idle,
    /// A list is needed, because the shard has changed or the sink requires a list.
    NeedsList,
    /// The server does not support streaming lists and sent a plain watch.
    NotStreaming,
    /// An event is invalid and lost.
    Broken(Failure),
    /// A version is lower than the previous one: events are out of order, or the server was restored from a backup.
    Disorder(Failure),
    /// The server ended the watch with an error.
    Error(Failure),
}

/// A stream and its progress.
pub(super) struct Stream {
    pub(super) phase: Phase,
    /// The time of the request, plus the time in which the list at the start waited for other feeds.
    pub(super) opened: Instant,
    last_event: Instant,
    /// Number of objects of the list.
    objects: u64,
    turn: Turn,
}

/// A line with a large or expensive object, or a line after one.
enum Deferred {
    Line(Bytes),
    Oversized(OversizedObject),
}

/// Whether a line was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    Done,
    /// Its object needs too much work for a worker thread. Nothing has changed.
    TooExpensive,
}

/// Maximum duration of a burst of events. After this time, the timeout and the scope are checked.
const MAX_BURST: Duration = Duration::from_secs(1);
/// A pause that ends a burst of events.
const PAUSE: Duration = Duration::from_millis(1);

impl<S: ListWatchSink> Reflector<S> {
    /// Opens a stream.
    pub(super) async fn open(
        &mut self,
        request: ListWatchRequest<'_>,
        selector: Option<String>,
        timeout: Duration,
    ) -> Result<ResponseBody, Failure> {
        let request = self.request(request, selector.as_deref())?;
        send(&self.client, request, timeout).await
    }

    /// Reads a stream that was requested at `opened` to its end, and returns its last phase.
    pub(super) async fn read(
        &mut self,
        mut response: ResponseBody,
        phase: Phase,
        opened: Instant,
    ) -> (Phase, StreamEnd) {
        let mut lines = LineSplitter::new(&self.options.budget);
        let mut stream = Stream {
            phase,
            opened,
            last_event: Instant::now(),
            objects: 0,
            turn: Turn::new(),
        };
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
                read = timeout_at(deadline, response.read()) => read,
            };
            let Ok(read) = read else {
                if Instant::now() >= silent {
                    return (stream.phase, self.silence(stream.phase, &lines));
                }
                continue;
            };
            let burst = self.read_burst(read, &mut response, &mut lines, &mut stream);
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

    /// The reason for the end of a stream without a complete event before the timeout. A watch may be quiet, but an
    /// event must not stay incomplete. A streaming list always falls back to a paged list.
    fn silence(&self, phase: Phase, lines: &LineSplitter) -> StreamEnd {
        if phase == Phase::Watching && lines.is_in_line() {
            StreamEnd::Broken(Failure::no_object(self.options.timeouts.silence))
        } else {
            StreamEnd::Idle
        }
    }

    /// The deadline of a streaming list, even if it sends objects.
    fn list_end(&self, stream: &Stream) -> Option<Instant> {
        let is_listing = stream.phase == Phase::Listing;
        let deadline = self.list_deadline().filter(|_| is_listing)?;
        stream.opened.checked_add(deadline)
    }

    /// Handles a chunk and the chunks that follow without a pause.
    async fn read_burst(
        &mut self,
        mut read: Result<Option<Bytes>, Failure>,
        response: &mut ResponseBody,
        lines: &mut LineSplitter,
        stream: &mut Stream,
    ) -> ControlFlow<StreamEnd> {
        let start = Instant::now();
        loop {
            match read {
                Ok(None) => return ControlFlow::Break(StreamEnd::Closed),
                Err(failure) => return ControlFlow::Break(StreamEnd::Cut(failure)),
                Ok(Some(bytes)) => {
                    if let Err(end) = self.handle_chunk(&bytes, lines, stream).await {
                        return ControlFlow::Break(end);
                    }
                }
            }
            if stream.phase == Phase::Listing || start.elapsed() > MAX_BURST {
                return ControlFlow::Continue(());
            }
            let Ok(next) = timeout(PAUSE, response.read()).await else {
                // A wakeup for each event costs more than handling the event, so several events are collected.
                sleep(self.options.timeouts.gather).await;
                return ControlFlow::Continue(());
            };
            read = next;
        }
    }

    async fn handle_chunk(
        &mut self,
        bytes: &Bytes,
        lines: &mut LineSplitter,
        stream: &mut Stream,
    ) -> Result<(), StreamEnd> {
        let arrived = std::time::Instant::now();
        for bytes in bytes.chunks(MAX_PART) {
            let waited = lines.make_room(bytes.len()).await;
            stream.last_event += waited;
            if stream.phase == Phase::Listing {
                stream.opened += waited;
            }
            // A large or expensive object, and the lines after it.
            let mut deferred = Vec::new();
            let fed = lines.feed(bytes, |line| {
                stream.last_event = Instant::now();
                self.feed.reporter().data_received();
                match line {
                    Part::Whole(line) if deferred.is_empty() && line.len() < LARGE_OBJECT => {
                        if self.handle_line(line, stream, arrived)? == Handled::TooExpensive {
                            deferred.push(Deferred::Line(object_buffer::copy(line)));
                        }
                        Ok(())
                    }
                    Part::Whole(line) => {
                        deferred.push(Deferred::Line(object_buffer::copy(line)));
                        Ok(())
                    }
                    Part::Oversized(object) if deferred.is_empty() => {
                        self.handle_oversized(&object, stream)
                    }
                    Part::Oversized(object) => {
                        deferred.push(Deferred::Oversized(object));
                        Ok(())
                    }
                }
            });
            for part in deferred {
                self.handle_deferred(part, stream, arrived).await?;
            }
            lines.settle();
            fed?;
            if stream.turn.is_over(bytes.len()) {
                stream.turn.pause().await;
                self.sink.paused();
            }
        }
        Ok(())
    }

    /// Handles a line that may have a large or expensive object.
    async fn handle_deferred(
        &mut self,
        part: Deferred,
        stream: &mut Stream,
        arrived: std::time::Instant,
    ) -> Result<(), StreamEnd> {
        let line = match part {
            Deferred::Line(line) => line,
            Deferred::Oversized(object) => return self.handle_oversized(&object, stream),
        };
        if line.len() < LARGE_OBJECT && self.handle_line(&line, stream, arrived)? == Handled::Done {
            return Ok(());
        }
        if let WatchEvent::Object(kind, object) = WatchEvent::parse(&line)? {
            if let Some(object) = self.oversized(&line, object) {
                return self.handle_oversized(&object, stream);
            }
            self.count_listed(stream)?;
            let json = line.slice_ref(object);
            let result = self.sink.change_large(kind.change(), json).await;
            return self.after_object(kind, object, result, stream.phase, arrived);
        }
        self.handle_line(&line, stream, arrived).map(|_| ())
    }

    /// Handles a line.
    fn handle_line(
        &mut self,
        line: &[u8],
        stream: &mut Stream,
        arrived: std::time::Instant,
    ) -> Result<Handled, StreamEnd> {
        let handled = match WatchEvent::parse(line)? {
            WatchEvent::Object(kind, object) => {
                if let Some(object) = self.oversized(line, object) {
                    self.handle_oversized(&object, stream)
                } else if let Some(result) = self.sink.change_small(kind.change(), object) {
                    self.count_listed(stream)?;
                    self.after_object(kind, object, result, stream.phase, arrived)
                } else {
                    return Ok(Handled::TooExpensive);
                }
            }
            WatchEvent::Bookmark {
                version,
                ends_list,
                object,
            } => {
                // The first event of a watch has the columns of its tables.
                self.sink.partial.read_columns(object);
                self.handle_bookmark(version, ends_list, stream)
            }
            WatchEvent::Error(status) => Err(self.handle_error(&status)),
        };
        handled.map(|()| Handled::Done)
    }

    /// Counts an object of a streaming list, to detect an endless list.
    fn count_listed(&self, stream: &mut Stream) -> Result<(), StreamEnd> {
        if stream.phase == Phase::Listing {
            let most = self.options.max_list_objects;
            count_object(&mut stream.objects, most).map_err(StreamEnd::Broken)?;
        }
        Ok(())
    }

    /// The identity of the object in a line, if the object is larger than its limit. The line itself may be within the
    /// limit for lines, which is higher.
    fn oversized(&self, line: &[u8], object: &[u8]) -> Option<OversizedObject> {
        let limit = self.options.budget.object_limit()?;
        (object.len() > limit).then(|| OversizedObject::of_line(line, b""))
    }

    /// Counts and skips the event of an object that is larger than the limit.
    fn handle_oversized(
        &mut self,
        object: &OversizedObject,
        stream: &mut Stream,
    ) -> Result<(), StreamEnd> {
        self.count_listed(stream)?;
        let Some(event @ (EventKind::Added | EventKind::Modified | EventKind::Deleted)) =
            object.event
        else {
            return Err(InvalidEvent.into());
        };
        self.metrics.event(event);
        self.skip_oversized(object);
        if stream.phase == Phase::Listing {
            self.feed.reporter().object_received();
            return Ok(());
        }
        advance(&mut self.version, &object.version)
    }

    /// Records the result of an object.
    fn after_object(
        &mut self,
        kind: EventKind,
        object: &[u8],
        result: Result<(), DecodeError>,
        phase: Phase,
        arrived: std::time::Instant,
    ) -> Result<(), StreamEnd> {
        self.metrics.event(kind);
        self.metrics.applied(arrived.elapsed());
        let is_listing = phase == Phase::Listing;
        if is_listing {
            self.feed.reporter().object_received();
        }
        if self.sink.partial.has_lost_object() {
            return Err(StreamEnd::NeedsList);
        }
        match result {
            Ok(()) if is_listing => Ok(()),
            Ok(()) => advance(&mut self.version, self.sink.last_version()),
            Err(error) if error.reason() == DecodeReason::Syntax => Err(InvalidEvent.into()),
            Err(error) => {
                self.log_undecodable(&error);
                match version_of(object) {
                    Some(version) if !is_listing => advance(&mut self.version, &version),
                    _ => Ok(()),
                }
            }
        }
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
            // The server has a lower version, because it was restored from a backup.
            self.version_lost |= advanced.is_err();
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

/// Advances the stored version.
///
/// The versions of a resource increase. They can be compared if both are
/// [decimal](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
fn advance(stored: &mut Option<String>, version: &str) -> Result<(), StreamEnd> {
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

/// Refuses a version that is too long for a request. It must not be stored.
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

// === impl EventKind ===

impl EventKind {
    fn change(self) -> Change {
        match self {
            Self::Deleted => Change::Deleted,
            _ => Change::Applied,
        }
    }
}

// === impl StreamEnd ===

impl From<InvalidEvent> for StreamEnd {
    fn from(error: InvalidEvent) -> Self {
        Self::Broken(Failure::new(FailureReason::DecodeError, error.to_string()))
    }
}
