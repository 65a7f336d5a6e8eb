//! One certificate, as far as webpki does not show it.

use rustls::pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{CertificateError, Error};
use webpki::RawPublicKeyEntity;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::{TbsCertificate, Version};

/// What a certificate is used for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Server,
    Client,
}

/// A certificate that was parsed.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    parsed: x509_cert::Certificate,
}

const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

// === impl Certificate ===

impl Certificate {
    /// `None` if it cannot be parsed; webpki has the last word on such a certificate.
    pub(crate) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        Some(Self {
            parsed: x509_cert::Certificate::from_der(der).ok()?,
            der: der.clone().into_owned(),
        })
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(crate) fn tbs(&self) -> &TbsCertificate {
        self.parsed.tbs_certificate()
    }

    pub(crate) fn is_version_3(&self) -> bool {
        self.tbs().version() == Version::V3
    }

    /// The subject, such as `CN=api`.
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

    /// Whether it may sign other certificates: version 3 must say so, earlier versions cannot.
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

    pub(crate) fn check_period(&self, now: UnixTime) -> Result<(), Error> {
        let validity = self.tbs().validity();
        let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
        if now.as_secs() < seconds(&validity.not_before) {
            return Err(CertificateError::NotValidYet.into());
        }
        if now.as_secs() > seconds(&validity.not_after) {
            return Err(CertificateError::Expired.into());
        }
        Ok(())
    }

    /// A certificate without extended key usages is for every purpose.
    pub(crate) fn check_purpose(&self, purpose: Purpose) -> Result<(), Error> {
        let wanted = purpose.oid();
        match self.tbs().get_extension::<ExtendedKeyUsage>() {
            Ok(None) => Ok(()),
            Ok(Some((_, ExtendedKeyUsage(allowed))))
                if allowed
                    .iter()
                    .any(|own| *own == wanted || *own == ANY_PURPOSE) =>
            {
                Ok(())
            }
            _ => Err(CertificateError::InvalidPurpose.into()),
        }
    }

    /// Whether the key of `authority` signed it.
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

    /// `Some` if the signature is right.
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

/// The part of a certificate that its signature is for, byte by byte.
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
}
