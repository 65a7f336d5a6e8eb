//! [`ClientVerifier`]: checks the certificates of clients, for use in a server.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::Authorities;
use crate::certificate::{Certificate, Purpose};
use crate::rejection::{Rejection, certificate_error};
use crate::signature::{Protocol, verify};

/// Maximum number of further certificates that a client may send after its own certificate.
///
/// If several of these certificates have the same name, a verifier tries them in every order. If there were 60 such
/// certificates, the verifier would need seconds of CPU time to refuse a client. A usual chain has at most three
/// further certificates.
const MAX_INTERMEDIATES: usize = 5;

/// A verifier for servers. This verifier accepts the same clients as a server in Go.
#[derive(Debug)]
pub struct ClientVerifier {
    authorities: Authorities,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    is_mandatory: bool,
}

// === impl ClientVerifier ===

impl ClientVerifier {
    /// Creates a verifier that trusts these authorities. It accepts a client's certificate if one of the authorities
    /// has signed it, or if the certificate is itself one of the authorities. If `is_mandatory` is true, the verifier
    /// refuses clients without a certificate.
    #[must_use]
    pub fn new(authorities: Authorities, provider: &CryptoProvider, is_mandatory: bool) -> Self {
        Self {
            subjects: authorities.subjects(),
            authorities,
            algorithms: provider.signature_verification_algorithms,
            is_mandatory,
        }
    }

    fn check(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        let (purpose, algorithms) = (Purpose::Client, self.algorithms.all);
        if let Some(certificate) = self.authorities.find(der) {
            return certificate.check(purpose, now);
        }
        if let Some(old) = Certificate::parse(der).filter(|own| !own.is_version_3()) {
            return self.check_version_1(&old, now);
        }
        let authorities = &self.authorities;
        authorities.verify_chain(der, intermediates, purpose, now, algorithms)
    }

    /// Checks a certificate of X.509 version 1, which webpki cannot parse. A trusted authority must have signed it
    /// directly.
    ///
    /// Several of the trusted authorities can have the same name and key. The function accepts the certificate if the
    /// checks of at least one of these authorities pass. If no authority passes its checks, the function returns the
    /// error of the first one.
    fn check_version_1(&self, old: &Certificate, now: UnixTime) -> Result<(), webpki::Error> {
        old.check_period(now)?;
        let mut problem = None;
        for signer in self.authorities.signers() {
            if !old.is_signed_by(signer, self.algorithms.all) {
                continue;
            }
            match signer.check_root(Purpose::Client, 0, now) {
                Ok(()) => return Ok(()),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        Err(problem.unwrap_or(webpki::Error::UnknownIssuer))
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
        match self.check(der, intermediates, now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                let error = certificate_error(error);
                Err(Rejection::of_client(error, Certificate::parse(der)))
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
