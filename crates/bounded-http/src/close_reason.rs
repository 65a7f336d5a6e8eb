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
    /// [`Limits::max_connections`](crate::Limits::max_connections).
    Evicted,
    /// The server ended or refused the response, because there were more responses than
    /// [`Limits::max_responses`](crate::Limits::max_responses), and another peer has the place.
    Displaced,
    /// The server ended the response, because there were more responses than
    /// [`Limits::max_responses`](crate::Limits::max_responses), and a newer response of the same peer has the place.
    Replaced,
    /// An HTTP/2 client sent many more control frames than its requests need. Control frames are pings, settings,
    /// resets, priorities, window updates and empty data frames.
    FrameFlood,
}

// === impl CloseReason ===

impl CloseReason {
    /// Whether the use of a response that ends for this reason counts (see `BusyCount::usage`).
    ///
    /// If the server ends a response to make room for others, its use does not count, so that its peer is not at a
    /// disadvantage the next time. But if a newer response of the same peer has the place, the use counts. Otherwise, a
    /// peer could hold a place all the time with responses that it ends itself.
    pub(crate) const fn counts_as_use(self) -> bool {
        !matches!(self, Self::Evicted | Self::Displaced)
    }

    /// Returns the name in snake case: `idle`, `slow_request`, `no_progress`, `slow_response`,
    /// `evicted`, `displaced`, `replaced` or `frame_flood`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowRequest => "slow_request",
            Self::NoProgress => "no_progress",
            Self::SlowResponse => "slow_response",
            Self::Evicted => "evicted",
            Self::Displaced => "displaced",
            Self::Replaced => "replaced",
            Self::FrameFlood => "frame_flood",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
