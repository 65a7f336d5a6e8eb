//! [`Certificate`]: a parsed certificate, including the fields that webpki, the crate with which rustls checks
//! certificates, does not expose.
//!
//! A chain leads from the certificate of a server or client (the leaf) over intermediate certificates to a trusted
//! authority (the root).

use rustls::pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use webpki::{
    Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, RawPublicKeyEntity,
    RequiredEkuNotFoundContext,
};
use x509_cert::Version;
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::time::Time;

/// The purpose for which a certificate is used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Server,
    Client,
}

#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    /// Because of the profile `Raw`, serial numbers can have any length, as in Go and webpki.
    parsed: CertificateInner<Raw>,
}

const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The extensions that Go's `crypto/x509` can process. If another extension of a certificate is critical, the crate
/// refuses the certificate.
const CRITICAL: [ObjectIdentifier; 10] = [
    // Key usage, and subject alternative names.
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    // Basic constraints, and name constraints.
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.30"),
    // Distribution points of revocation lists.
    ObjectIdentifier::new_unwrap("2.5.29.31"),
    // Certificate policies, policy mappings, policy constraints, and `inhibitAnyPolicy`.
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.33"),
    ObjectIdentifier::new_unwrap("2.5.29.36"),
    ObjectIdentifier::new_unwrap("2.5.29.54"),
    // Extended key usages.
    ObjectIdentifier::new_unwrap("2.5.29.37"),
];

// === impl Certificate ===

impl Certificate {
    /// Parses a certificate. Returns `None` if the certificate cannot be parsed.
    pub(crate) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        Some(Self {
            parsed: CertificateInner::from_der(der).ok()?,
            der: der.clone().into_owned(),
        })
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(crate) fn tbs(&self) -> &TbsCertificateInner<Raw> {
        self.parsed.tbs_certificate()
    }

    pub(crate) fn is_version_3(&self) -> bool {
        self.tbs().version() == Version::V3
    }

    /// Returns the subject, such as `CN=api`.
    pub(crate) fn subject(&self) -> String {
        match self.tbs().subject().to_string() {
            subject if subject.is_empty() => "without a subject".to_owned(),
            subject => subject,
        }
    }

    pub(crate) fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        let key = self.tbs().subject_public_key_info().to_der().ok()?;
        Some(key.into())
    }

    /// Whether the certificate may sign other certificates. A version 3 certificate states this in an extension.
    /// Certificates of earlier versions have no extensions, so all of them may sign.
    pub(crate) fn is_authority(&self) -> bool {
        let constraints = self.tbs().get_extension::<BasicConstraints>();
        let usage = self.tbs().get_extension::<KeyUsage>();
        let is_ca = match constraints {
            Ok(Some((_, constraints))) => constraints.ca,
            Ok(None) => !self.is_version_3(),
            Err(_) => false,
        };
        is_ca
            && match usage {
                Ok(usage) => usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
                Err(_) => false,
            }
    }

    /// Checks that the certificate may be the root of a chain. `intermediates` is the number of intermediate
    /// certificates in the chain.
    pub(crate) fn check_root(
        &self,
        purpose: Purpose,
        intermediates: usize,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.check(purpose, now)?;
        let constraints = self.tbs().get_extension::<BasicConstraints>();
        let constraints = constraints.map_err(|_| Error::BadDer)?;
        match constraints.and_then(|(_, own)| own.path_len_constraint) {
            Some(longest) if intermediates > usize::from(longest) => {
                Err(Error::PathLenConstraintViolated)
            }
            _ => Ok(()),
        }
    }

    /// Checks the critical extensions, the validity period and the purpose.
    pub(crate) fn check(&self, purpose: Purpose, now: UnixTime) -> Result<(), Error> {
        let mut extensions = self.tbs().extensions().into_iter().flatten();
        if extensions.any(|own| own.critical && !CRITICAL.contains(&own.extn_id)) {
            return Err(Error::UnsupportedCriticalExtension);
        }
        self.check_period(now)?;
        self.check_purpose(purpose)
    }

    pub(crate) fn check_period(&self, time: UnixTime) -> Result<(), Error> {
        let validity = self.tbs().validity();
        let at = |time: &Time| UnixTime::since_unix_epoch(time.to_unix_duration());
        let (not_before, not_after) = (at(&validity.not_before), at(&validity.not_after));
        if time < not_before {
            return Err(Error::CertNotValidYet { time, not_before });
        }
        if time > not_after {
            return Err(Error::CertExpired { time, not_after });
        }
        Ok(())
    }

    /// Checks the extended key usages. A certificate without extended key usages is valid for every purpose.
    fn check_purpose(&self, purpose: Purpose) -> Result<(), Error> {
        match self.tbs().get_extension::<ExtendedKeyUsage>() {
            Ok(None) => Ok(()),
            Ok(Some((_, ExtendedKeyUsage(allowed))))
                if allowed.iter().any(|own| purpose.usages().contains(own)) =>
            {
                Ok(())
            }
            _ => Err(purpose.missing()),
        }
    }

    /// Returns `true` if the key of `authority` signed this certificate.
    pub(crate) fn is_signed_by(
        &self,
        authority: &Self,
        algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    ) -> bool {
        if self.tbs().issuer() != authority.tbs().subject()
            || self.tbs().signature() != self.parsed.signature_algorithm()
        {
            return false;
        }
        let Some(key) = authority.public_key() else {
            return false;
        };
        self.verify(&key, algorithms).is_some()
    }

    /// Returns `Some(())` if `key` made the signature of this certificate.
    fn verify(
        &self,
        key: &SubjectPublicKeyInfoDer<'_>,
        algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    ) -> Option<()> {
        let key = RawPublicKeyEntity::try_from(key).ok()?;
        let message = signed_bytes(&self.der)?;
        let signature = self.parsed.signature().as_bytes()?;
        let algorithm = self.parsed.signature_algorithm().to_der().ok()?;
        let algorithm = AnyRef::from_der(&algorithm).ok()?.value();
        let mut candidates = algorithms.iter();
        candidates.find_map(|candidate| {
            let is_same = candidate.signature_alg_id().as_ref() == algorithm;
            (is_same && key.verify_signature(*candidate, message, signature).is_ok()).then_some(())
        })
    }
}

/// Returns the signed part of a certificate (`TBSCertificate`).
fn signed_bytes(der: &[u8]) -> Option<&[u8]> {
    let content = AnyRef::from_der(der).ok()?.value();
    SliceReader::new(content).ok()?.tlv_bytes().ok()
}

// === impl Purpose ===

impl Purpose {
    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Server => "1.3.6.1.5.5.7.3.1",
            Self::Client => "1.3.6.1.5.5.7.3.2",
        })
    }

    /// Returns the extended key usages that allow the purpose.
    fn usages(self) -> [ObjectIdentifier; 2] {
        [self.oid(), ANY_PURPOSE]
    }

    /// Returns the error about a certificate that does not allow the purpose.
    fn missing(self) -> Error {
        Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required: match self {
                Self::Server => webpki::KeyUsage::server_auth(),
                Self::Client => webpki::KeyUsage::client_auth(),
            },
            present: Vec::new(),
        })
    }
}

/// Replaces webpki's check of extended key usages, which does not accept `anyExtendedKeyUsage`. webpki calls this check
/// for leaves and intermediate certificates.
impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let (allowed, mut is_limited) = (self.usages(), false);
        for usage in usages {
            let usage = usage?;
            if allowed
                .iter()
                .any(|own| usage == KeyPurposeId::new(own.as_bytes()))
            {
                return Ok(());
            }
            is_limited = true;
        }
        match is_limited {
            true => Err(self.missing()),
            false => Ok(()),
        }
    }
}
