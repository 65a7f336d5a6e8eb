//! Reads the certificate that this process uses, and its key.

use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;
use crate::pem::{PemError, certificates_of_pem};

/// The reason why the process cannot use a certificate and its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The certificate is not PEM.
    #[error("the certificate is not PEM: {0}")]
    Certificate(PemError),
    /// The file has no certificate.
    #[error("no certificate found; a PEM certificate is required")]
    NoCertificate,
    /// The first certificate is not an X.509 certificate.
    #[error(
        "the certificate cannot be parsed; it must be an X.509 certificate in PEM, so write the complete certificate"
    )]
    Unparsable,
    /// The key is not PEM.
    #[error("the key cannot be read: {0}; it must be an unencrypted PEM key")]
    Key(PemError),
    /// The key has a type that cannot be used for signatures in TLS.
    #[error(
        "the key of the certificate {subject} cannot be used: {problem}; it must be RSA of 2048 to \
         8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
    )]
    KeyKind {
        /// The subject of the certificate.
        subject: String,
        /// The problem of the key.
        problem: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the key does not belong to the certificate {subject}; take the key that the certificate was \
         issued for"
    )]
    KeyMismatch {
        /// The subject of the certificate.
        subject: String,
    },
}

/// Reads a chain of certificates, and the key of the first certificate. The function also accepts X.509 version 1
/// certificates.
///
/// # Errors
///
/// Returns an error if the chain or the key is not PEM, if the first certificate cannot be parsed, or if the key cannot sign or belongs to another certificate.
pub fn certified_key(
    chain: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, IdentityError> {
    let chain = certificates_of_pem(chain).map_err(IdentityError::Certificate)?;
    let first = chain.first().ok_or(IdentityError::NoCertificate)?;
    let certificate = Certificate::parse(first).ok_or(IdentityError::Unparsable)?;
    let subject = certificate.subject();
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|error| IdentityError::Key(error.into()))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| IdentityError::KeyKind {
        subject: subject.clone(),
        problem: error.to_string(),
    })?;
    let wanted = certificate.public_key();
    let differs = wanted.zip(key.public_key()).is_some_and(|(a, b)| a != b);
    match differs {
        true => Err(IdentityError::KeyMismatch { subject }),
        false => Ok(CertifiedKey::new(chain, key)),
    }
}
