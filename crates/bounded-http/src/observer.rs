//! [`Observer`]: receives the events of connections, so that a host can count or log them.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;

/// Receives the events of a server, so that a program can count or log the events.
///
/// The default methods ignore events that only change a count, and log all other events with `tracing`. The server
/// calls the methods while it holds locks, so the methods must not block.
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

    /// Runs after a connection became busy: a response has begun, or bytes of a response wait to be sent.
    fn connection_busy(&self) {}

    /// Runs when a connection is no longer busy.
    fn connection_not_busy(&self) {}

    /// Runs when the server closes a connection to enforce a limit. Logs at level debug by default.
    fn limit_exceeded(&self, peer: SocketAddr, reason: CloseReason) {
        tracing::debug!(%peer, %reason, "connection closed");
    }

    /// Runs after a connection has failed in its handshake or in the HTTP protocol. Any client can cause such a failure
    /// at any time. Logs at level debug by default.
    fn connection_failed(&self, peer: SocketAddr, error: &(dyn Error + Send + Sync + 'static)) {
        tracing::debug!(%peer, "connection failed: {error}");
    }

    /// Runs after the operating system could not accept a connection, usually because no file descriptor is free. The
    /// server then evicts its least active connection. The server retries when this connection is closed, but not later
    /// than after 50 milliseconds. While there are no free descriptors, the server may call this method many times per
    /// second. Logs a warning by default.
    fn accept_failed(&self, error: &io::Error) {
        tracing::warn!("cannot accept a connection: {error}");
    }
}

/// An observer with only the default methods, which log events but do not count them.
impl Observer for () {}
