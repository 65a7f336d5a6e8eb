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
    /// Maximum number of open connections. A further one evicts the connection that has been quiet
    /// longest. Default: 1024.
    pub max_connections: usize,
    /// Maximum number of connections with a response in progress. A further one evicts the
    /// connection that has made no progress longest. Default: 32.
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
