//! [`Body`]: the body of a response. It renders each chunk of the exposition when the connection can send this chunk.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::exposition::{Encoded, Encoding, Exposition, Step};

/// The body of a response of [`StateMetrics::respond`](crate::StateMetrics::respond).
///
/// The body renders one chunk of about 64 KiB at a time. Therefore, even a large response needs only the memory of a
/// few chunks, and the first bytes are sent immediately. After each 0.1 ms of rendering, other tasks of the runtime can
/// run.
///
/// ```
/// use http_body_util::BodyExt;
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::service::Body;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let (request, ()) = http::Request::get("/metrics").body(())?.into_parts();
/// let body: Body = metrics.respond(&request).into_body();
/// assert!(body.collect().await?.to_bytes().is_empty(), "nothing was fed");
/// # Ok(())
/// # }
/// ```
pub struct Body {
    content: Content,
    has_begun: bool,
    /// How long the body has rendered since it last let other tasks run.
    rendered: Duration,
}

/// After rendering for this time, the body lets other tasks run. This is necessary because a runtime does not interrupt
/// a task, and a connection polls the body until its send buffer is full. Meanwhile, the requests of other clients
/// would wait.
const TURN: Duration = Duration::from_micros(100);

enum Content {
    /// The response to a `HEAD` request, which has no body.
    HeadersOnly,
    Full(Option<Bytes>),
    Chunks(Box<Encoded>),
}

// === impl Body ===

impl Body {
    pub(super) fn exposition(exposition: Exposition, encoding: Encoding) -> Self {
        Self::of(Content::Chunks(Box::new(exposition.encoded(encoding))))
    }

    pub(super) fn text(text: &'static str) -> Self {
        Self::of(Content::Full(Some(Bytes::from_static(text.as_bytes()))))
    }

    pub(super) fn headers_only() -> Self {
        Self::of(Content::HeadersOnly)
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            has_begun: false,
            rendered: Duration::ZERO,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        let chunks = match &mut body.content {
            Content::HeadersOnly => return Poll::Ready(None),
            Content::Full(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Content::Chunks(chunks) => chunks,
        };
        while body.rendered < TURN {
            let began = Instant::now();
            let step = chunks.step();
            body.rendered += began.elapsed();
            match step {
                Step::Item(chunk) => {
                    if !body.has_begun {
                        body.has_begun = true;
                        // Let other tasks run next, so that the first chunk is sent before the second chunk is
                        // rendered.
                        body.rendered = TURN;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Step::Pause => {}
                Step::End => return Poll::Ready(None),
            }
        }
        body.rendered = Duration::ZERO;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::HeadersOnly | Content::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            // The length of the body is not known. Do not return the exact size 0 for `HEAD`, because a server would
            // then send `content-length: 0`.
            Content::HeadersOnly | Content::Chunks(_) => SizeHint::default(),
            Content::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.content {
            Content::HeadersOnly => "Body(headers only)",
            Content::Full(_) => "Body(text)",
            Content::Chunks(_) => "Body(exposition)",
        })
    }
}
