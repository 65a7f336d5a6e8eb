//! Configures TLS in rustls from the section `tls_server_config`.
//!
//! rustls supports only TLS 1.2 and 1.3, and only cipher suites with forward secrecy. If the web configuration file
//! sets a lower minimum version, the minimum is TLS 1.2. If the file names a cipher suite without forward secrecy, this
//! is an error.

mod client_auth;
mod crypto;

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use go_x509::{IdentityError, certified_key};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::document::{Pem, TlsSection};
use crate::fingerprint::{Fingerprint, FingerprintKey};
use client_auth::ClientAuthError;
use crypto::CryptoError;

/// The response to a plain HTTP request on a TLS port. Servers in Go send the same text.
const NOT_TLS: &str = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
     connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// The first byte that a TLS client sends: the type of a handshake record.
const HANDSHAKE: u8 = 22;
/// Maximum number of bytes that the server reads of a plain HTTP request on a TLS port.
const PLAIN_REQUEST: usize = 16 * 1024;

/// Performs TLS handshakes, and checks the certificates of clients.
#[derive(Clone)]
pub(crate) struct ServerTls {
    acceptor: TlsAcceptor,
    /// The allowed names. If this list is not empty, each client certificate must have at least one of the names.
    allowed_sans: Arc<[String]>,
    requires_certificate: bool,
    /// The hash of all TLS settings except the certificate of the server.
    settings: Fingerprint,
}

/// The reason why the server refuses a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The TLS handshake failed, for example because the client has no certificate.
    #[error("TLS handshake failed: {0}")]
    Handshake(#[from] io::Error),
    /// The client certificate has none of the names in `client_allowed_sans`.
    #[error("TLS handshake failed: the client's certificate has none of the client_allowed_sans")]
    NameNotAllowed,
    /// The client sent plain HTTP to a TLS port. The server responded with the status 400.
    #[error("the client sent plain HTTP to a TLS port")]
    PlainHttp,
}

/// The reason why the section `tls_server_config` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{origin}: {source}")]
    Identity {
        origin: String,
        source: IdentityError,
    },
    #[error(transparent)]
    ClientAuth(#[from] ClientAuthError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Rustls(rustls::Error),
}

// === impl TlsError ===

impl TlsError {
    fn identity(pem: &Pem, source: IdentityError) -> Self {
        let (cert, key) = (&pem.cert.origin, &pem.key.origin);
        let origin = match source {
            IdentityError::Certificate(_) | IdentityError::NoCertificate => cert.clone(),
            IdentityError::Key(_) => key.clone(),
            _ => format!("{cert} and {key}"),
        };
        Self::Identity { origin, source }
    }
}

// === impl ServerTls ===

impl ServerTls {
    pub(crate) fn new(section: &TlsSection, pem: &Pem, http2: bool) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::provider(section)?);
        let pair = certified_key(&pem.cert.text, &pem.key.text, &provider);
        let pair = pair.map_err(|source| TlsError::identity(pem, source))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(crypto::versions(section)?);
        let builder = builder.map_err(TlsError::Rustls)?;
        let verifier = client_auth::verifier(section, pem, &provider)?;
        let verifies_clients = verifier.is_some();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        if verifies_clients {
            // When a client resumes a TLS session, rustls does not verify the certificate of the client again. The
            // certificate may have expired since the first handshake. So this code disables the session cache (TLS 1.2)
            // and the tickets (TLS 1.3), and every connection has a full handshake.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.ignore_client_order = section.prefer_server_cipher_suites.unwrap_or(true);
        let protocols: &[&[u8]] = if http2 {
            &[b"h2", b"http/1.1"]
        } else {
            &[b"http/1.1"]
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            allowed_sans: section.client_allowed_sans.clone().into(),
            requires_certificate: client_auth::requires_certificate(section),
            settings: settings(section, pem),
        })
    }

    /// Returns `true` if `self` and `other` accept the same connections. The comparison ignores the certificate of the
    /// server.
    pub(crate) fn accepts_like(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    /// Returns `true` if each client needs a certificate.
    pub(crate) fn requires_certificate(&self) -> bool {
        self.requires_certificate
    }

    /// Returns `true` if each client needs a certificate with one of the allowed names. A client without a certificate
    /// does not have such a name.
    pub(crate) fn requires_name(&self) -> bool {
        !self.allowed_sans.is_empty()
    }

    /// Performs the handshake, and checks the certificate of the client.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, AcceptError> {
        let mut first = [0];
        if matches!(stream.peek(&mut first).await, Ok(1)) && first != [HANDSHAKE] {
            refuse_plain(stream).await;
            return Err(AcceptError::PlainHttp);
        }
        let stream = self.acceptor.accept(stream).await?;
        if !self.allowed_sans.is_empty() {
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let allowed = certificates.first().is_some_and(|certificate| {
                (self.allowed_sans.iter()).any(|name| client_auth::has_name(certificate, name))
            });
            if !allowed {
                return Err(AcceptError::NameNotAllowed);
            }
        }
        Ok(stream)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("allowed_sans", &self.allowed_sans)
            .finish_non_exhaustive()
    }
}

/// Returns the hash of all settings that decide which connections the server accepts. The certificate of the server is
/// not one of these settings, so a renewed certificate does not change the hash.
fn settings(section: &TlsSection, pem: &Pem) -> Fingerprint {
    static KEY: LazyLock<FingerprintKey> = LazyLock::new(FingerprintKey::default);
    let authorities = pem.client_ca.as_ref().map(|authorities| &authorities.text);
    let clients = (
        authorities,
        &section.client_auth_type,
        &section.client_allowed_sans,
    );
    let protocol = (
        &section.min_version,
        &section.max_version,
        &section.cipher_suites,
        &section.curve_preferences,
    );
    KEY.fingerprint(&(clients, protocol))
}

/// Tells a client that has sent plain HTTP that the port expects TLS.
async fn refuse_plain(mut stream: TcpStream) {
    // The server reads the request before it closes the connection. If unread bytes were left, the operating system
    // would reset the connection, and the client would lose the response. If the request is longer than this buffer,
    // the client may still lose the response.
    let mut request = vec![0; PLAIN_REQUEST];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(NOT_TLS.as_bytes()).await;
    let _ = stream.shutdown().await;
    let _ = stream.read(&mut request).await;
}

#[cfg(test)]
mod tests;
