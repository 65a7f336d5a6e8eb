//! The check of a server's certificate, by a client.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::Authorities;
use crate::certificate::{Certificate, Purpose};
use crate::rejection::Rejection;
use crate::signature::{Protocol, verify};

/// Accepts servers that Go accepts.
#[derive(Debug)]
pub struct ServerVerifier {
    authorities: Authorities,
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    algorithms: WebPkiSupportedAlgorithms,
    origin: String,
}

/// Accepts the servers that another verifier accepts, such as that of the system's authorities, and
/// says why it refuses others.
#[derive(Debug)]
pub struct ExplainedVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    origin: String,
}

/// Accepts every server that has the key of its certificate, as Go's `InsecureSkipVerify`.
#[derive(Debug)]
pub struct UncheckedServer(WebPkiSupportedAlgorithms);

// === impl ServerVerifier ===

impl ServerVerifier {
    /// `origin` names the file of the authorities in errors.
    ///
    /// # Errors
    ///
    /// If rustls refuses the authorities.
    pub fn new(
        authorities: Authorities,
        provider: &Arc<CryptoProvider>,
        origin: impl Into<String>,
    ) -> Result<Self, VerifierBuilderError> {
        let chains = authorities.roots().map(|roots| {
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider)).build()
        });
        Ok(Self {
            chains: chains.transpose()?,
            authorities,
            algorithms: provider.signature_verification_algorithms,
            provider: Arc::clone(provider),
            origin: origin.into(),
        })
    }

    fn check(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(certificate) = self.authorities.find(der) {
            certificate.check_period(now)?;
            certificate.check_purpose(Purpose::Server)?;
            // It also refuses version 1, which has no names that count.
            verify_server_name(&ParsedCertificate::try_from(der)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verify = |chains: &WebPkiServerVerifier| {
            chains.verify_server_cert(der, intermediates, name, ocsp, now)
        };
        let verified = match (self.authorities.roots_at(now), &self.chains) {
            (None, Some(chains)) => verify(chains),
            (Some(roots), _) if !roots.is_empty() => {
                let provider = Arc::clone(&self.provider);
                let chains = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
                verify(
                    &*chains
                        .build()
                        .map_err(|error| Error::General(error.to_string()))?,
                )
            }
            _ => Err(CertificateError::UnknownIssuer.into()),
        };
        verified.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                let chain: Vec<_> = [der].into_iter().chain(intermediates).collect();
                self.authorities.unknown_issuer(&chain, now)
            }
            error => error,
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(der, intermediates, name, ocsp, now)
            .map_err(|error| {
                Rejection::of_server(error, Certificate::parse(der), name, &self.origin)
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(Protocol::Tls12, message, der, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(Protocol::Tls13, message, der, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

// === impl ExplainedVerifier ===

impl ExplainedVerifier {
    /// `origin` names the authorities in errors.
    pub fn new(inner: Arc<dyn ServerCertVerifier>, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        Self { inner, origin }
    }
}

impl ServerCertVerifier for ExplainedVerifier {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .inner
            .verify_server_cert(der, intermediates, name, ocsp, now);
        verified.map_err(|error| {
            Rejection::of_server(error, Certificate::parse(der), name, &self.origin)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, der, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, der, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

// === impl UncheckedServer ===

impl UncheckedServer {
    /// Checks only that the server has the key of the certificate that it presents.
    #[must_use]
    pub fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for UncheckedServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(Protocol::Tls12, message, der, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(Protocol::Tls13, message, der, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
