//! Verifies signatures in TLS handshakes, including signatures with the key of a version 1 certificate.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use webpki::RawPublicKeyEntity;

use crate::certificate::Certificate;

/// The TLS version of a handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Tls12,
    Tls13,
}

/// Checks that a signature in a handshake was made with the key of the certificate `der`.
pub(crate) fn verify(
    protocol: Protocol,
    message: &[u8],
    der: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let old = Certificate::parse(der).filter(|certificate| !certificate.is_version_3());
    let Some(old) = old else {
        return match protocol {
            Protocol::Tls12 => verify_tls12_signature(message, der, signature, algorithms),
            Protocol::Tls13 => verify_tls13_signature(message, der, signature, algorithms),
        };
    };
    let scheme = signature.scheme;
    let mut mapping = algorithms.mapping.iter();
    let candidates = mapping.find(|(own, _)| *own == scheme).map(|(_, all)| *all);
    let candidates = candidates.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let candidates = match protocol {
        Protocol::Tls12 => candidates,
        // In TLS 1.3, each signature scheme belongs to exactly one curve, so only the first algorithm in `candidates`
        // is valid. TLS 1.3 does not allow PKCS #1 signatures.
        Protocol::Tls13 if !scheme_is_of_tls13(scheme) => {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        Protocol::Tls13 => candidates.get(..1).unwrap_or_default(),
    };
    let key = old.public_key().ok_or(CertificateError::BadEncoding)?;
    let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
    let is_right = candidates.iter().any(|candidate| {
        key.verify_signature(*candidate, message, signature.signature())
            .is_ok()
    });
    match is_right {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

fn scheme_is_of_tls13(scheme: rustls::SignatureScheme) -> bool {
    use rustls::SignatureScheme as Scheme;
    matches!(
        scheme,
        Scheme::ECDSA_NISTP256_SHA256
            | Scheme::ECDSA_NISTP384_SHA384
            | Scheme::ECDSA_NISTP521_SHA512
            | Scheme::RSA_PSS_SHA256
            | Scheme::RSA_PSS_SHA384
            | Scheme::RSA_PSS_SHA512
            | Scheme::ED25519
    )
}
