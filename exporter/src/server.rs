//! The HTTP servers of the program: `bounded_http` with the web configuration, metrics and logs.

mod client;
mod descriptors;
mod handshakes;
mod listen;
mod metrics;
mod throttle;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bounded_http::{Accepted, Listener, Peer};
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, Response};
use prometheus_web_config::{AcceptError, WebConfigFile, WebConfigLayer, WebStream};
use tokio::net::TcpStream;
use tower::Layer;
use tower::util::MapResponse;

use crate::humanize::counted;
use crate::options::Limits;
use client::Connection;
use handshakes::Handshakes;
use metrics::ServerObserver;
use web::CurrentWeb;

pub(crate) use client::{is_known, only_loopback, without_port};
pub(crate) use descriptors::warn_of_low_limit;
pub(crate) use listen::{AddressFlags, listen};
pub(crate) use metrics::ServerMetrics;

/// A server that listens until it is drained or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// The server's name in metrics and log.
    name: &'static str,
    http: bounded_http::Server,
    web: CurrentWeb,
}

/// The settings that a reload changes while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// The web configuration file: TLS, basic authentication and headers.
    pub(crate) web: Option<Arc<WebConfigFile>>,
}

// === impl Server ===

impl Server {
    /// Starts to serve `router`.
    pub(crate) fn start(
        name: &'static str,
        listener: Listener,
        router: Router,
        settings: Settings,
        metrics: &ServerMetrics,
    ) -> Self {
        let web = CurrentWeb::new(settings.web);
        let (for_requests, for_connections) = (web.clone(), web.clone());
        let listens_on = listener.local_addr();
        let handshakes = Handshakes::shared();
        // The layer wraps the whole router, so that unknown paths also require a password.
        let layer = WebConfigLayer::new(move || for_requests.clone().latest())
            .peer(|request| request.get::<Peer>().map(Peer::group));
        let service = MapResponse::new(layer.layer(router), no_sniffing as fn(_) -> _);
        let http = bounded_http::Server::builder()
            .limits(limits(&settings.limits))
            .observer(ServerObserver::new(name, metrics))
            .acceptor(move |stream| {
                accept(
                    for_connections.clone(),
                    handshakes.clone(),
                    listens_on,
                    stream,
                )
            })
            .serve(listener, service);
        Self { name, http, web }
    }

    /// Returns the address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.web.file().is_some_and(|file| file.in_use().is_tls())
    }

    /// Returns the web configuration file in use.
    pub(crate) fn web_file(&self) -> Option<Arc<WebConfigFile>> {
        self.web.file()
    }

    /// Changes the limits for new connections, and the web configuration for new requests.
    pub(crate) fn set(&self, settings: Settings) {
        self.http.set_limits(limits(&settings.limits));
        self.web.set(settings.web);
    }

    /// Accepts no more connections and waits for the responses in progress, at most for `time`.
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

/// Tells browsers not to guess the type of a response. Some responses contain names of objects, which a browser could
/// interpret as HTML.
fn no_sniffing(mut response: Response<Body>) -> Response<Body> {
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Encrypts a connection if the web configuration requires it.
async fn accept(
    web: CurrentWeb,
    handshakes: Handshakes,
    listens_on: SocketAddr,
    stream: TcpStream,
) -> Result<Accepted<WebStream>, AcceptError> {
    let config = web.latest().await;
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
        .extension(connection))
}

/// Converts the limits of the options to the types of the server.
fn limits(options: &Limits) -> bounded_http::Limits {
    let mut limits = bounded_http::Limits::default();
    // Requests have no body, so they are complete after the header. So the shorter of two timeouts applies: the timeout
    // for the header, and the timeout for the whole request.
    limits.request_timeout = match (options.read_header, options.read) {
        (Some(header), Some(read)) => Some(header.min(read)),
        (header, read) => header.or(read),
    };
    limits.response_timeout = options.write;
    limits.progress_timeout = options.progress;
    limits.idle_timeout = options.idle;
    limits.max_connections = descriptors::connections(options.connections);
    limits.max_responses = options.answers;
    limits
}
