//! Requests streaming lists, and falls back to paged lists if the server does not complete a streaming list. A
//! streaming list is a watch that begins with all objects.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Contact, Failure};
use super::reflector::{Action, NextStep, Reflector};
use super::request::ListWatchRequest;
use super::sink::ListWatchSink;
use super::watch_stream::{Phase, StreamEnd};
use crate::source::health::FailureReason;

/// Number of consecutive incomplete streaming lists after which the reflector requests a paged list.
const MAX_CUT_STREAMS: u32 = 2;
/// Minimum timeout of a streaming list, as a multiple of the duration of the last complete list. If the configured
/// deadline is shorter, this timeout applies.
const LAST_LISTS: u32 = 3;

impl<S: ListWatchSink> Reflector<S> {
    /// Requests a streaming list, then watches the changes in the same stream.
    pub(super) async fn streaming_list(&mut self) -> NextStep {
        self.feed.listing();
        let version = match self.list_version() {
            // Version 0 would accept old objects from the cache of the server. The first streaming list requests the
            // latest version instead, because such a list costs the server little.
            Some(version) if version == "0" && !self.options.use_cache => None,
            version => version,
        };
        let request = ListWatchRequest::StreamingList {
            version: version.as_deref(),
            seconds: self.options.timeouts.watch_seconds(),
        };
        let opened = Instant::now();
        let response = self.options.timeouts.response;
        let timeout = self.list_deadline().unwrap_or(response).min(response);
        let selector = self.enter_scope();
        let response = match self.send(request, selector.as_deref(), timeout).await {
            Ok(response) => response,
            Err(failure) => return self.after_refused_stream(failure, version.is_some()),
        };
        self.metrics.watch_request(true);
        self.is_stream_unanswered = false;
        self.feed.list_opened();
        self.sink.begin_list();
        let (phase, end) = self.read(response, Phase::Listing, opened).await;
        if phase == Phase::Watching {
            self.cut_streams = 0;
            return self.after_watch(end, opened);
        }
        self.sink.discard_list().await;
        self.after_incomplete_list(end)
    }

    /// Returns how long a streaming list may take.
    pub(super) fn list_deadline(&self) -> Option<Duration> {
        let deadline = self.options.list_deadline?;
        let last_list = self.last_list.unwrap_or_default();
        Some(deadline.max(last_list.saturating_mul(LAST_LISTS)))
    }

    /// Returns the next step after a request for a streaming list has failed.
    fn after_refused_stream(&mut self, failure: Failure, has_version: bool) -> NextStep {
        if failure.reason == FailureReason::Rejected {
            // A server that does not support streaming lists rejects the request. This rejection is not reported as a
            // failure.
            self.stop_streaming();
            return NextStep::now(Action::PagedList);
        }
        self.metrics.watch_request(false);
        match failure.reason {
            FailureReason::Expired if has_version => {
                self.version_lost = true;
                NextStep::now(Action::List)
            }
            // Requests a paged list, because a proxy may block streams forever, but forward paged lists.
            FailureReason::Unreachable if failure.contact == Contact::Some => {
                self.is_stream_unanswered = true;
                NextStep::after(failure, Action::PagedList)
            }
            FailureReason::Unreachable
            | FailureReason::Throttled
            | FailureReason::Unauthorized
            | FailureReason::Expired => NextStep::after(failure, Action::List),
            // Requests a paged list, because the permissions may allow lists but no watches. If lists are forbidden
            // too, the error of the list names the missing permission.
            _ => NextStep::now(Action::PagedList),
        }
    }

    /// Returns the next step if the stream ended before the list was complete.
    fn after_incomplete_list(&mut self, end: StreamEnd) -> NextStep {
        match end {
            StreamEnd::NeedsList => NextStep::now(Action::List),
            StreamEnd::NotStreaming => {
                self.stop_streaming();
                NextStep::now(Action::PagedList)
            }
            StreamEnd::Idle => {
                self.give_up_streaming();
                NextStep::now(Action::PagedList)
            }
            StreamEnd::Error(failure) if failure.reason == FailureReason::Expired => {
                self.version_lost = true;
                NextStep::after(failure, Action::List)
            }
            StreamEnd::Error(failure) => {
                self.metrics.watch_request(false);
                NextStep::after(failure, Action::PagedList)
            }
            StreamEnd::Broken(failure) => {
                self.metrics.watch_request(false);
                self.after_cut_stream(failure)
            }
            StreamEnd::Cut(failure) | StreamEnd::Disorder(failure) => {
                self.after_cut_stream(failure)
            }
            StreamEnd::Closed => {
                let message = "the streaming list ended before it was complete";
                self.after_cut_stream(Failure::unreachable(message))
            }
        }
    }

    fn after_cut_stream(&mut self, failure: Failure) -> NextStep {
        // The server has begun to send the list. If each list breaks, the backoff must grow.
        let failure = failure.despite_answers();
        self.cut_streams += 1;
        if self.cut_streams < MAX_CUT_STREAMS {
            return NextStep::after(failure, Action::List);
        }
        self.cut_streams = 0;
        NextStep::after(failure, Action::PagedList)
    }
}
