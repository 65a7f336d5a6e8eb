//! A byte stream that records the progress of a connection: each read and each write.
//!
//! The deadlines of the connection follow from this progress (see [`ConnectionState`]).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::close_reason::CloseReason;
use crate::frame_budget::FrameBudget;
use crate::state::ConnectionState;

pin_project! {
    /// A stream that records its reads and writes in the state of the connection.
    pub(crate) struct TrackedStream<S> {
        #[pin]
        stream: S,
        connection: Arc<ConnectionState>,
        // The limit on the control frames that the client may send in HTTP/2. `None` if the client cannot speak HTTP/2.
        frames: Option<FrameBudget>,
        // Bytes from the client that hyper has not received yet, because they come after a header block. They are always
        // in one slice, because the queue is filled only while it is empty.
        held: VecDeque<u8>,
        // Whether the last bytes that hyper received end a header block.
        is_after_header_block: bool,
    }
}

// === impl TrackedStream ===

impl<S> TrackedStream<S> {
    pub(crate) fn new(stream: S, connection: Arc<ConnectionState>, http2: bool) -> Self {
        Self {
            stream,
            connection,
            frames: http2.then(FrameBudget::new),
            held: VecDeque::new(),
            is_after_header_block: false,
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
            connection.record_write(*count);
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
    /// Reads at most up to the end of the next header block of HTTP/2. After each header block, the task of the
    /// connection pauses once.
    ///
    /// hyper may need 0.1 ms and 100 KB of memory to decode a header block. Without the pauses, one connection could
    /// occupy a thread with many header blocks, and many requests could need this memory at the same time.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if mem::take(this.is_after_header_block) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.held.is_empty() {
            let read = this.stream.poll_read(cx, buf);
            if buf.filled().len() == before {
                if read.is_pending() {
                    this.connection.record_nothing_to_read();
                }
                return read;
            }
            this.connection.record_read();
        }
        let Some(frames) = this.frames else {
            return Poll::Ready(Ok(()));
        };
        let received = match this.held.as_slices().0 {
            [] => &buf.filled()[before..],
            held => &held[..held.len().min(buf.remaining())],
        };
        let counted = frames.record_received(received, this.connection.responses());
        let Ok(counted) = counted else {
            // `close` wakes the task of the connection, and the task closes the connection. `set_filled` removes the
            // received bytes, so hyper does not get them.
            this.connection.close(CloseReason::FrameFlood);
            buf.set_filled(before);
            return Poll::Pending;
        };
        *this.is_after_header_block = counted.header_block.is_some();
        let bytes = counted.bytes;
        this.connection.record_frames(&counted);
        if this.held.is_empty() {
            this.held.extend(&buf.filled()[before + bytes..]);
            buf.set_filled(before + bytes);
        } else {
            buf.put_slice(&this.held.as_slices().0[..bytes]);
            this.held.drain(..bytes);
            if this.held.is_empty() {
                // An idle connection must not keep the memory.
                *this.held = VecDeque::new();
            }
        }
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::busy::BusyCount;
    use crate::peer::Peer;

    /// Polls the stream once. Returns the bytes, or `None` if the stream pauses.
    fn poll(stream: &mut TrackedStream<&[u8]>, size: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; size];
        let mut buf = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(stream).poll_read(&mut context, &mut buf) {
            Poll::Ready(read) => read.map(|()| Some(buf.filled().to_vec())).unwrap(),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_connection_pauses_after_each_header_block() {
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        first.extend([0, 0, 2, 1, 5, 0, 0, 0, 1, 0x82, 0x84]);
        let second = [0, 0, 1, 1, 5, 0, 0, 0, 3, 0x82];
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let sent = [first.as_slice(), &second, &ping].concat();
        for (http2, size) in [(true, 1_000), (true, 7), (false, 1_000)] {
            let connection = ConnectionState::new(
                0,
                Peer::new(([127, 0, 0, 1], 1).into()),
                Arc::new(BusyCount::new(Arc::new(()))),
            );
            let mut stream = TrackedStream::new(&*sent, Arc::new(connection), http2);
            let mut parts = vec![Vec::new()];
            loop {
                match poll(&mut stream, size) {
                    Some(bytes) if bytes.is_empty() => break,
                    Some(bytes) => parts.last_mut().unwrap().extend(bytes),
                    None => parts.push(Vec::new()),
                }
            }
            let expected: &[&[u8]] = match http2 {
                true => &[&first, &second, &ping],
                false => &[&sent],
            };
            assert_eq!(parts, expected, "HTTP/2: {http2}, reads of {size}");
        }
    }
}
