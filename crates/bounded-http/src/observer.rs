//! [`Observer`]: receives the events of connections, so that a program can count or log them.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;

/// Receives the events of a server, so that a program can count or log the events.
///
/// By default, a method logs its event with `tracing`. If an event only changes a count, its method does nothing by
/// default. The server calls some methods while it holds a lock, so no method may block.
///
/// ```
/// use bounded_http::Observer;
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// /// Open connections, for a gauge.
/// #[derive(Default)]
/// struct Connections(AtomicI64);
///
/// impl Observer for Connections {
///     fn connection_opened(&self) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
///     fn connection_closed(&self) {
///         self.0.fetch_sub(1, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Runs after the server has accepted a connection.
    fn connection_opened(&self) {}

    /// Runs after the client or the server has closed a connection.
    fn connection_closed(&self) {}

    /// Runs after the number of responses in progress has changed by `change`. The rules of
    /// [`Limits::max_responses`](crate::Limits::max_responses) apply: each stream of HTTP/2 is a response, and a
    /// response with a body of at most 4 KiB does not count.
    fn responses_changed(&self, change: isize) {
        let _ = change;
    }

    /// Runs when the server closes a connection to enforce a limit. Logs at level debug by default.
    fn limit_exceeded(&self, peer: SocketAddr, reason: CloseReason) {
        tracing::debug!(%peer, %reason, "connection closed");
    }

    /// Runs when the server ends one response to enforce a limit, and does not close the connection: it resets a stream
    /// of HTTP/2, or it responds with the status 503. Logs at level debug by default.
    fn response_ended(&self, peer: SocketAddr, reason: CloseReason) {
        tracing::debug!(%peer, %reason, "response ended");
    }

    /// Runs after a connection has failed, in its handshake or in the HTTP protocol. Any client can cause such a
    /// failure at any time. Logs at level debug by default.
    fn connection_failed(&self, peer: SocketAddr, error: &(dyn Error + Send + Sync + 'static)) {
        tracing::debug!(%peer, "connection failed: {error}");
    }

    /// Runs after the operating system could not accept a connection, usually because no file descriptor is free. The
    /// server then evicts a connection, as if the maximum number of connections were reached. The server accepts again
    /// when this connection is closed, or after 50 milliseconds. While no descriptor is free, the server may call this
    /// method many times per second. Logs a warning by default.
    fn accept_failed(&self, error: &io::Error) {
        tracing::warn!("cannot accept a connection: {error}");
    }
}

/// An observer that has only the default methods. They log events, but do not count them.
impl Observer for () {}
