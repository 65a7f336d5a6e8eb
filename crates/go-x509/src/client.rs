//! The check of a client's certificate, by a server.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::Authorities;
use crate::certificate::{Certificate, Purpose};
use crate::rejection::Rejection;
use crate::signature::{Protocol, verify};

/// Accepts clients that Go accepts.
#[derive(Debug)]
pub struct ClientVerifier {
    authorities: Authorities,
    chains: Option<Arc<dyn ClientCertVerifier>>,
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
    algorithms: WebPkiSupportedAlgorithms,
    is_mandatory: bool,
}

// === impl ClientVerifier ===

impl ClientVerifier {
    /// A client without a certificate is refused if `is_mandatory`.
    ///
    /// # Errors
    ///
    /// If rustls refuses the authorities.
    pub fn new(
        authorities: Authorities,
        provider: &Arc<CryptoProvider>,
        is_mandatory: bool,
    ) -> Result<Self, VerifierBuilderError> {
        let chains = authorities.roots().map(|roots| {
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider)).build()
        });
        Ok(Self {
            chains: chains.transpose()?,
            subjects: authorities.subjects(),
            authorities,
            provider: Arc::clone(provider),
            algorithms: provider.signature_verification_algorithms,
            is_mandatory,
        })
    }

    fn check(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(certificate) = self.authorities.find(der) {
            certificate.check_period(now)?;
            certificate.check_purpose(Purpose::Client)?;
            return Ok(ClientCertVerified::assertion());
        }
        if let Some(old) = Certificate::parse(der).filter(|own| !own.is_version_3()) {
            old.check_period(now)?;
            let mut signers = self.authorities.signers();
            let signer = signers.find(|own| old.is_signed_by(own, self.algorithms.all));
            let signer = signer.ok_or(CertificateError::UnknownIssuer)?;
            signer.check_period(now)?;
            signer.check_purpose(Purpose::Client)?;
            return Ok(ClientCertVerified::assertion());
        }
        let verified = match (self.authorities.roots_at(now), &self.chains) {
            (None, Some(chains)) => chains.verify_client_cert(der, intermediates, now),
            (Some(roots), _) if !roots.is_empty() => {
                let provider = Arc::clone(&self.provider);
                let chains = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let chains = chains
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?;
                chains.verify_client_cert(der, intermediates, now)
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

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(der, intermediates, now)
            .map_err(|error| Rejection::of_client(error, Certificate::parse(der)))
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
