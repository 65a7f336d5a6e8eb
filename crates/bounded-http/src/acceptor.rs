//! Acceptors: an acceptor turns an accepted TCP connection into a byte stream, for example by a TLS handshake.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, ready};
use std::pin::Pin;

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Turns an accepted TCP connection into a stream for HTTP, for example by a TLS handshake.
///
/// A closure that takes a [`TcpStream`] and returns a future implements this trait:
///
/// ```
/// use bounded_http::{Accepted, Server};
/// # use tokio::{io, net::TcpStream};
/// # #[derive(Clone)] struct TlsAcceptor;
/// # impl TlsAcceptor {
/// #     async fn accept(&self, stream: TcpStream) -> io::Result<TcpStream> { Ok(stream) }
/// # }
///
/// # let tls = TlsAcceptor;
/// let builder = Server::builder().acceptor(move |stream| {
///     let tls = tls.clone();
///     async move { tls.accept(stream).await.map(Accepted::new) }
/// });
/// ```
pub trait Acceptor: Send + Sync + 'static {
    /// The stream for HTTP.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The error if the acceptor does not accept a connection.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// Accepts one connection.
    ///
    /// The call runs in the task of the connection. The time of the call is part of
    /// [`Limits::request_timeout`](crate::Limits::request_timeout).
    ///
    /// # Errors
    ///
    /// If the call fails, the server closes the connection and passes the error to
    /// [`Observer::connection_failed`](crate::Observer::connection_failed).
    fn accept(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = Result<Accepted<Self::Stream>, Self::Error>> + Send;
}

/// A stream that is ready for HTTP, and its settings.
pub struct Accepted<S> {
    pub(crate) stream: S,
    pub(crate) http2: bool,
    pub(crate) extensions: Extensions,
    pub(crate) outdated: Outdated,
}

/// A future that completes when the server must close the connection because it is outdated.
pub(crate) type Outdated = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The default acceptor: plain HTTP/1 and HTTP/2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

// === impl Accepted ===

impl<S> Accepted<S> {
    /// Creates a stream for HTTP/1 and HTTP/2.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            http2: true,
            extensions: Extensions::new(),
            outdated: Box::pin(pending()),
        }
    }

    /// Sets whether the client may use HTTP/2. Default: `true`.
    #[must_use]
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// Adds a value to the extensions of every request of the connection, for example the verified name
    /// of the client. Default: none.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Sets when the connection is outdated, for example because the server now requires other client certificates.
    /// Default: never.
    ///
    /// When the future `outdated` completes, the server closes the connection immediately if it is idle. If responses
    /// are in progress, the server closes the connection when these responses are complete. During this time, the
    /// limits on slow clients still apply. An HTTP/2 client may send further requests before it learns that the
    /// connection ends. For one second, the server responds to such requests. After that second, the server refuses
    /// them with the status 421.
    #[must_use]
    pub fn until(mut self, outdated: impl Future<Output = ()> + Send + 'static) -> Self {
        self.outdated = Box::pin(outdated);
        self
    }
}

impl<S: fmt::Debug> fmt::Debug for Accepted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("stream", &self.stream)
            .field("http2", &self.http2)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

// === impl Acceptor ===

impl Acceptor for Plain {
    type Stream = TcpStream;
    type Error = Infallible;

    fn accept(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = Result<Accepted<TcpStream>, Infallible>> + Send {
        ready(Ok(Accepted::new(stream)))
    }
}

impl<F, Fut, S, E> Acceptor for F
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Accepted<S>, E>> + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Stream = S;
    type Error = E;

    fn accept(&self, stream: TcpStream) -> impl Future<Output = Result<Accepted<S>, E>> + Send {
        self(stream)
    }
}
