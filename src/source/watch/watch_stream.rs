//! Streams: the watch, and the streaming list that turns into one.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connection::{Answer, send};
use super::failure::{Failure, FailureReason};
use super::json_splitter::{LineSplitter, SplitError};
use super::reflector::{CHUNKS_PER_TURN, Next, Reflector, Turn};
use super::request::Question;
use super::watch_event::{BrokenFrame, EventKind, Frame, version_of};
use crate::decode::DecodeReason;
use crate::k8s::resource_version;

/// What part of a stream is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The objects that were there, up to the bookmark that ends them.
    Listing,
    /// Changes.
    Following,
}

/// Why a stream is not read any further.
enum Stop {
    /// The stream came to its end.
    Ended,
    /// The stream broke off.
    Cut(Failure),
    /// Nothing came for too long.
    Silent,
    /// Other objects are wanted now.
    OtherScope,
    /// The server does not know streaming lists: it sends a plain watch.
    NotStreaming,
    /// A line is not an event, so that one is lost.
    Broken(Failure),
    /// Versions go down: the order of events is lost, or the server was set back.
    Disorder(Failure),
    /// The server ended the watch with an error.
    Error(Failure),
}

/// A stream that lived shorter than this is no success, whatever came.
const SHORT: Duration = Duration::from_secs(1);
/// A pause that ends a burst of events.
const PAUSE: Duration = Duration::from_millis(1);
/// Streaming lists that may end in the middle before pages are tried.
const MAX_CUT_STREAMS: u32 = 2;
/// Failures in a row of a server that answers, before a list is tried instead of a watch.
const MAX_STUMBLES: u32 = 3;

impl Reflector {
    /// Lists by a stream and follows it.
    pub(super) async fn streaming_list(&mut self) -> Turn {
        self.feed.listing();
        let version = match self.list_version() {
            // Nothing is known yet, and a consistent list costs the server little.
            Some(version) if version == "0" && !self.options.use_cache => None,
            version => version,
        };
        let question = Question::StreamingList {
            version: version.as_deref(),
            seconds: self.options.timeouts.watch_seconds(),
        };
        let opened = Instant::now();
        let patience = self.options.timeouts.response;
        let selector = self.enter_scope();
        let answer = match self.open(question, selector, patience).await {
            Ok(answer) => answer,
            Err(failure) => return self.no_stream(failure, version.is_some()),
        };
        self.metrics.watch_request(true);
        self.writer.begin_list();
        let (phase, stop) = self.read(answer, Phase::Listing).await;
        if phase == Phase::Following {
            self.cut_streams = 0;
            return self.after_watch(stop, opened);
        }
        self.writer.abandon_list();
        match stop {
            Stop::OtherScope => Turn::now(Next::List),
            Stop::NotStreaming => {
                self.can_stream = false;
                Turn::now(Next::Pages)
            }
            Stop::Silent => {
                self.can_stream = false;
                let message = "the streaming list came to a halt";
                Turn::after(Next::Pages, Failure::unreachable(message))
            }
            Stop::Error(failure) if failure.reason == FailureReason::Expired => {
                self.version_lost = true;
                Turn::after(Next::List, failure)
            }
            Stop::Error(failure) => {
                self.metrics.watch_request(false);
                Turn::after(Next::Pages, failure)
            }
            stop => {
                if matches!(stop, Stop::Broken(_)) {
                    self.metrics.watch_request(false);
                }
                let failure = stop.into_failure("the streaming list ended in the middle");
                self.cut_streams += 1;
                if self.cut_streams < MAX_CUT_STREAMS {
                    Turn::after(Next::List, failure)
                } else {
                    self.cut_streams = 0;
                    Turn::after(Next::Pages, failure)
                }
            }
        }
    }

    /// What to do where the server gave no stream.
    fn no_stream(&mut self, failure: Failure, versioned: bool) -> Turn {
        match failure.reason {
            // An older server, or one where streaming lists are off: that is no error.
            FailureReason::Rejected => {
                self.can_stream = false;
                Turn::now(Next::Pages)
            }
            FailureReason::Expired if versioned => {
                self.metrics.watch_request(false);
                self.version_lost = true;
                Turn::now(Next::List)
            }
            FailureReason::Unreachable
            | FailureReason::Throttled
            | FailureReason::Unauthorized
            | FailureReason::Expired => {
                self.metrics.watch_request(false);
                Turn::after(Next::List, failure)
            }
            // A list may work where a watch does not, and says more clearly what is refused.
            _ => {
                self.metrics.watch_request(false);
                Turn::now(Next::Pages)
            }
        }
    }

    /// Follows changes from the version that is stored.
    pub(super) async fn watch(&mut self) -> Turn {
        let Some(version) = self.version.clone() else {
            return Turn::now(Next::List);
        };
        let question = Question::Watch {
            version: &version,
            seconds: self.options.timeouts.watch_seconds(),
        };
        let opened = Instant::now();
        // Some proxies hold the beginning of an answer back until the first event.
        let patience = self.options.timeouts.silence;
        let selector = self.scope.borrow().selector.clone();
        match self.open(question, selector, patience).await {
            Ok(answer) => {
                self.metrics.watch_request(true);
                self.feed.following();
                let (_, stop) = self.read(answer, Phase::Following).await;
                self.after_watch(stop, opened)
            }
            Err(failure) => {
                self.metrics.watch_request(false);
                self.version_lost |= failure.version_too_large;
                self.look_for_another_server(&failure);
                match failure.reason {
                    FailureReason::Unreachable
                    | FailureReason::Throttled
                    | FailureReason::Unauthorized => Turn::after(Next::Watch, failure),
                    // A server that only stumbles still has the version.
                    FailureReason::ServerError if self.backoff.failures() < MAX_STUMBLES => {
                        Turn::after(Next::Watch, failure)
                    }
                    _ => Turn::after(Next::List, failure),
                }
            }
        }
    }

    /// What to do after changes could be followed for some time.
    fn after_watch(&mut self, stop: Stop, opened: Instant) -> Turn {
        let short = opened.elapsed() < SHORT;
        match stop {
            Stop::Ended | Stop::Cut(_) if short => {
                Turn::after(Next::Watch, stop.into_failure("the watch ended at once"))
            }
            Stop::Ended | Stop::Silent => Turn::now(Next::Watch),
            Stop::Cut(failure) => {
                tracing::debug!(resource = %self.target.resource, %failure, "resuming the watch");
                Turn::now(Next::Watch)
            }
            Stop::OtherScope | Stop::NotStreaming => Turn::now(Next::List),
            Stop::Broken(failure) => {
                self.metrics.watch_request(false);
                // The server sends the event again; where it is broken again, a list is the cure.
                let again = self.broken_at == self.version;
                self.broken_at.clone_from(&self.version);
                Turn::after(if again { Next::List } else { Next::Watch }, failure)
            }
            Stop::Disorder(failure) => {
                self.metrics.watch_request(false);
                Turn::after(Next::List, failure)
            }
            Stop::Error(failure) => {
                self.version_lost |= failure.version_too_large;
                if failure.reason == FailureReason::Throttled {
                    return Turn::after(Next::Watch, failure);
                }
                if failure.reason != FailureReason::Expired {
                    self.metrics.watch_request(false);
                }
                Turn::after(Next::List, failure)
            }
        }
    }

    async fn open(
        &mut self,
        question: Question<'_>,
        selector: Option<String>,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let request = self.target.request(question, selector.as_deref());
        let request = request.map_err(|error| {
            Failure::new(FailureReason::Rejected, format!("not a request: {error}"))
        })?;
        send(&self.client, request, patience).await
    }

    /// Reads a stream for as long as it is of use.
    async fn read(&mut self, mut answer: Answer, phase: Phase) -> (Phase, Stop) {
        let mut stream = Stream {
            phase,
            lines: LineSplitter::default(),
            last_frame: Instant::now(),
            chunks: 0,
        };
        loop {
            let patience = match stream.phase {
                Phase::Listing => self.options.timeouts.response,
                Phase::Following => self.options.timeouts.silence,
            };
            let deadline = stream.last_frame + patience;
            let read = tokio::select! {
                biased;
                Ok(()) = self.scope.changed() => {
                    if self.is_out_of_scope() {
                        return (stream.phase, Stop::OtherScope);
                    }
                    continue;
                }
                read = timeout_at(deadline, answer.read()) => read,
            };
            let Ok(mut read) = read else {
                return (stream.phase, Stop::Silent);
            };
            let burst = Instant::now();
            loop {
                match read {
                    Ok(None) => return (stream.phase, Stop::Ended),
                    Err(failure) => return (stream.phase, Stop::Cut(failure)),
                    Ok(Some(bytes)) => {
                        if let Err(stop) = self.take(&bytes, &mut stream) {
                            return (stream.phase, stop);
                        }
                    }
                }
                stream.chunks += 1;
                if stream.chunks.is_multiple_of(CHUNKS_PER_TURN) {
                    tokio::task::yield_now().await;
                }
                if stream.phase == Phase::Listing || burst.elapsed() > SHORT {
                    break;
                }
                match timeout(PAUSE, answer.read()).await {
                    Ok(more) => read = more,
                    Err(_) => {
                        // Waking up for each event costs more than handling it: let some gather.
                        sleep(self.options.timeouts.gather).await;
                        break;
                    }
                }
            }
        }
    }

    /// Handles bytes of a stream.
    fn take(&mut self, bytes: &Bytes, stream: &mut Stream) -> Result<(), Stop> {
        let arrived = std::time::Instant::now();
        let Stream {
            phase,
            lines,
            last_frame,
            ..
        } = stream;
        lines.feed(bytes, |line| {
            *last_frame = Instant::now();
            self.feed.sign_of_life();
            self.frame(Frame::parse(line)?, phase, arrived)
        })
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        phase: &mut Phase,
        arrived: std::time::Instant,
    ) -> Result<(), Stop> {
        match frame {
            Frame::Object(kind, object) => {
                self.metrics.event(kind);
                let result = if kind == EventKind::Deleted {
                    self.writer.delete_json(object)
                } else {
                    self.writer.apply_json(object)
                };
                self.metrics.applied(arrived.elapsed());
                let listing = *phase == Phase::Listing;
                match result {
                    Ok(()) if listing => Ok(()),
                    Ok(()) => advance(&mut self.version, self.writer.last_version()),
                    Err(error) if error.reason() == DecodeReason::Syntax => Err(BrokenFrame.into()),
                    Err(error) => {
                        self.note_undecodable(&error);
                        match version_of(object) {
                            Some(version) if !listing => advance(&mut self.version, &version),
                            _ => Ok(()),
                        }
                    }
                }
            }
            Frame::Bookmark {
                version,
                initial_end,
            } => {
                self.metrics.event(EventKind::Bookmark);
                if *phase == Phase::Following {
                    let went_back = advance(&mut self.version, &version);
                    // The server itself is at a lower version: it was set back.
                    self.version_lost |= went_back.is_err();
                    return went_back;
                }
                if !initial_end {
                    return Err(Stop::NotStreaming);
                }
                if self.is_out_of_scope() {
                    return Err(Stop::OtherScope);
                }
                *phase = Phase::Following;
                self.end_list(version);
                Ok(())
            }
            Frame::Error(status) => {
                self.metrics.event(EventKind::Error);
                Err(Stop::Error(Failure::of_status(&status)))
            }
        }
    }
}

/// Moves the stored version on.
///
/// Versions of one resource go up, and older ones can be told from newer ones where both are
/// [decimal](https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
fn advance(stored: &mut Option<String>, version: &str) -> Result<(), Stop> {
    if version.is_empty() {
        return Ok(());
    }
    let before = stored.as_deref().and_then(resource_version::as_u64);
    let goes_down = match (before, resource_version::as_u64(version)) {
        (Some(before), Some(version)) => version < before,
        _ => false,
    };
    if goes_down {
        let message = "the watch sent an older version after a newer one";
        return Err(Stop::Disorder(Failure::new(
            FailureReason::ServerError,
            message,
        )));
    }
    let stored = stored.get_or_insert_default();
    stored.clear();
    stored.push_str(version);
    Ok(())
}

/// A stream and how far it has been read.
struct Stream {
    phase: Phase,
    lines: LineSplitter,
    last_frame: Instant,
    chunks: u32,
}

// === impl Stop ===

impl Stop {
    fn into_failure(self, message: &str) -> Failure {
        match self {
            Self::Cut(failure)
            | Self::Broken(failure)
            | Self::Disorder(failure)
            | Self::Error(failure) => failure,
            Self::Ended | Self::Silent | Self::OtherScope | Self::NotStreaming => {
                Failure::unreachable(message)
            }
        }
    }
}

impl From<SplitError> for Stop {
    fn from(error: SplitError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<BrokenFrame> for Stop {
    fn from(error: BrokenFrame) -> Self {
        Self::Broken(Failure::new(FailureReason::DecodeError, error.to_string()))
    }
}
