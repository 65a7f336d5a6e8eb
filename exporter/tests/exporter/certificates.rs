//! Certificates made for a test, and a client that uses them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, string::Ia5String,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::support::{Answer, PATIENCE};

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate as PEM.
    pub pem: String,
}

/// A certificate and its key as PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// A client that trusts one authority.
pub struct Client {
    pub config: ClientConfig,
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

// === impl Authority ===

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for DNS names, addresses and URIs.
    pub fn issue(&self, names: &[&str]) -> Pair {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        for uri in uris {
            let uri = SanType::URI(Ia5String::try_from(uri).unwrap());
            params.subject_alt_names.push(uri);
        }
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// The certificate of an exporter on the loopback.
    pub fn server(&self) -> Pair {
        self.issue(&["localhost", "127.0.0.1"])
    }
}

// === impl Client ===

impl Client {
    pub fn new(trusts: &Authority) -> Self {
        Self::with(trusts, None, rustls::ALL_VERSIONS)
    }

    pub fn with(
        trusts: &Authority,
        pair: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = trusts.pem.as_bytes();
        roots
            .add(CertificateDer::from_pem_slice(pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        Self { config }
    }

    /// Connects, and does the handshake as far as this side sees it.
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

    /// Asks on a new connection; an error where that is refused.
    pub fn get(&self, address: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        ask(&mut self.connect(address)?, path, headers)
    }
}

/// Asks on a connection, which stays open where `headers` do not close it.
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
