//! The body of an answer: pieces of an exposition, made when the connection has room for them.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::exposition::{Encoded, Encoding, Exposition};

/// The body of an answer of [`StateMetrics::respond`](crate::StateMetrics::respond).
///
/// It renders one piece of about 64 KiB at a time and only when asked for it, so an answer of any
/// size takes the memory of a few pieces, and its first bytes come at once.
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
    turn: Turn,
}

/// When others get a turn: behind the first piece, so that it goes out before time is spent on more.
///
/// After that the runtime's own budget of the connection sees to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Others,
    Rest,
}

enum Content {
    /// Nothing, though the headers are those of an answer with a body.
    HeadersOnly,
    Full(Option<Bytes>),
    Pieces(Box<Encoded>),
}

// === impl Body ===

impl Body {
    pub(super) fn exposition(exposition: Exposition, encoding: Encoding) -> Self {
        Self::of(Content::Pieces(Box::new(exposition.encoded(encoding))))
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
            turn: Turn::First,
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
        if body.turn == Turn::Others {
            body.turn = Turn::Rest;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match &mut body.content {
            Content::HeadersOnly => None,
            Content::Full(bytes) => bytes.take(),
            Content::Pieces(pieces) => {
                if body.turn == Turn::First {
                    body.turn = Turn::Others;
                }
                pieces.next()
            }
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::HeadersOnly | Content::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            // Not zero: a server would announce that as the length of the body of a GET.
            Content::HeadersOnly | Content::Pieces(_) => SizeHint::default(),
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
            Content::Pieces(_) => "Body(exposition)",
        })
    }
}
