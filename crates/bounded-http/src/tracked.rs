//! A byte stream and a response body that record the progress of a connection: each read, each write, and each piece of
//! a response.
//!
//! The deadlines of the connection follow from this progress (see [`ConnectionState`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::close_reason::CloseReason;
use crate::frame_budget::FrameBudget;
use crate::state::{ConnectionState, ResponseGuard};

pin_project! {
    /// A stream that records its reads and writes in the state of the connection.
    pub(crate) struct TrackedStream<S> {
        #[pin]
        stream: S,
        connection: Arc<ConnectionState>,
        // The limit on the control frames that the client may send in HTTP/2. `None` if the client cannot speak HTTP/2.
        frames: Option<FrameBudget>,
    }
}

pin_project! {
    /// A response body that records progress for each piece of the body. If `body` is `None`, the body is empty.
    pub(crate) struct TrackedBody<B> {
        #[pin]
        body: Option<B>,
        response: ResponseGuard,
    }
}

// === impl TrackedStream ===

impl<S> TrackedStream<S> {
    pub(crate) fn new(stream: S, connection: Arc<ConnectionState>, http2: bool) -> Self {
        Self {
            stream,
            connection,
            frames: http2.then(FrameBudget::new),
        }
    }
}

/// Records the result of an attempt to write.
fn record_write(
    connection: &ConnectionState,
    frames: &mut Option<FrameBudget>,
    written: Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    match &written {
        Poll::Ready(Ok(count)) if *count > 0 => {
            connection.record_write();
            if let Some(frames) = frames {
                frames.record_sent(*count);
            }
        }
        Poll::Ready(_) => {}
        Poll::Pending => connection.set_blocked(true),
    }
    written
}

impl<S: AsyncRead> AsyncRead for TrackedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let read = this.stream.poll_read(cx, buf);
        let received = &buf.filled()[before..];
        if received.is_empty() {
            if read.is_pending() {
                this.connection.record_nothing_to_read();
            }
            return read;
        }
        this.connection.record_read();
        if let Some(frames) = this.frames
            && !frames.record_received(received, this.connection.responses())
        {
            // `close` wakes the task of the connection, and the task closes the connection. `set_filled` removes the
            // received bytes, so hyper does not get them.
            this.connection.close(CloseReason::FrameFlood);
            buf.set_filled(before);
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        record_write(
            this.connection,
            this.frames,
            this.stream.poll_write(cx, buf),
        )
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        record_write(
            this.connection,
            this.frames,
            this.stream.poll_write_vectored(cx, bufs),
        )
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let flushed = this.stream.poll_flush(cx);
        // The TLS layer may have accepted all bytes of the response, but may still have encrypted bytes to send.
        this.connection.set_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}

// === impl TrackedBody ===

impl<B> TrackedBody<B> {
    pub(crate) fn new(body: Option<B>, response: ResponseGuard) -> Self {
        Self { body, response }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = body.poll_frame(cx);
        if frame.is_ready() {
            this.response.record_progress();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
