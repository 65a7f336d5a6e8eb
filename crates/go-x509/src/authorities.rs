//! The certificates that are trusted.

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use x509_cert::der::Encode;

use crate::certificate::Certificate;

/// The certificates that are trusted: authorities, and single certificates of servers or clients.
#[derive(Clone, Debug)]
pub struct Authorities {
    certificates: Vec<Certificate>,
    /// Those that webpki may build chains to.
    roots: RootCertStore,
}

/// No certificate is usable.
#[derive(Debug, thiserror::Error)]
#[error("no certificate can be parsed; at least one must be an X.509 certificate")]
#[non_exhaustive]
pub struct NoAuthority;

// === impl Authorities ===

impl Authorities {
    /// Takes the certificates that can be parsed; returns how many cannot as well. Go ignores them.
    ///
    /// # Errors
    ///
    /// If there are certificates, and none can be parsed.
    pub fn new(all: &[CertificateDer<'_>]) -> Result<(Self, usize), NoAuthority> {
        let mut authorities = Self {
            certificates: Vec::new(),
            roots: RootCertStore::empty(),
        };
        let mut ignored = 0;
        for der in all {
            let certificate = Certificate::parse(der);
            let is_leaf = certificate.as_ref().is_some_and(|own| !own.is_authority());
            // webpki would accept what the key of a leaf signs.
            let is_root = !is_leaf && authorities.roots.add(der.clone().into_owned()).is_ok();
            ignored += usize::from(!is_root && certificate.is_none());
            authorities.certificates.extend(certificate);
        }
        if !all.is_empty() && ignored == all.len() {
            return Err(NoAuthority);
        }
        Ok((authorities, ignored))
    }

    /// The roots of chains; `None` if there are none.
    pub(crate) fn roots(&self) -> Option<RootCertStore> {
        (!self.roots.is_empty()).then(|| self.roots.clone())
    }

    /// The roots of chains without those that are outside of their period, which webpki does not check;
    /// `None` if all are in it.
    pub(crate) fn roots_at(&self, now: UnixTime) -> Option<RootCertStore> {
        let is_current = |own: &&Certificate| own.check_period(now).is_ok();
        if self.signers().all(|own| is_current(&own)) {
            return None;
        }
        let mut roots = RootCertStore::empty();
        for root in self.signers().filter(is_current) {
            // It was added before, so it can be.
            let _ = roots.add(root.der().clone());
        }
        Some(roots)
    }

    /// Why no authority signed a chain: one whose name the chain has is outside of its period, or none
    /// is known.
    pub(crate) fn unknown_issuer(&self, chain: &[&CertificateDer<'_>], now: UnixTime) -> Error {
        let parsed = chain.iter().filter_map(|der| Certificate::parse(der));
        let reasons = parsed.filter_map(|own| {
            let mut issuers = self.signers();
            let issuer = issuers.find(|signer| signer.tbs().subject() == own.tbs().issuer())?;
            issuer.check_period(now).err()
        });
        let reason = reasons.into_iter().next();
        reason.unwrap_or_else(|| CertificateError::UnknownIssuer.into())
    }

    /// The certificate itself, if it is trusted.
    pub(crate) fn find(&self, der: &CertificateDer<'_>) -> Option<&Certificate> {
        self.certificates.iter().find(|own| own.der() == der)
    }

    /// Those that may sign other certificates.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|own| own.is_authority())
    }

    /// The subjects, for clients that choose a certificate by them.
    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        let mut subjects: Vec<_> = self.roots.subjects();
        for certificate in self.certificates.iter().filter(|own| !own.is_authority()) {
            let subject = certificate.tbs().subject().to_der();
            subjects.extend(subject.ok().map(DistinguishedName::from));
        }
        subjects
    }
}
