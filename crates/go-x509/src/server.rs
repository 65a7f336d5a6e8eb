//! Checks the certificates of servers, for use in a client.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::Authorities;
use crate::certificate::{Certificate, Purpose};
use crate::rejection::{Rejection, certificate_error};
use crate::signature::{Protocol, verify};

/// A verifier for clients. This verifier accepts the same servers as a client in Go.
#[derive(Debug)]
pub struct ServerVerifier {
    authorities: Authorities,
    algorithms: WebPkiSupportedAlgorithms,
    origin: String,
}

/// A verifier that wraps another verifier, and explains why a server is refused. The wrapped verifier may, for example,
/// trust the authorities of the system. Both verifiers accept the same servers.
#[derive(Debug)]
pub struct ExplainedVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    origin: String,
}

/// A verifier that does not check certificates, like Go's `InsecureSkipVerify`. It checks only that the server has the
/// key of its certificate.
#[derive(Debug)]
pub struct UncheckedServer(WebPkiSupportedAlgorithms);

// === impl ServerVerifier ===

impl ServerVerifier {
    /// Creates a verifier that accepts servers whose certificate is signed by one of these authorities, or is itself
    /// trusted. `origin` names the authorities in error messages, for example by the path of their file.
    #[must_use]
    pub fn new(
        authorities: Authorities,
        provider: &CryptoProvider,
        origin: impl Into<String>,
    ) -> Self {
        Self {
            authorities,
            algorithms: provider.signature_verification_algorithms,
            origin: origin.into(),
        }
    }

    fn check(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (purpose, algorithms) = (Purpose::Server, self.algorithms.all);
        let authorities = &self.authorities;
        let checked = match authorities.find(der) {
            Some(certificate) => certificate.check(purpose, now),
            None => authorities.verify_chain(der, intermediates, purpose, now, algorithms),
        };
        checked.map_err(certificate_error)?;
        // The check of the name also refuses version 1 certificates, because they have no subject alternative names.
        verify_server_name(&ParsedCertificate::try_from(der)?, name)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.check(der, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                let certificate = Certificate::parse(der);
                Err(Rejection::of_server(error, certificate, name, &self.origin))
            }
        }
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
    /// Wraps the verifier `inner`. In error messages, `origin` names the authorities that `inner` trusts.
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
    /// Creates a verifier that checks only whether the server has the key of its certificate.
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
