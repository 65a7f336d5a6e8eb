//! Watches of changes from a stored version on.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::reflector::{Action, NextStep, Reflector};
use super::request::ListWatchRequest;
use super::sink::ListWatchSink;
use super::watch_stream::{Phase, StreamEnd};
use crate::source::health::FailureReason;

/// A watch that ends sooner has failed, even if it sent events.
const MIN_WATCH: Duration = Duration::from_secs(1);
/// Number of consecutive failures of a server that answers, before a list is tried.
const MAX_SERVER_ERRORS: u32 = 3;

impl<S: ListWatchSink> Reflector<S> {
    /// Watches changes from the stored version on.
    pub(super) async fn watch(&mut self) -> NextStep {
        let Some(version) = self.version.clone() else {
            return NextStep::now(Action::List);
        };
        let request = ListWatchRequest::Watch {
            version: &version,
            seconds: self.options.timeouts.watch_seconds(),
        };
        let opened = Instant::now();
        // Some proxies delay the start of a response until the first event.
        let timeout = self.options.timeouts.silence;
        let selector = self.scope.borrow().selector.clone();
        match self.open(request, selector, timeout).await {
            Ok(response) => {
                self.metrics.watch_request(true);
                self.feed.following();
                let (_, end) = self.read(response, Phase::Watching).await;
                self.after_watch(end, opened)
            }
            Err(failure) => self.after_refused_watch(failure),
        }
    }

    /// The next step if the server has not opened the watch.
    fn after_refused_watch(&mut self, failure: Failure) -> NextStep {
        self.metrics.watch_request(false);
        self.version_lost |= failure.version_too_large;
        self.reset_streaming_if_unreachable(&failure);
        let action = match failure.reason {
            FailureReason::Unreachable | FailureReason::Throttled | FailureReason::Unauthorized => {
                Action::Watch
            }
            // A temporary error does not mean that the server has lost the version.
            FailureReason::ServerError if self.backoff.failures() < MAX_SERVER_ERRORS => {
                Action::Watch
            }
            _ => Action::List,
        };
        NextStep::after(failure, action)
    }

    /// The next step after a watch.
    pub(super) fn after_watch(&mut self, end: StreamEnd, opened: Instant) -> NextStep {
        let is_short = opened.elapsed() < MIN_WATCH;
        match end {
            StreamEnd::Closed if is_short => NextStep::after(
                Failure::unreachable("the watch ended at once"),
                Action::Watch,
            ),
            StreamEnd::Cut(failure) if is_short => NextStep::after(failure, Action::Watch),
            StreamEnd::Closed | StreamEnd::Idle => NextStep::now(Action::Watch),
            StreamEnd::Cut(failure) => {
                tracing::debug!(resource = %self.target.resource, %failure, "resuming the watch");
                NextStep::now(Action::Watch)
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

    /// Resumes the watch, so that the server sends the event again. If that one is invalid as well, the
    /// collection is listed.
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
        NextStep::after(failure, Action::List)
    }
}
