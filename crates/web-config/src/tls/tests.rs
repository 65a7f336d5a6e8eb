//! Tests whether clients with certificates can resume their TLS sessions.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::document::Part;

type Authority = CertifiedIssuer<'static, KeyPair>;

const VERIFYING: [&str; 2] = ["RequireAndVerifyClientCert", "VerifyClientCertIfGiven"];
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn authority() -> Authority {
    let mut params = CertificateParams::new(["authority".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns a server with this `client_auth_type`. The authority has signed the certificate of the server.
fn server(authority: &Authority, client_auth_type: &str) -> ServerTls {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let part = |text: String| Part {
        origin: "test".to_owned(),
        text: text.into_bytes(),
    };
    let verifies = !client_auth_type.is_empty();
    let pem = Pem {
        cert: part(certificate.pem()),
        key: part(key.serialize_pem()),
        client_ca: verifies.then(|| part(authority.pem())),
    };
    let section = TlsSection {
        client_auth_type: client_auth_type.to_owned(),
        ..TlsSection::default()
    };
    ServerTls::new(&section, &pem, true).unwrap()
}

/// Returns a client whose certificate expires at `end`. The client resumes its TLS sessions if the server permits this.
fn client(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    end: SystemTime,
) -> TlsConnector {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
    params.not_after = end.into();
    let certificate = params.signed_by(&key, authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

/// Connects the client once. If the server accepts the client, returns the kind of the handshake (full or resumed).
async fn connect(server: &ServerTls, client: &TlsConnector) -> Result<HandshakeKind, AcceptError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = client.clone();
    let connecting = tokio::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        // The server sends the session tickets before its first byte, so after this read, the client has the tickets.
        // If the server refuses the client, this read fails.
        let mut stream = client.connect(name, stream).await?;
        stream.read_u8().await
    });
    let mut stream = server.accept(listener.accept().await.unwrap().0).await?;
    stream.write_u8(1).await.unwrap();
    stream.flush().await.unwrap();
    connecting.await.unwrap().unwrap();
    Ok(stream.get_ref().1.handshake_kind().unwrap())
}

#[tokio::test]
async fn a_certificate_that_has_expired_since_the_last_connection_is_refused() {
    let authority = authority();
    let end = SystemTime::now() + Duration::from_secs(4);
    let mut pairs = Vec::new();
    for kind in VERIFYING {
        for version in VERSIONS {
            let pair = (server(&authority, kind), client(&authority, version, end));
            connect(&pair.0, &pair.1).await.unwrap();
            pairs.push((pair, kind, version));
        }
    }
    let rest = end.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(rest + Duration::from_secs(2)).await;
    for ((server, client), kind, version) in pairs {
        let refused = connect(&server, &client).await;
        let is_refused = matches!(refused, Err(AcceptError::Handshake(_)));
        assert!(is_refused, "{kind} {version:?}: {refused:?}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_unless_certificates_of_clients_are_verified() {
    let authority = authority();
    let end = SystemTime::now() + Duration::from_secs(3600);
    let resumed = [("", HandshakeKind::Resumed)];
    let full = VERIFYING.map(|kind| (kind, HandshakeKind::Full));
    for (kind, expected) in resumed.into_iter().chain(full) {
        for version in VERSIONS {
            let (server, client) = (server(&authority, kind), client(&authority, version, end));
            let first = connect(&server, &client).await.unwrap();
            assert_eq!(first, HandshakeKind::Full, "{kind} {version:?}");
            let second = connect(&server, &client).await.unwrap();
            assert_eq!(second, expected, "{kind} {version:?}");
        }
    }
}
