//! TLS as a web configuration file asks for it, by rustls.
//!
//! rustls speaks TLS 1.2 and 1.3 with forward secrecy only, so a file that asks for less gets more,
//! and one that asks for a cipher suite without it is refused.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::file::{Pem, TlsFile};

/// Makes encrypted connections of plain ones.
#[derive(Clone)]
pub(crate) struct Acceptor {
    acceptor: TlsAcceptor,
    /// A client's certificate must have one of these names, where there are any.
    allowed_sans: Arc<[String]>,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(file: &TlsFile, pem: &Pem, http2: bool) -> Result<Self, String> {
        let provider = Arc::new(provider(file)?);
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.cert).collect();
        let certificates = certificates.map_err(|error| format!("cert: {error}"))?;
        if certificates.is_empty() {
            return Err("cert: there is no certificate in it; it must be PEM".into());
        }
        let key = PrivateKeyDer::from_pem_slice(&pem.key);
        let key =
            key.map_err(|error| format!("key: {error}; it must be an unencrypted PEM key"))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions(file)?);
        let builder = builder.map_err(|error| error.to_string())?;
        let builder = match verifier(file, pem, &provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(certificates, key);
        let mut config = config.map_err(|error| format!("cert and key: {error}"))?;
        config.ignore_client_order = file.prefer_server_cipher_suites.unwrap_or(true);
        let protocols: &[&[u8]] = if http2 {
            &[b"h2", b"http/1.1"]
        } else {
            &[b"http/1.1"]
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            allowed_sans: file.client_allowed_sans.clone().into(),
        })
    }

    /// Does the handshake and checks the client.
    ///
    /// # Errors
    ///
    /// Where the handshake fails, or the client's certificate has none of the allowed names.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await?;
        if !self.allowed_sans.is_empty() {
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificate = certificates.first();
            let allowed = certificate.is_some_and(|certificate| {
                self.allowed_sans
                    .iter()
                    .any(|name| has_name(certificate, name))
            });
            if !allowed {
                let problem = "the client's certificate has none of the client_allowed_sans";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
            }
        }
        Ok(stream)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("allowed_sans", &self.allowed_sans)
            .finish_non_exhaustive()
    }
}

/// Whether a certificate is for a DNS name, an address or a URI.
fn has_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return false;
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        let address = ServerName::IpAddress(address.into());
        return certificate
            .verify_is_valid_for_subject_name(&address)
            .is_ok();
    }
    certificate.valid_dns_names().any(|own| own == name)
        || certificate.valid_uri_names().any(|own| own == name)
}

fn verifier(
    file: &TlsFile,
    pem: &Pem,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let optional = match file.client_auth_type.as_str() {
        // A certificate that is asked for and not looked at changes nothing.
        "" | "NoClientCert" | "RequestClientCert" => None,
        "VerifyClientCertIfGiven" => Some(true),
        "RequireAndVerifyClientCert" => Some(false),
        "RequireAnyClientCert" | "RequireClientCert" => {
            return Err(format!(
                "client_auth_type: `{}` takes certificates that nobody signed; use \
                 RequireAndVerifyClientCert",
                file.client_auth_type
            ));
        }
        other => {
            return Err(format!(
                "client_auth_type: there is no `{other}`; there are NoClientCert, \
                 VerifyClientCertIfGiven and RequireAndVerifyClientCert"
            ));
        }
    };
    let optional = match (optional, &pem.client_ca) {
        (None, None) if file.client_allowed_sans.is_empty() => return Ok(None),
        (None, _) => {
            return Err("client_ca and client_allowed_sans need client_auth_type: \
                 RequireAndVerifyClientCert"
                .into());
        }
        (Some(optional), _) => optional,
    };
    let ca = pem.client_ca.as_ref();
    let ca = ca.ok_or("client_auth_type needs a certificate to verify with; add client_ca_file")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| format!("client_ca: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("client_ca: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let verifier = if optional {
        verifier.allow_unauthenticated()
    } else {
        verifier
    };
    verifier
        .build()
        .map(Some)
        .map_err(|error| format!("client_ca: {error}"))
}

fn versions(file: &TlsFile) -> Result<&'static [&'static SupportedProtocolVersion], String> {
    static BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let version = |key: &str, text: &str, default: u8| match text {
        "" => Ok(default),
        "TLS10" => Ok(10),
        "TLS11" => Ok(11),
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        other => Err(format!(
            "{key}: there is no `{other}`; there are TLS12 and TLS13"
        )),
    };
    let min = version("min_version", &file.min_version, 12)?;
    let max = version("max_version", &file.max_version, 13)?;
    match (min, max) {
        (13, 13) => Ok(BOTH.get(..1).unwrap_or_default()),
        (..=12, 13) => Ok(BOTH),
        (..=12, 12) => Ok(BOTH.get(1..).unwrap_or_default()),
        _ => Err("max_version is below min_version, or below TLS12".into()),
    }
}

/// The cryptography with what the file selects of it.
fn provider(file: &TlsFile) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if !file.cipher_suites.is_empty() {
        let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
        let all = provider.cipher_suites;
        // As in Go, those of TLS 1.3 cannot be chosen.
        let mut chosen: Vec<_> = all.iter().copied().filter(is_13).collect();
        for wanted in &file.cipher_suites {
            if wanted.starts_with("TLS_AES_") || wanted.starts_with("TLS_CHACHA20_") {
                continue;
            }
            // Go writes the hash of one of them only sometimes.
            let found = all.iter().find(|suite| {
                let name = name(suite);
                name == *wanted || name.strip_suffix("_SHA256") == Some(wanted)
            });
            chosen.push(*found.ok_or_else(|| {
                let names: Vec<_> = all.iter().filter(|suite| !is_13(suite)).map(name).collect();
                format!(
                    "cipher_suites: there is no `{wanted}`; there are {}",
                    names.join(", ")
                )
            })?);
        }
        provider.cipher_suites = chosen;
    }
    if !file.curve_preferences.is_empty() {
        let all = provider.kx_groups;
        let chosen: Result<Vec<&'static dyn SupportedKxGroup>, String> =
            (file.curve_preferences.iter())
                .map(|wanted| {
                    let group = match wanted.as_str() {
                        "CurveP256" => Some(NamedGroup::secp256r1),
                        "CurveP384" => Some(NamedGroup::secp384r1),
                        "X25519" => Some(NamedGroup::X25519),
                        _ => None,
                    };
                    let found = all.iter().find(|own| Some(own.name()) == group);
                    found.copied().ok_or_else(|| {
                format!(
                    "curve_preferences: there is no `{wanted}`; there are X25519, CurveP256 and \
                         CurveP384"
                )
            })
                })
                .collect();
        provider.kx_groups = chosen?;
    }
    Ok(provider)
}
