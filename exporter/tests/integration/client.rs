//! A TLS client that sends requests to the exporter.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use go_x509::UncheckedServer;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::authority::{Authority, Identity};
use super::support::{Answer, PATIENCE};

/// A TLS client that trusts one certificate authority.
pub struct Client {
    pub config: ClientConfig,
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

// === impl Client ===

impl Client {
    pub fn new(trusts: &Authority) -> Self {
        Self::with(trusts, None, rustls::ALL_VERSIONS)
    }

    pub fn with(
        trusts: &Authority,
        pair: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = trusts.pem();
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        Self::verifying(verifier.build().unwrap(), pair, versions)
    }

    /// Creates a client that accepts the certificate of every server.
    pub fn unchecked(
        pair: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Self::verifying(Arc::new(UncheckedServer::new(&provider)), pair, versions)
    }

    fn verifying(
        verifier: Arc<dyn ServerCertVerifier>,
        pair: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate =
                    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                let key = provider.key_provider.load_private_key(key).unwrap();
                // This constructor does not compare the key with the certificate. So it accepts an X.509 version 1
                // certificate, which the usual constructor refuses.
                let pair = CertifiedKey::new(vec![certificate], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
        };
        Self { config }
    }

    /// Connects to an address, and performs the TLS handshake.
    pub fn connect(&self, address: &str) -> io::Result<Stream> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Sends a request on a new connection, and returns the response. Fails if the server refuses the connection.
    pub fn get(&self, address: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        ask(&mut self.connect(address)?, path, headers)
    }
}

/// Sends a request on a connection. The connection stays open if `headers` do not contain `connection: close`.
pub fn ask(
    stream: &mut (impl Read + Write),
    path: &str,
    headers: &[(&str, &str)],
) -> io::Result<Answer> {
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    Answer::read(stream)
}
