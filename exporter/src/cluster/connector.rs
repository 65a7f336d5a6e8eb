//! Connections to the API server, direct or through a proxy.
//!
//! Another layer encrypts the connection to the API server with TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt, service_fn};

use super::proxy::{Protocol, Proxy};
use super::tls::explain;
use crate::descriptors;

/// Opens connections to the API server.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// Connects to the API server or to the proxy. A connection to the proxy may use TLS.
    dialer: HttpsConnector<HttpConnector>,
    proxy: Option<Proxy>,
    timeout: Option<Duration>,
    /// The number of open connections of this connector.
    open: Arc<AtomicUsize>,
}

/// The right to have a connection. Dropping this value allows another connection.
#[derive(Debug)]
struct Slot {
    open: Arc<AtomicUsize>,
}

/// The number of open connections to API servers, of all connectors.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// Each connector may have this number of connections, even if the watches have used all their file descriptors. So
/// reviews of tokens and changes of the Lease are still possible.
const ALWAYS: usize = 4;

/// The reason why a connection fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Direct(BoxError),
    #[error("cannot connect to the proxy {proxy}; check its address and that it runs")]
    Proxy {
        proxy: String,
        #[source]
        source: BoxError,
    },
    #[error(
        "the proxy {proxy} does not connect to {server}; check its rules and the credentials for it"
    )]
    Refused {
        proxy: String,
        server: String,
        #[source]
        source: BoxError,
    },
    #[error(
        "the proxy {proxy} did not connect to {server} within {timeout:?}; check that the proxy reaches the server"
    )]
    Timeout {
        proxy: String,
        server: String,
        timeout: Duration,
    },
    #[error(
        "the limit of {limit} open files allows only {most} connections to the API server; raise the hard limit \
         (ulimit -Hn, LimitNOFILE in systemd), or watch fewer resources or namespaces"
    )]
    OpenFiles { limit: u64, most: usize },
}

/// An open connection to the API server, direct or through a proxy.
#[derive(Debug)]
pub(super) struct Stream {
    inner: MaybeHttpsStream<TokioIo<TcpStream>>,
    _slot: Slot,
    /// Whether the proxy forwards each request separately, without a tunnel. Requests to such a proxy must contain the
    /// full URL of the server.
    forwards: bool,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

// === impl Connector ===

impl Connector {
    /// Creates a connector that uses `tls` for an `https` proxy. If the proxy takes longer than `timeout`, the
    /// connection fails.
    pub(super) fn new(
        tls: rustls::ClientConfig,
        proxy: Option<Proxy>,
        timeout: Option<Duration>,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        Self {
            dialer: HttpsConnector::from((tcp, tls)),
            proxy,
            timeout,
            open: Arc::default(),
        }
    }

    async fn direct(self, server: Uri, slot: Slot) -> Result<Stream, ConnectError> {
        let inner = self.dialer.oneshot(server).await;
        Ok(Stream::new(inner.map_err(ConnectError::Direct)?, slot))
    }

    async fn through(
        self,
        proxy: Proxy,
        server: Uri,
        is_https: bool,
        slot: Slot,
    ) -> Result<Stream, ConnectError> {
        let stream = self.dialer.oneshot(proxy.uri.clone()).await;
        let stream = stream.map_err(|source| ConnectError::Proxy {
            proxy: proxy.to_string(),
            source: explain(source),
        })?;
        let refused = |source| ConnectError::Refused {
            proxy: proxy.to_string(),
            server: authority(&server),
            source,
        };
        match proxy.protocol.clone() {
            Protocol::Http { .. } if !is_https => Ok(Stream {
                inner: stream,
                _slot: slot,
                forwards: true,
            }),
            Protocol::Http { authorization } => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), connected(stream));
                if let Some(authorization) = authorization {
                    tunnel = tunnel.with_auth(authorization);
                }
                let stream = tunnel.oneshot(server.clone()).await;
                stream
                    .map(|stream| Stream::new(stream, slot))
                    .map_err(|error| refused(error.into()))
            }
            Protocol::Socks5 { user } => {
                let mut socks = SocksV5::new(proxy.uri.clone(), connected(stream));
                if let Some((user, password)) = user {
                    socks = socks.with_auth(user, password);
                }
                let stream = socks.oneshot(server.clone()).await;
                stream
                    .map(|stream| Stream::new(stream, slot))
                    .map_err(|error| refused(error.into()))
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let is_https = server.scheme() == Some(&Scheme::HTTPS);
        let server = match plain(&server, is_https) {
            Ok(server) => server,
            Err(error) => return Box::pin(async { Err(ConnectError::Direct(error.into())) }),
        };
        let slot = match Slot::new(&self.open, descriptors::for_api_server()) {
            Ok(slot) => slot,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let this = self.clone();
        let Some(proxy) = self.proxy.clone() else {
            return Box::pin(this.direct(server, slot));
        };
        let timeout = self.timeout.unwrap_or(Duration::MAX);
        let late = ConnectError::Timeout {
            proxy: proxy.to_string(),
            server: authority(&server),
            timeout,
        };
        // The timeout starts in this call, not at the first poll of the future. So this timeout expires before the
        // timeout of the caller, and the error names the proxy.
        let stream = tokio::time::timeout(timeout, this.through(proxy, server, is_https, slot));
        Box::pin(async move { stream.await.unwrap_or(Err(late)) })
    }
}

/// The host and the port of a server as an `http` URL. The scheme is never `https`, because another layer adds TLS.
fn plain(server: &Uri, is_https: bool) -> Result<Uri, http::Error> {
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
}

fn authority(server: &Uri) -> String {
    server
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Returns a connector that does not connect, but returns the open connection `stream`.
fn connected<S>(
    stream: S,
) -> impl Service<Uri, Response = S, Error = io::Error, Future: Send + 'static>
where
    S: Send + 'static,
{
    let mut stream = Some(stream);
    service_fn(move |_: Uri| {
        let stream = stream.take();
        async { stream.ok_or_else(|| io::ErrorKind::NotConnected.into()) }
    })
}

// === impl Slot ===

impl Slot {
    /// Takes a slot for a connection of the connector whose open connections `open` counts. `most` is the maximum
    /// number of connections of all connectors, and the limit on open files.
    fn new(open: &Arc<AtomicUsize>, most: Option<(usize, u64)>) -> Result<Self, ConnectError> {
        let (own, all) = (
            open.fetch_add(1, Ordering::Relaxed),
            OPEN.fetch_add(1, Ordering::Relaxed),
        );
        let slot = Self {
            open: Arc::clone(open),
        };
        match most {
            Some((most, limit)) if all >= most && own >= ALWAYS => {
                Err(ConnectError::OpenFiles { limit, most })
            }
            _ => Ok(slot),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Stream ===

impl Stream {
    fn new(inner: MaybeHttpsStream<TokioIo<TcpStream>>, slot: Slot) -> Self {
        Self {
            inner,
            _slot: slot,
            forwards: false,
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.inner.connected().proxy(self.forwards)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_the_api_server_leave_descriptors_for_the_ports() {
        let (watches, reviews) = (Arc::default(), Arc::default());
        let most = Some((0, 64));
        let slots: Vec<_> = (0..ALWAYS).map(|_| Slot::new(&watches, most)).collect();
        assert!(slots.iter().all(Result::is_ok));
        let error = Slot::new(&watches, most).unwrap_err().to_string();
        assert!(error.contains("limit of 64 open files"), "{error}");
        // Another client may still connect.
        assert!(Slot::new(&reviews, most).is_ok());
        assert!(Slot::new(&watches, None).is_ok());
        drop(slots);
        assert!(Slot::new(&watches, most).is_ok());
        assert_eq!(watches.load(Ordering::Relaxed), 0);
    }
}
