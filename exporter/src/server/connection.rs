//! One connection: TLS, HTTP, and the limits on both.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::activity::{Activity, Answer};
use super::io::Tracked;
use super::{Settings, Shared};
use crate::options::Limits;
use crate::web::WebConfig;

/// The most bytes of a request's header, and of an answer that waits in our memory.
const BUFFER: usize = 16 * 1024;
/// The most fields of a request's header.
const FIELDS: usize = 64;
/// The most requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 8;
/// The most bytes of an answer that wait in the kernel's memory before they are sent.
const UNSENT: u32 = 128 * 1024;

/// The answer to plain HTTP on a TLS port, as Go's server words it.
const NOT_TLS: &str = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
     connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Answers the requests of one connection.
#[derive(Clone)]
struct Answering {
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    limits: Limits,
}

/// A connection that counts as open until this is dropped.
struct Open {
    shared: Arc<Shared>,
    activity: Arc<Activity>,
}

/// A body whose pieces count as progress.
pub(crate) struct TrackedBody {
    body: Body,
    answer: Answer,
}

/// Serves a connection until it is closed, by either side.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let Settings { limits, web } = shared.settings.read().clone();
    let open = Open {
        activity: shared.connections.admit(&limits),
        shared,
    };
    let (shared, activity) = (&open.shared, &open.activity);
    let answering = Answering {
        shared: Arc::clone(shared),
        activity: Arc::clone(activity),
        limits,
    };
    let mut serving = pin!(answering.serve(stream, web.map(|web| web.current()), stopped));
    tokio::select! {
        () = serving.as_mut() => {}
        // Counted before it is closed, so that whoever sees the one sees the other.
        cut = activity.until_cut(&limits) => {
            tracing::debug!(%peer, reason = %cut, "connection closed");
            let labels = &[shared.name, &*cut.to_string()];
            shared.metrics.cut.with_label_values(labels).inc();
        }
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.connections.remove(&self.activity);
    }
}

// === impl Answering ===

impl Answering {
    async fn serve(
        self,
        stream: TcpStream,
        web: Option<Arc<WebConfig>>,
        stopped: watch::Receiver<bool>,
    ) {
        // Neither is needed for a right answer, so failures do not matter.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let tls = web.as_ref().and_then(|web| web.acceptor());
        let Some(tls) = tls else {
            let http2 = web.as_ref().is_none_or(|web| web.http2());
            return self.http(stream, http2, stopped).await;
        };
        // The first byte of TLS is that of a handshake record.
        let mut first = [0];
        if matches!(stream.peek(&mut first).await, Ok(1)) && first != [22] {
            return refuse_plain(stream).await;
        }
        match tls.accept(stream).await {
            Ok(stream) => self.http(stream, true, stopped).await,
            Err(error) => tracing::debug!("TLS handshake failed: {error}"),
        }
    }

    async fn http<S>(self, stream: S, http2: bool, mut stopped: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .max_buf_size(BUFFER)
            .max_headers(FIELDS)
            .header_read_timeout(None);
        (builder.http2())
            .max_concurrent_streams(STREAMS)
            // Nobody reads what requests bring along.
            .initial_stream_window_size(BUFFER as u32)
            .initial_connection_window_size(BUFFER as u32)
            .max_header_list_size(BUFFER as u32)
            .max_send_buf_size(BUFFER);
        let builder = if http2 { builder } else { builder.http1_only() };
        let io = TokioIo::new(Tracked::new(stream, Arc::clone(&self.activity)));
        let mut connection = pin!(builder.serve_connection(io, self));
        let told_to_stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = told_to_stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!("connection failed: {error}");
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let http2 = request.version() == Version::HTTP_2;
        let answer = self
            .shared
            .connections
            .answer(&self.activity, http2, &self.limits);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            // As it is now, so that a user who was removed is refused on old connections as well.
            let web = shared.settings.read().web.clone();
            let web = web.map(|web| web.current());
            let refusal = match &web {
                Some(web) => web.refuse(&request).await,
                None => None,
            };
            let mut response = match refusal {
                Some(refusal) => refusal,
                None => {
                    shared
                        .router
                        .clone()
                        .oneshot(request.map(Body::new))
                        .await?
                }
            };
            if let Some(web) = &web {
                web.add_headers(response.headers_mut());
            }
            answer.progress();
            Ok(response.map(|body| TrackedBody { body, answer }))
        })
    }
}

/// Tells a client that speaks plain HTTP to a TLS port.
async fn refuse_plain(mut stream: TcpStream) {
    // What was sent has to be read, or else closing takes our answer back. A large rest may do so.
    let mut request = vec![0; BUFFER];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(NOT_TLS.as_bytes()).await;
    let _ = stream.shutdown().await;
    let _ = stream.read(&mut request).await;
}

// === impl TrackedBody ===

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.answer.progress();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
