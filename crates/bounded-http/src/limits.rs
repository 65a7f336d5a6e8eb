//! The limits that a host configures.

use std::time::Duration;

/// Limits on the time and the connections that clients can use.
///
/// A timeout of `None` disables that timeout. A number of 0 acts as 1.
///
/// ```
/// use bounded_http::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// limits.max_connections = 256;
/// limits.idle_timeout = Some(Duration::from_secs(90));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum time until the header of a request is complete. For the first request, the time starts when the
    /// connection is accepted, and includes the TLS handshake. For a later request, the time starts with the first byte
    /// of the request. Default: 5 seconds.
    pub request_timeout: Option<Duration>,
    /// Maximum time from the end of a request's header to the end of its response. Default: 60 seconds.
    pub response_timeout: Option<Duration>,
    /// Maximum time without a sent byte during a response. Default: 10 seconds.
    pub progress_timeout: Option<Duration>,
    /// Maximum time between two requests on one connection. Default: 5 minutes.
    pub idle_timeout: Option<Duration>,
    /// Maximum number of open connections. If the maximum is exceeded, a new connection evicts a connection of the peer
    /// with the most connections: first a connection that is idle, then a connection that has sent no request, then a
    /// connection with a request in progress. Of several connections in the same state, the connection that has been
    /// inactive for the longest time is evicted. If a peer has at most an equal share of the connections (a sixteenth
    /// if there are more than 16 peers), its connections with a request in progress are protected. A protected
    /// connection is evicted only if all connections are protected. The process needs this number of free file
    /// descriptors. Default: 1024.
    pub max_connections: usize,
    /// Maximum number of responses that have begun, on all connections together. Each stream of an HTTP/2 connection is
    /// a separate response. If the maximum is exceeded, a new response evicts a connection that has made no progress
    /// for a second. If there is no such connection, the response evicts a connection of the peer with the most
    /// responses. A response begins when the service returns its head. A refusal (status 4xx with at most 4 KiB) evicts
    /// no connection. Default: 32.
    pub max_responses: usize,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Some(Duration::from_secs(5)),
            response_timeout: Some(Duration::from_secs(60)),
            progress_timeout: Some(Duration::from_secs(10)),
            idle_timeout: Some(Duration::from_secs(300)),
            max_connections: 1024,
            max_responses: 32,
        }
    }
}
