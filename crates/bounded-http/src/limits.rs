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
    /// Time until the header of a request is complete. It starts when the connection is accepted, so
    /// that a TLS handshake is included, and for later requests with their first byte. Default: 5
    /// seconds.
    pub request_timeout: Option<Duration>,
    /// Time from the end of a request's header to the end of its response. Default: 60 seconds.
    pub response_timeout: Option<Duration>,
    /// Time in which at least one byte of a response that has begun must be sent. Default: 10
    /// seconds.
    pub progress_timeout: Option<Duration>,
    /// Time between two requests on one connection. Default: 5 minutes.
    pub idle_timeout: Option<Duration>,
    /// Open connections. One more evicts another one of the peer with the most connections: one that
    /// has been idle longest, then one that has sent no request, and at last one with a request in
    /// progress. A request in progress is protected while any other connection can be evicted, unless
    /// its peer has more than an equal share of the connections (a sixteenth if there are more than 16
    /// peers). The server must have as many free file descriptors. Default: 1024.
    pub max_connections: usize,
    /// Connections with a response that has begun. One more evicts another one: one that has made no
    /// progress for a second, otherwise one of the peer with the most responses. A request counts
    /// when the service returns the head of its response, so a request that the service is still
    /// checking takes no place. A refusal (status 4xx with at most 4 KiB) evicts nobody. Default: 32.
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
