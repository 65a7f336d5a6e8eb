//! [`WebStream`]: the byte stream of a connection, which is plain or encrypted.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A plain or encrypted connection. The configuration that is in use when the connection begins determines whether the
/// connection is encrypted.
#[derive(Debug)]
pub struct WebStream(Transport);

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl WebStream ===

impl WebStream {
    /// Returns `true` if the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Transport::Tls(_))
    }

    /// Returns `true` if the client has presented a certificate. The handshake has verified the certificate.
    pub fn has_client_certificate(&self) -> bool {
        match &self.0 {
            Transport::Plain(_) => false,
            Transport::Tls(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                certificates.is_some_and(|certificates| !certificates.is_empty())
            }
        }
    }

    fn writer(self: Pin<&mut Self>) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        Pin::new(match &mut self.get_mut().0 {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream,
        })
    }
}

impl From<TcpStream> for WebStream {
    fn from(stream: TcpStream) -> Self {
        Self(Transport::Plain(stream))
    }
}

impl From<TlsStream<TcpStream>> for WebStream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self(Transport::Tls(Box::new(stream)))
    }
}

impl AsyncRead for WebStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WebStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}
