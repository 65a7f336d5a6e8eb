//! [`Authorities`]: the trusted certificates of a verifier.
//!
//! A *signer* is an authority: its key may sign other certificates. A *leaf* is the certificate of a single server or
//! client. webpki is the crate with which rustls checks certificates.

use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use x509_cert::der::Encode;

use crate::certificate::Certificate;

/// The trusted certificates: certificates of authorities, and certificates of single servers or clients (leaves).
#[derive(Clone, Debug)]
pub struct Authorities {
    signers: Vec<Certificate>,
    /// The signers in the form that webpki uses, in the order of `signers`.
    anchors: Vec<TrustAnchor<'static>>,
    leaves: Vec<Certificate>,
}

/// The error if none of the given certificates is usable.
#[derive(Debug, thiserror::Error)]
#[error("no certificate can be parsed; at least one must be an X.509 certificate")]
#[non_exhaustive]
pub struct NoAuthority;

// === impl Authorities ===

impl Authorities {
    /// Creates the set of trusted certificates from the certificates in `all` that can be parsed. Also returns the
    /// number of certificates that cannot be parsed.
    ///
    /// The crate does not trust a certificate that it cannot parse, because it cannot check such a certificate. For
    /// example, it cannot see whether the certificate has expired.
    ///
    /// # Errors
    ///
    /// Returns an error if `all` contains certificates, but none of them can be parsed.
    pub fn new(all: &[CertificateDer<'_>]) -> Result<(Self, usize), NoAuthority> {
        let mut authorities = Self {
            signers: Vec::new(),
            anchors: Vec::new(),
            leaves: Vec::new(),
        };
        let added = all.iter().filter_map(|der| authorities.add(der)).count();
        if !all.is_empty() && added == 0 {
            return Err(NoAuthority);
        }
        Ok((authorities, all.len() - added))
    }

    fn add(&mut self, der: &CertificateDer<'_>) -> Option<()> {
        let certificate = Certificate::parse(der)?;
        // A leaf is not given to webpki: webpki would treat the leaf as an authority, and accept certificates that the
        // key of the leaf has signed.
        if certificate.is_authority() {
            let anchor = webpki::anchor_from_trusted_cert(der).ok()?;
            self.anchors.push(anchor.to_owned());
            self.signers.push(certificate);
        } else {
            self.leaves.push(certificate);
        }
        Some(())
    }

    /// Returns the certificate if it is one of the trusted certificates.
    pub(crate) fn find(&self, der: &CertificateDer<'_>) -> Option<&Certificate> {
        let mut all = self.signers.iter().chain(&self.leaves);
        all.find(|own| own.der() == der)
    }

    /// The trusted certificates that may sign other certificates.
    pub(crate) fn signers(&self) -> &[Certificate] {
        &self.signers
    }

    /// The signers in the form that webpki uses, in the order of [`signers`](Self::signers).
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The subjects of the trusted certificates. A server sends these subjects to clients, and each client uses them to
    /// choose a certificate.
    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        let anchors = self.anchors.iter();
        let mut subjects: Vec<_> = anchors
            .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
            .collect();
        for certificate in &self.leaves {
            let subject = certificate.tbs().subject().to_der();
            subjects.extend(subject.ok().map(DistinguishedName::from));
        }
        subjects
    }
}
