//! [`FailureReason`]: why a resource cannot be listed or watched.

use std::fmt;

use serde::Serialize;

/// The reason why a resource cannot be listed or watched at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureReason {
    /// The credentials do not allow listing or watching the resource (403).
    Forbidden,
    /// The server does not know the resource (404).
    NotFound,
    /// The server does not accept the credentials (401), or the credentials could not be obtained.
    Unauthorized,
    /// The connection fails, or there is no response before the timeout.
    Unreachable,
    /// The server limits the rate of requests (429).
    Throttled,
    /// The server rejects the request for another reason (other 4xx), such as a selector that the server does not
    /// support.
    Rejected,
    /// The server no longer has the requested resource version, or has not reached this version yet.
    Expired,
    /// The server failed (5xx).
    ServerError,
    /// The response is invalid: truncated, not JSON, or not a list.
    DecodeError,
}

// === impl FailureReason ===

impl FailureReason {
    /// All reasons.
    pub const ALL: &'static [Self] = &[
        Self::Forbidden,
        Self::NotFound,
        Self::Unauthorized,
        Self::Unreachable,
        Self::Throttled,
        Self::Rejected,
        Self::Expired,
        Self::ServerError,
        Self::DecodeError,
    ];

    /// The name in metrics and logs, such as `not_found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::ServerError => "server_error",
            Self::DecodeError => "decode_error",
        }
    }

    /// Whether the reason is a refusal: forbidden (403) or not found (404).
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Forbidden | Self::NotFound)
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('_', " "))
    }
}
