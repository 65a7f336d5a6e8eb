//! [`CloseReason`]: why the server closes a connection.

use std::fmt;

/// The reason why the server closed a connection.
///
/// [`as_str`](Self::as_str) and `Display` return a short name for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// No request arrived within [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    Idle,
    /// A request header was incomplete after
    /// [`Limits::request_timeout`](crate::Limits::request_timeout).
    SlowRequest,
    /// No byte of a response was sent within
    /// [`Limits::progress_timeout`](crate::Limits::progress_timeout): the client does not read.
    NoProgress,
    /// A response was incomplete after
    /// [`Limits::response_timeout`](crate::Limits::response_timeout).
    SlowResponse,
    /// The server evicted the connection to make room, because there were more connections than
    /// [`Limits::max_connections`](crate::Limits::max_connections) or more responses than
    /// [`Limits::max_responses`](crate::Limits::max_responses).
    Evicted,
    /// An HTTP/2 client sent many more control frames than its requests need. Control frames are pings, settings,
    /// resets, priorities, window updates and empty data frames.
    FrameFlood,
}

// === impl CloseReason ===

impl CloseReason {
    /// Returns the name in snake case: `idle`, `slow_request`, `no_progress`, `slow_response`,
    /// `evicted` or `frame_flood`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowRequest => "slow_request",
            Self::NoProgress => "no_progress",
            Self::SlowResponse => "slow_response",
            Self::Evicted => "evicted",
            Self::FrameFlood => "frame_flood",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
