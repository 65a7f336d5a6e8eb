//! [`Server`]: accepts connections on a socket until the program *drains* it (stops it gracefully) or drops it.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::accept;
use crate::acceptor::{Acceptor, Plain};
use crate::connection::Shared;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::observer::Observer;
use crate::registry::Registry;

type BoxError = Box<dyn Error + Send + Sync>;

/// A server that runs in background tasks.
///
/// [`drain`](Self::drain) stops the server gracefully. Dropping the server closes its socket and all connections
/// immediately.
pub struct Server {
    address: SocketAddr,
    limits: Arc<RwLock<Limits>>,
    shared: Arc<Shared>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Configures and starts a [`Server`].
#[must_use = "nothing is served until `serve` is called"]
pub struct ServerBuilder<A = Plain> {
    acceptor: A,
    limits: Limits,
    observer: Arc<dyn Observer>,
    responses_hint: String,
}

// === impl ServerBuilder ===

impl<A: Acceptor> ServerBuilder<A> {
    /// Sets the limits on clients. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the observer, which receives the events of the server. The default is `()`, which logs events but does not
    /// count them.
    ///
    /// Several servers may share one observer. For example, a server that completes its last responses can share an
    /// observer with its successor on another port.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Sets what a client should know about [`Limits::max_responses`], for example the flag that sets the limit. The
    /// body of a response with the status 503 ends with this text. Default: empty.
    pub fn responses_hint(mut self, hint: &str) -> Self {
        self.responses_hint = format!("; {hint}");
        self
    }

    /// Sets the acceptor, which turns each TCP connection into a stream of bytes for HTTP, for example by a TLS
    /// handshake. Default: [`Plain`].
    pub fn acceptor<T: Acceptor>(self, acceptor: T) -> ServerBuilder<T> {
        ServerBuilder {
            acceptor,
            limits: self.limits,
            observer: self.observer,
            responses_hint: self.responses_hint,
        }
    }

    /// Starts the server.
    ///
    /// `service` responds to all requests, for example an `axum::Router`. The server clones the service for every
    /// request. If the service returns an error, the server closes the connection.
    ///
    /// # Panics
    ///
    /// Panics if the method is called outside a Tokio runtime.
    pub fn serve<S, B>(self, listener: Listener, service: S) -> Server
    where
        S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
            + Clone
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let address = listener.local_addr();
        let limits = Arc::new(RwLock::new(self.limits));
        let shared = Arc::new(Shared {
            registry: Registry::new(Arc::clone(&self.observer)),
            observer: self.observer,
            responses_hint: self.responses_hint,
        });
        let (shutdown, stopped) = watch::channel(false);
        let task = tokio::spawn(accept::run(
            listener,
            Arc::new(self.acceptor),
            service,
            Arc::clone(&limits),
            Arc::clone(&shared),
            stopped,
        ));
        Server {
            address,
            limits,
            shared,
            shutdown,
            task,
        }
    }
}

impl<A> fmt::Debug for ServerBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

// === impl Server ===

impl Server {
    /// Returns a builder with the default limits.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            acceptor: Plain,
            limits: Limits::default(),
            observer: Arc::new(()),
            responses_hint: String::new(),
        }
    }

    /// Returns the address on which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.shared.registry.len()
    }

    /// Changes the limits. The new limits apply to connections that the server accepts after the call.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write() = limits;
    }

    /// Stops accepting connections, closes idle connections, and waits at most `timeout` until the responses in
    /// progress are complete. The limits on slow clients still apply.
    ///
    /// Returns the number of connections that were still open after `timeout`. The server closes these connections. If
    /// the returned future is dropped before it completes, the server closes all connections immediately.
    pub async fn drain(mut self, timeout: Duration) -> usize {
        let _ = self.shutdown.send(true);
        match tokio::time::timeout(timeout, &mut self.task).await {
            Ok(_) => 0,
            Err(_) => self.open_connections(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}
