//! Watches the changes since the stored version: up to this resource version, all changes are stored.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::reflector::{Action, NextStep, Reflector};
use super::request::ListWatchRequest;
use super::sink::ListWatchSink;
use super::watch_stream::{Phase, Stream, StreamEnd};
use crate::source::health::FailureReason;

/// Minimum duration of a watch. A shorter watch counts as failed. After a watch that was too short, the minimum is the
/// last backoff, if this is longer.
const MIN_WATCH: Duration = Duration::from_secs(1);
/// Number of consecutive server errors after which the reflector requests a list.
const MAX_SERVER_ERRORS: u32 = 3;
/// Number of consecutive lists without a sufficiently long watch after which failing watches do not mean that the
/// server is unreachable.
const MAX_UNWATCHED_LISTS: u32 = 2;
/// Maximum number of consecutive silent watches after which the reflector requests a list. With the default timeout, 40
/// silent watches take an hour.
const MAX_SILENT_WATCHES: u32 = 40;

impl<S: ListWatchSink> Reflector<S> {
    /// Watches the changes since the stored version.
    pub(super) async fn watch(&mut self) -> NextStep {
        let Some(version) = self.version.clone() else {
            return NextStep::now(Action::List);
        };
        let request = ListWatchRequest::Watch {
            version: &version,
            seconds: self.options.timeouts.watch_seconds(),
        };
        let opened = Instant::now();
        // The timeout is as long as for an event, because some proxies delay the start of a response until the first
        // event.
        let timeout = self.options.timeouts.silence;
        let selector = self.shard_selector();
        match self.send(request, selector.as_deref(), timeout).await {
            Ok(response) => {
                self.metrics.watch_request(true);
                if !self.is_watch_unstable {
                    self.feed.following();
                }
                let (_, end) = self.read(response, Phase::Watching, opened).await;
                self.after_watch(end, opened)
            }
            Err(failure) => self.after_refused_watch(failure),
        }
    }

    /// Returns the next step after a request for a watch has failed.
    fn after_refused_watch(&mut self, failure: Failure) -> NextStep {
        self.metrics.watch_request(false);
        self.version_lost |= failure.version_too_large;
        self.reset_streaming_if_unreachable(&failure);
        let failure = self.watch_failure(failure);
        let action = match failure.reason {
            FailureReason::Unreachable | FailureReason::Throttled | FailureReason::Unauthorized => {
                Action::Watch
            }
            // The watch is requested again at the same version, because the error is probably temporary.
            FailureReason::ServerError if self.backoff.failures() < MAX_SERVER_ERRORS => {
                Action::Watch
            }
            _ => Action::List,
        };
        NextStep::after(failure, action)
    }

    /// Returns `failure` of a watch, with the growing backoff if only watches fail. Otherwise, a server or a proxy that
    /// fails each watch with 502, 503 or 504 would have to send complete lists all the time.
    fn watch_failure(&mut self, failure: Failure) -> Failure {
        let is_error = failure.reason == FailureReason::ServerError;
        if !is_error || self.unwatched_lists < MAX_UNWATCHED_LISTS {
            return failure;
        }
        self.backoff.server_is_reachable();
        failure.despite_answers()
    }

    /// The time at which the open watch has lasted for [`min_watch`](Self::min_watch). `None` if the previous watch was
    /// long enough, or if the stream still sends its list.
    pub(super) fn stable_at(&self, stream: &Stream) -> Option<Instant> {
        let is_unstable = self.is_watch_unstable && stream.phase == Phase::Watching;
        is_unstable.then(|| stream.opened + self.min_watch())
    }

    /// Resets the backoff, and reports that the watch works again.
    pub(super) fn watch_is_stable(&mut self) {
        self.is_watch_unstable = false;
        self.backoff.reset();
        self.feed.following();
    }

    /// Returns the minimum duration of a watch. A shorter watch counts as failed, even if it sent events. Usually, the
    /// minimum is [`MIN_WATCH`]. After a watch that was too short, the minimum is the last backoff, if this is longer.
    fn min_watch(&self) -> Duration {
        if self.is_watch_unstable {
            self.backoff.last_wait().max(MIN_WATCH)
        } else {
            MIN_WATCH
        }
    }

    /// Returns the next step after a watch.
    pub(super) fn after_watch(&mut self, end: StreamEnd, opened: Instant) -> NextStep {
        let lived = opened.elapsed();
        if lived >= self.min_watch() {
            self.unwatched_lists = 0;
        }
        match end {
            StreamEnd::Closed if lived < self.min_watch() => {
                self.after_short_watch("the server ended the watch immediately")
            }
            StreamEnd::Cut(failure) if lived < self.min_watch() => {
                self.after_short_watch(&failure.message)
            }
            StreamEnd::Idle => self.after_silent_watch(lived),
            StreamEnd::Closed => self.resume(lived),
            StreamEnd::Cut(failure) => {
                tracing::debug!(resource = %self.target.resource, %failure, "resuming the watch");
                self.resume(lived)
            }
            StreamEnd::NeedsList | StreamEnd::NotStreaming => NextStep::now(Action::List),
            StreamEnd::Broken(failure) => self.after_broken_event(failure),
            StreamEnd::Disorder(failure) => {
                self.metrics.watch_request(false);
                NextStep::after(failure, Action::List)
            }
            StreamEnd::Error(failure) => self.after_error_event(failure),
        }
    }

    /// Waits before the watch is resumed, so that a server that ends each watch immediately does not get too many
    /// requests.
    fn after_short_watch(&mut self, message: &str) -> NextStep {
        self.is_watch_unstable = true;
        NextStep::after(Failure::of_reachable(message), Action::Watch)
    }

    /// Resumes the watch. After a watch that was shorter than the last backoff, first waits for the rest of this
    /// backoff. So the server does not get more requests than during failures.
    fn resume(&mut self, lived: Duration) -> NextStep {
        let pause = self.backoff.last_wait().saturating_sub(lived);
        if pause.is_zero() {
            self.is_watch_unstable = false;
            self.backoff.reset();
        }
        NextStep::paused(pause, Action::Watch)
    }

    /// Resumes a watch that was silent for too long. If resumed watches stay silent, the objects are listed, because
    /// the server or a proxy may drop the events of every watch.
    ///
    /// Some servers send no bookmarks. A watch of such a server is silent while no object changes. After each list,
    /// twice as many silent watches are needed for the next list. So a server without bookmarks gets few lists.
    fn after_silent_watch(&mut self, lived: Duration) -> NextStep {
        self.silent_watches += 1;
        if self.silent_watches < self.silent_watches_before_list {
            return self.resume(lived);
        }
        self.silent_watches = 0;
        self.silent_watches_before_list =
            (self.silent_watches_before_list * 2).min(MAX_SILENT_WATCHES);
        self.feed.reporter().silent();
        tracing::debug!(resource = %self.target.resource, "listing the objects again, because resumed watches are silent");
        NextStep::now(Action::List)
    }

    /// Resumes the watch, so that the server sends the event again. If the event is invalid again, the objects are
    /// listed.
    fn after_broken_event(&mut self, failure: Failure) -> NextStep {
        self.metrics.watch_request(false);
        let is_repeated = self.broken_at == self.version;
        self.broken_at.clone_from(&self.version);
        let action = if is_repeated {
            Action::List
        } else {
            Action::Watch
        };
        NextStep::after(failure, action)
    }

    fn after_error_event(&mut self, failure: Failure) -> NextStep {
        self.version_lost |= failure.version_too_large;
        if failure.reason == FailureReason::Throttled {
            return NextStep::after(failure, Action::Watch);
        }
        if failure.reason != FailureReason::Expired {
            self.metrics.watch_request(false);
        }
        NextStep::after(self.watch_failure(failure), Action::List)
    }
}
