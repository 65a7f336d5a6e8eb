//! The HTTP servers of the exporter. They use `bounded_http`, and add the web configuration, metrics and logs.

mod client;
mod handshakes;
mod listen;
mod metrics;
mod protection;
mod throttle;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bounded_http::{Accepted, Listener, Peer};
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use prometheus_web_config::{AcceptError, WebConfigLayer, WebStream};
use tokio::net::TcpStream;
use tower::{Layer, ServiceExt, service_fn};

use crate::humanize::counted;
use crate::options::Limits;
use client::Connection;
use handshakes::Handshakes;
use metrics::ServerObserver;

pub(crate) use client::{is_known, only_loopback, without_port};
pub(crate) use listen::{AddressFlags, listen};
pub(crate) use metrics::ServerMetrics;
pub(crate) use protection::{CurrentProtection, Protection};

/// A server that listens until [`drain`](Self::drain) is called or the value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// The server's name in metrics and log.
    name: &'static str,
    http: bounded_http::Server,
    protection: CurrentProtection,
}

// === impl Server ===

impl Server {
    /// Starts to serve `router`. `protection` is the protection that is in use (TLS, passwords, tokens). If it changes,
    /// the new protection applies to later requests and connections.
    pub(crate) fn start(
        name: &'static str,
        listener: Listener,
        router: Router,
        limits: &Limits,
        protection: CurrentProtection,
        metrics: &ServerMetrics,
    ) -> Self {
        let (for_requests, for_connections) = (protection.clone(), protection.clone());
        let listens_on = listener.local_addr();
        let handshakes = Handshakes::shared();
        let service = service_fn(move |request: Request<Incoming>| {
            respond(for_requests.get(), router.clone(), request)
        });
        let http = bounded_http::Server::builder()
            .limits(converted(limits))
            .observer(ServerObserver::new(name, metrics))
            .responses_hint("--max-answers of the exporter sets the limit")
            .acceptor(move |stream| {
                accept(
                    for_connections.clone(),
                    handshakes.clone(),
                    listens_on,
                    stream,
                )
            })
            .serve(listener, service);
        Self {
            name,
            http,
            protection,
        }
    }

    /// Returns the address and the port on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Whether the server encrypts its connections.
    pub(crate) fn is_tls(&self) -> bool {
        let protection = self.protection.get();
        let file = protection.web.as_ref();
        file.is_some_and(|file| file.in_use().is_tls())
    }

    /// Changes the limits for new connections.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        self.http.set_limits(converted(limits));
    }

    /// Stops accepting connections, and waits at most `time` until the responses in progress are complete.
    pub(crate) async fn drain(self, time: Duration) {
        let aborted = self.http.drain(time).await;
        if aborted > 0 {
            let aborted = counted(aborted as u64, "connection", "connections");
            tracing::warn!(
                "closed {aborted} of {} with responses that did not end within {time:?}",
                self.name
            );
        }
    }
}

/// Responds to a request. `protection` is the protection that is in use when the request arrives. All checks of this
/// request use it, even if a reload replaces the protection during the request.
async fn respond(
    protection: Arc<Protection>,
    router: Router,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    // The handlers read the protection from the extensions of the request, because they check the token.
    request.extensions_mut().insert(Arc::clone(&protection));
    let layer = WebConfigLayer::new(move || Arc::clone(&protection).web_config())
        .peer(|request| request.get::<Peer>().map(Peer::group));
    // The layer wraps the whole router. Therefore, requests for unknown paths also require a password.
    let response = layer.layer(router).oneshot(request).await;
    response.map(no_sniffing)
}

/// Adds the header `nosniff`: browsers must not guess the content type of a response. Some responses contain names of
/// objects. A browser that guesses could interpret these names as HTML.
fn no_sniffing(mut response: Response<Body>) -> Response<Body> {
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Encrypts a connection if the web configuration requires it.
async fn accept(
    protection: CurrentProtection,
    handshakes: Handshakes,
    listens_on: SocketAddr,
    stream: TcpStream,
) -> Result<Accepted<WebStream>, AcceptError> {
    let config = protection.get().web_config().await;
    let stream = if config.is_tls() {
        let peer = stream.peer_addr().ok();
        let client = peer.map(|address| Peer::new(address).group());
        handshakes.run(client, config.accept(stream)).await?
    } else {
        config.accept(stream).await?
    };
    let connection = Connection {
        listens_on,
        has_certificate: stream.has_client_certificate(),
    };
    Ok(Accepted::new(stream)
        .http2(config.http2())
        .extension(connection)
        .until(protection.outdates(config)))
}

/// Converts the limits of the options to the types of the server.
fn converted(options: &Limits) -> bounded_http::Limits {
    let mut limits = bounded_http::Limits::default();
    // Requests have no body, so a request is complete when its header is complete. So the shorter of two timeouts
    // applies: the timeout of the header, or the timeout of the whole request.
    limits.request_timeout = match (options.read_header, options.read) {
        (Some(header), Some(read)) => Some(header.min(read)),
        (header, read) => header.or(read),
    };
    limits.response_timeout = options.write;
    limits.progress_timeout = options.progress;
    limits.idle_timeout = options.idle;
    limits.max_connections = crate::descriptors::connections(options.connections);
    limits.max_responses = options.answers;
    limits
}
