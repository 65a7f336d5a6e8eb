//! [`TrackedBody`]: a response body that records its progress.
//!
//! In HTTP/1, each piece of the body that hyper takes is progress. In HTTP/2, hyper takes a piece before the client
//! permits its bytes, and keeps the piece. So the pieces of HTTP/2 also record when hyper sends their bytes, and the end
//! of the body waits until all its bytes are sent. Until then, the server can reset the stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http_body::{Body, Frame, SizeHint};
use hyper::body::{Buf, Bytes};
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use crate::state::ResponseGuard;

pin_project! {
    /// A response body that records its progress. If `body` is `None`, the body is `text`.
    pub(crate) struct TrackedBody<B>
    where
        B: Body,
    {
        #[pin]
        body: Option<B>,
        text: Bytes,
        response: Arc<Sending>,
        is_http2: bool,
        // The last frame of the body (trailers, or `None`), which waits until all pieces are sent.
        last: Option<Last<B>>,
        // Whether the body has returned a piece.
        has_pieces: bool,
    }
}

/// The last frame of a body.
type Last<B> = Option<Frame<Piece<<B as Body>::Data>>>;

/// A piece of a body. It records when its bytes are sent.
pub(crate) struct Piece<D> {
    data: PieceData<D>,
    /// `None` in HTTP/1.
    sending: Option<Arc<Sending>>,
}

enum PieceData<D> {
    Body(D),
    Text(Bytes),
}

/// The state that a body and its pieces share. The response ends when the body and all its pieces are dropped.
struct Sending {
    response: ResponseGuard,
    pieces: Mutex<Pieces>,
}

#[derive(Default)]
struct Pieces {
    /// The number of pieces that are not sent yet.
    unsent: usize,
    /// Wakes the task that waits until all pieces are sent.
    waker: Option<Waker>,
}

// === impl TrackedBody ===

impl<B: Body> TrackedBody<B> {
    pub(crate) fn new(body: B, response: ResponseGuard) -> Self {
        Self::with(Some(body), Bytes::new(), response)
    }

    /// Returns the body of a response that the service does not produce.
    pub(crate) fn text(text: Bytes, response: ResponseGuard) -> Self {
        Self::with(None, text, response)
    }

    fn with(body: Option<B>, text: Bytes, response: ResponseGuard) -> Self {
        let is_http2 = response.is_http2();
        let response = Sending {
            response,
            pieces: Mutex::default(),
        };
        Self {
            body,
            text,
            response: Arc::new(response),
            is_http2,
            last: None,
            has_pieces: false,
        }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = Piece<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.project();
        if this.last.is_none() {
            let next = match this.body.as_pin_mut() {
                Some(body) => std::task::ready!(body.poll_frame(cx)?)
                    .map(|frame| frame.map_data(PieceData::Body)),
                None if this.text.is_empty() => None,
                None => Some(Frame::data(PieceData::Text(std::mem::take(this.text)))),
            };
            this.response.response.record_progress();
            let sending = this.is_http2.then_some(&*this.response);
            let next = next.map(|frame| frame.map_data(|data| Piece::new(data, sending)));
            match next {
                Some(frame) if frame.is_data() || !*this.is_http2 => {
                    *this.has_pieces = true;
                    return Poll::Ready(Some(Ok(frame)));
                }
                last => *this.last = Some(last),
            }
        }
        if !this.response.is_sent(cx) {
            return Poll::Pending;
        }
        Poll::Ready(this.last.take().flatten().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        // In HTTP/2, the end of a body with pieces is the result of `poll_frame`, which waits until they are sent.
        !(self.is_http2 && self.has_pieces)
            && match &self.body {
                Some(body) => body.is_end_stream(),
                None => self.text.is_empty(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(self.text.len() as u64),
        }
    }
}

// === impl Sending ===

impl Sending {
    /// Whether all pieces are sent. If not, wakes the task later.
    fn is_sent(&self, cx: &Context<'_>) -> bool {
        let mut pieces = self.pieces.lock();
        let is_sent = pieces.unsent == 0;
        pieces.waker = (!is_sent).then(|| cx.waker().clone());
        is_sent
    }
}

// === impl Piece ===

impl<D> Piece<D> {
    fn new(data: PieceData<D>, sending: Option<&Arc<Sending>>) -> Self {
        if let Some(sending) = sending {
            let mut pieces = sending.pieces.lock();
            pieces.unsent += 1;
            sending.response.set_unsent(true);
        }
        Self {
            data,
            sending: sending.cloned(),
        }
    }
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        match &self.data {
            PieceData::Body(data) => data.remaining(),
            PieceData::Text(data) => data.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match &self.data {
            PieceData::Body(data) => data.chunk(),
            PieceData::Text(data) => data.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        match &self.data {
            PieceData::Body(data) => data.chunks_vectored(slices),
            PieceData::Text(data) => data.chunks_vectored(slices),
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.data {
            PieceData::Body(data) => data.advance(count),
            PieceData::Text(data) => data.advance(count),
        }
        if count > 0
            && let Some(sending) = &self.sending
        {
            sending.response.record_sent(count);
        }
    }
}

impl<D> Drop for Piece<D> {
    fn drop(&mut self) {
        let Some(sending) = &self.sending else {
            return;
        };
        let mut pieces = sending.pieces.lock();
        pieces.unsent -= 1;
        let waker = if pieces.unsent == 0 {
            sending.response.set_unsent(false);
            pieces.waker.take()
        } else {
            None
        };
        drop(pieces);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
