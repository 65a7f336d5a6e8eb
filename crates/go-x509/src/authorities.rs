//! The trusted certificates: authorities, and single certificates of servers or clients.

use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use x509_cert::der::Encode;

use crate::certificate::Certificate;

/// The trusted certificates: authorities, and single certificates of servers or clients.
#[derive(Clone, Debug)]
pub struct Authorities {
    signers: Vec<Certificate>,
    /// Each signer in the form that webpki uses, in the same order.
    anchors: Vec<TrustAnchor<'static>>,
    leaves: Vec<Certificate>,
}

/// The error if no certificate is usable.
#[derive(Debug, thiserror::Error)]
#[error("no certificate can be parsed; at least one must be an X.509 certificate")]
#[non_exhaustive]
pub struct NoAuthority;

// === impl Authorities ===

impl Authorities {
    /// Creates the trusted certificates from those of `all` that can be parsed. Also returns the number of certificates
    /// that cannot be parsed.
    ///
    /// A certificate that cannot be parsed is not trusted, because it cannot be checked. For example, it may have
    /// expired.
    ///
    /// # Errors
    ///
    /// If `all` has certificates, and none of them can be parsed.
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
        // Without this check, webpki would treat a leaf as an authority, and accept certificates that the leaf's key
        // signed.
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

    /// The certificates that may sign other certificates.
    pub(crate) fn signers(&self) -> &[Certificate] {
        &self.signers
    }

    /// The signers in the form that webpki uses, in the same order.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The subjects of the trusted certificates. Clients use the subjects to choose a certificate.
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
