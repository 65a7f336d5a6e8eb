//! One connection: its handshake, its HTTP requests, and the limits on both.
//!
//! A connection is *outdated* when the acceptor no longer allows it (see [`Accepted::until`](crate::Accepted::until)).
//! A *refusal* is a small response with a status 4xx.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, RETRY_AFTER};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tower_service::Service;

use crate::acceptor::{Accepted, Acceptor};
use crate::body::TrackedBody;
use crate::host::has_valid_host;
use crate::limits::Limits;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::registry::{Registry, TooManyResponses};
use crate::state::{ConnectionState, ResponseGuard};
use crate::streams::{StreamExecutor, StreamHandle};
use crate::tracked::TrackedStream;

/// Maximum size of a request's header, in bytes. Also the maximum size of the buffer for response bytes that the kernel
/// has not accepted yet.
const BUFFER: usize = 16 * 1024;
/// Maximum number of fields in a request's header.
const FIELDS: usize = 64;
/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 8;
/// Maximum number of response bytes that wait in the kernel's memory until they are sent.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Maximum size in bytes of the body of a small response (see [`is_small`]).
const SMALL: u64 = 4096;

/// Time after which the server refuses further requests on an outdated connection.
///
/// Within this time, an HTTP/2 client can learn that the server closes the connection. Without this limit, a client
/// that ignores this information could send requests until the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// The value of `Retry-After` in a response with the status 503, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

type BoxError = Box<dyn Error + Send + Sync>;

/// State that the connections of a server share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) observer: Arc<dyn Observer>,
    /// What the program tells clients about [`Limits::max_responses`].
    pub(crate) responses_hint: String,
}

/// An open connection. When this value is dropped, the [`Registry`] removes the connection.
pub(crate) struct OpenConnection {
    shared: Arc<Shared>,
    state: Arc<ConnectionState>,
}

/// Responds to the requests of one connection.
struct Responder<S> {
    service: S,
    shared: Arc<Shared>,
    state: Arc<ConnectionState>,
    limits: Limits,
    /// The extensions that the acceptor adds to every request.
    extensions: Extensions,
    /// The time after which the server refuses requests. This time is set when the connection becomes outdated.
    refuses_from: Arc<OnceLock<Instant>>,
}

/// Serves a connection until the client or the server closes it.
pub(crate) async fn serve<A, S, B>(
    open: OpenConnection,
    stream: TcpStream,
    acceptor: Arc<A>,
    service: S,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) where
    A: Acceptor,
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (shared, state) = (&open.shared, &open.state);
    let peer = state.peer.address();
    let responder = Responder {
        service,
        shared: Arc::clone(shared),
        state: Arc::clone(state),
        limits,
        extensions: Extensions::new(),
        refuses_from: Arc::default(),
    };
    let mut serving = pin!(async {
        configure(&stream);
        let accepted = acceptor.accept(stream).await.map_err(Into::into)?;
        state.record_accepted();
        responder.serve(accepted, shutdown).await
    });
    tokio::select! {
        // `biased` polls this branch first, so the server still responds to a request that has already arrived on an
        // evicted connection.
        biased;
        served = serving.as_mut() => if let Err(error) = served {
            shared.observer.connection_failed(peer, &*error);
        },
        // The server calls the observer before it closes the connection, so the observer has counted the close before
        // the client can notice it.
        reason = state.closed(&limits) => shared.observer.limit_exceeded(peer, reason),
    }
}

/// Sets socket options. Responses are also correct without these options, so the function ignores failures.
fn configure(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

// === impl OpenConnection ===

impl OpenConnection {
    /// Adds the connection to the registry. If the server has too many connections, waits until another connection is
    /// closed.
    pub(crate) async fn admit(shared: &Arc<Shared>, peer: Peer, limits: &Limits) -> Self {
        Self {
            state: shared.registry.admit(peer, limits).await,
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.shared.registry.remove(&self.state);
    }
}

// === impl Responder ===

impl<S, B> Responder<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    async fn serve<I>(
        mut self,
        Accepted {
            stream,
            http2,
            extensions,
            outdated,
        }: Accepted<I>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.extensions = extensions;
        let mut builder = auto::Builder::new(StreamExecutor);
        builder
            .http1()
            .max_buf_size(BUFFER)
            .max_headers(FIELDS)
            .header_read_timeout(None);
        (builder.http2())
            .max_concurrent_streams(STREAMS)
            // The window sizes also limit how many bytes of request bodies the server holds in memory.
            .initial_stream_window_size(BUFFER as u32)
            .initial_connection_window_size(BUFFER as u32)
            .max_header_list_size(BUFFER as u32)
            .max_send_buf_size(BUFFER);
        let builder = if http2 { builder } else { builder.http1_only() };
        let io = TokioIo::new(TrackedStream::new(stream, Arc::clone(&self.state), http2));
        let refuses_from = Arc::clone(&self.refuses_from);
        let mut connection = pin!(builder.serve_connection(io, self));
        let shutdown = async { drop(shutdown.wait_for(|shutdown| *shutdown).await) };
        tokio::select! {
            // With `biased`, the task first checks whether the connection is outdated, so that no request begins on an
            // outdated connection.
            biased;
            () = outdated => drop(refuses_from.set(Instant::now() + LAST_REQUESTS)),
            () = shutdown => {}
            served = connection.as_mut() => return served,
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Responder<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let guard = self.state.begin_request(version == Version::HTTP_2);
        let refuses_from = self.refuses_from.get();
        let is_outdated = refuses_from.is_some_and(|from| Instant::now() >= *from);
        // The limit of hyper on the number of fields applies only to HTTP/1.
        let refused = if fields(request.headers()) > FIELDS {
            Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        } else if !has_valid_host(&request) {
            Some(StatusCode::BAD_REQUEST)
        } else if is_outdated {
            Some(StatusCode::MISDIRECTED_REQUEST)
        } else {
            None
        };
        if let Some(status) = refused {
            // The request is not part of the future, so that the memory of its header is free at once.
            return Box::pin(async move {
                guard.begin_small();
                Ok(refusal(status, version, Bytes::new(), guard))
            });
        }
        let (shared, limits) = (Arc::clone(&self.shared), self.limits);
        let is_head = request.method() == Method::HEAD;
        let mut service = self.service.clone();
        request.extensions_mut().extend(self.extensions.clone());
        request.extensions_mut().insert(self.state.peer);
        Box::pin(async move {
            if let Some(stream) = StreamHandle::current() {
                guard.set_stream(stream);
            }
            poll_fn(|cx| service.poll_ready(cx)).await?;
            let response = service.call(request).await?;
            if is_small(&response) {
                guard.begin_small();
            } else if let Err(TooManyResponses) = shared.registry.begin_response(&guard, &limits) {
                let text = match is_head {
                    true => Bytes::new(),
                    false => too_many_responses(&shared, &limits),
                };
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = refusal(status, version, text, guard);
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                headers.insert(CONTENT_TYPE, plain);
                return Ok(response);
            }
            Ok(response.map(|body| TrackedBody::new(body, guard)))
        })
    }
}

/// The number of header fields. All `cookie` fields count as one, because an HTTP/2 client may [divide the cookies into
/// several fields](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3).
fn fields(headers: &HeaderMap) -> usize {
    let cookies = headers.get_all(COOKIE).iter().count();
    headers.len() - cookies.saturating_sub(1)
}

/// Returns `true` if a response is so small that it needs little memory while the server sends it, for example the
/// response to a probe, or an error. Such a response neither counts as a response in progress nor ends another one. So
/// clients that may only send such requests cannot end the responses of other clients, and probes always get a response.
fn is_small<B: Body>(response: &Response<B>) -> bool {
    let size = response.body().size_hint().upper();
    size.is_some_and(|size| size <= SMALL)
}

/// Returns a response that the service does not produce. On an HTTP/1 connection, this response also closes the
/// connection.
fn refusal<B: Body>(
    status: StatusCode,
    version: Version,
    text: Bytes,
    guard: ResponseGuard,
) -> Response<TrackedBody<B>> {
    let mut response = Response::new(TrackedBody::text(text, guard));
    *response.status_mut() = status;
    if version != Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// The text of a response with the status 503.
fn too_many_responses(shared: &Shared, limits: &Limits) -> Bytes {
    let (most, hint) = (limits.max_responses.max(1), &shared.responses_hint);
    let text =
        format!("too many responses are in progress (limit: {most}); try again later{hint}\n");
    Bytes::from(text)
}
