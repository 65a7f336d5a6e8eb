//! A limit on the informational responses (1xx) before the response to a request.
//!
//! hyper skips each informational response, and reads the next response in the same poll. If a server sends
//! informational responses without end, the request never ends, and one poll occupies a worker thread for seconds. This
//! limit makes such a request fail, and keeps each poll short.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// Maximum number of bytes of informational responses before the final response. Most servers send no informational
/// responses. Some servers send informational responses of a few hundred bytes.
const LIMIT: usize = 64 << 10;
/// Maximum number of bytes that one call of `poll_read` reads before the final response has begun.
const STEP: usize = 4 << 10;
/// The length of the start of a response, such as `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// A connection that fails after too many bytes of informational responses.
#[derive(Debug)]
pub(super) struct InformationalLimit<S> {
    stream: S,
    heads: Heads,
}

/// Finds the end of the informational responses in the bytes of a connection.
#[derive(Debug, Default)]
struct Heads {
    place: Place,
    /// Bytes of informational responses since the last request.
    skipped: usize,
}

#[derive(Debug)]
enum Place {
    /// The next byte belongs to the first bytes of a response. The fields are the bytes that have arrived, and their
    /// number.
    Status([u8; STATUS_END], usize),
    /// The next byte belongs to an informational response, which ends with an empty line.
    Informational { is_line_empty: bool },
    /// The next byte belongs to the final response. The limit does not apply to this response.
    Response,
}

/// The error if informational responses exceed the limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "the API server, or a proxy, sent {} KiB of informational responses (1xx) and no response",
    LIMIT >> 10
)]
struct TooManyInformational;

// === impl Heads ===

impl Heads {
    /// Records that a request is sent, so that the next bytes begin a response.
    fn expect(&mut self) {
        if matches!(self.place, Place::Response) {
            *self = Self::default();
        }
    }

    fn is_in_response(&self) -> bool {
        matches!(self.place, Place::Response)
    }

    /// Processes bytes that the connection has received.
    ///
    /// # Errors
    ///
    /// The function fails if informational responses exceed the limit.
    fn read(&mut self, bytes: &[u8]) -> Result<(), TooManyInformational> {
        for byte in bytes {
            if self.is_in_response() {
                return Ok(());
            }
            self.skipped += 1;
            if self.skipped > LIMIT {
                return Err(TooManyInformational);
            }
            self.step(*byte);
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) {
        match &mut self.place {
            // hyper skips empty lines before a response, so this code skips them, too.
            Place::Status(_, 0) if matches!(byte, b'\r' | b'\n') => {}
            Place::Status(start, length) => {
                start[*length] = byte;
                *length += 1;
                if *length == STATUS_END {
                    self.place = if is_informational(start) {
                        Place::Informational {
                            is_line_empty: false,
                        }
                    } else {
                        Place::Response
                    };
                }
            }
            Place::Informational { is_line_empty } => match byte {
                b'\n' if *is_line_empty => self.place = Place::default(),
                b'\n' => *is_line_empty = true,
                b'\r' => {}
                _ => *is_line_empty = false,
            },
            Place::Response => {}
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Status([0; STATUS_END], 0)
    }
}

/// Whether a response with this start is an informational response that hyper skips. Status 101 is an exception,
/// because it changes the protocol of the connection.
fn is_informational(start: &[u8; STATUS_END]) -> bool {
    start.starts_with(b"HTTP/1.") && start[9] == b'1' && !start.ends_with(b"101")
}

// === impl InformationalLimit ===

impl<S> InformationalLimit<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            heads: Heads::default(),
        }
    }
}

impl<S: Read + Unpin> Read for InformationalLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.heads.is_in_response() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let mut bytes = [0; STEP];
        let length = buffer.remaining().min(STEP);
        let mut read = ReadBuf::new(&mut bytes[..length]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, read.unfilled()))?;
        let read = read.filled();
        this.heads.read(read).map_err(io::Error::other)?;
        buffer.put_slice(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for InformationalLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.heads.expect();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.heads.expect();
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}

impl<S: Connection> Connection for InformationalLimit<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the [`Heads`] after all bytes have arrived, in pieces of `size` bytes.
    fn after(bytes: &[u8], size: usize) -> Result<Heads, TooManyInformational> {
        let mut heads = Heads::default();
        for piece in bytes.chunks(size) {
            heads.read(piece)?;
        }
        Ok(heads)
    }

    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";

    #[test]
    fn the_response_is_found_behind_informational_ones() {
        let hints = HINTS.repeat(20);
        for (bytes, skipped) in [
            ("HTTP/1.1 200 OK\r\n".to_owned(), 12),
            ("HTTP/1.1 101 Switching Protocols\r\n".to_owned(), 12),
            (format!("{hints}HTTP/1.1 200 OK\r\n"), hints.len() + 12),
            (
                "\r\nHTTP/1.1 100 Continue\n\nHTTP/1.0 404 X\r\n".to_owned(),
                37,
            ),
            ("what is not HTTP".to_owned(), 12),
        ] {
            for size in [1, 7, 10_000] {
                let heads = after(bytes.as_bytes(), size).unwrap();
                assert!(heads.is_in_response(), "{bytes:?}");
                assert_eq!(heads.skipped, skipped, "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_response_of_any_size_and_many_requests_are_accepted() {
        let mut heads = Heads::default();
        for _ in 0..3 {
            for _ in 0..LIMIT / HINTS.len() {
                heads.read(HINTS.as_bytes()).unwrap();
                // The client writes a request in several parts, so `expect` is called several times.
                heads.expect();
            }
            heads.read(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            heads.read(&vec![b'1'; 2 * LIMIT]).unwrap();
            heads.expect();
            assert!(!heads.is_in_response());
        }
    }

    #[test]
    fn endless_informational_responses_are_an_error() {
        let endless_header = format!("HTTP/1.1 102 Processing\r\nx: {}", "y".repeat(LIMIT));
        for bytes in [HINTS.repeat(LIMIT), "\r\n".repeat(LIMIT), endless_header] {
            let error = after(bytes.as_bytes(), STEP).unwrap_err().to_string();
            assert_eq!(
                error,
                "the API server, or a proxy, sent 64 KiB of informational responses (1xx) and no response"
            );
        }
    }
}
