//! [`Limits`]: the limits on the clients of a server.

use std::time::Duration;

/// Limits on the time and the number of connections that clients can use.
///
/// The value `None` disables a timeout. A maximum number of 0 has the same effect as 1.
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
    /// Maximum time until the header of a request is complete. For the first request of a connection, the time starts
    /// when the server accepts the connection, so it includes the TLS handshake. For a later request, the time starts
    /// with the first byte of the request. Default: 5 seconds.
    pub request_timeout: Option<Duration>,
    /// Maximum time from the end of a request's header to the end of its response. If other streams of an HTTP/2
    /// connection are in time, or the server has just sent bytes on the connection, it resets only the late stream. Default: 60 seconds.
    pub response_timeout: Option<Duration>,
    /// Maximum time in which the server cannot send any byte of a response. If the server can send
    /// other bytes on an HTTP/2 connection, it resets only the stalled stream. A stream that waits only for the window
    /// of the connection is not stalled while the server can send bytes of other streams. Default: 10 seconds.
    pub progress_timeout: Option<Duration>,
    /// Maximum time between two requests on one connection. Default: 5 minutes.
    pub idle_timeout: Option<Duration>,
    /// Maximum number of open connections. Default: 1024.
    ///
    /// The process needs at least this number of free file descriptors. When the maximum is reached, the server evicts
    /// (closes) one connection for each new connection: a connection of the peer that has the most connections. A peer
    /// is the address of a client. The server first evicts an idle connection, then a connection that has sent no
    /// request, and last a connection with a request in progress. Among connections of the same kind, the server evicts
    /// the connection that has been inactive for the longest time.
    ///
    /// The share of a peer is the maximum divided by the number of peers, or a sixteenth of the maximum if there are
    /// more than 16 peers. If a peer has at most its share of connections, its connections with a request in progress
    /// are protected. The server evicts protected connections only if all its connections are protected.
    pub max_connections: usize,
    /// Maximum number of responses in progress on all connections of a server together. Default: 32.
    ///
    /// A response begins when the service returns its status and header fields. Each stream of an HTTP/2 connection is
    /// a separate response. If a new response exceeds the maximum, the server ends a response whose bytes have waited
    /// for the client for a second. If there is no such response, the server ends a response of the peer with the most
    /// responses. In HTTP/1, the server closes the connection of the response; in HTTP/2, it resets the stream.
    ///
    /// If several peers have the most responses, and the new response is from one of them, this peer loses. If it has
    /// no other response, or only responses that began less than a second ago and do not wait for the client, the new
    /// response gets the status 503. But if the running responses of another of these peers have recently taken more
    /// than 2 seconds longer, the other peer loses. A response with a body of at most 4 KiB does not count, and never
    /// ends another response.
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
