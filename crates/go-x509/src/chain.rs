//! Checks a chain of certificates by the rules of webpki (the crate with which rustls checks certificates), and by the
//! rules that only Go has.
//!
//! A chain leads from a certificate over intermediate certificates to a trusted authority, the root.

use std::ptr;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, Error, VerifiedPath};

use crate::Authorities;
use crate::certificate::{Certificate, Purpose};

impl Authorities {
    /// Verifies that a trusted authority signed the certificate `der`, either directly or through intermediate
    /// certificates.
    pub(crate) fn verify_chain(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let leaf = EndEntityCert::try_from(der)?;
        let check = |path: &VerifiedPath<'_>| self.check_path(path, purpose, now);
        let anchors = self.anchors();
        leaf.verify_for_usage(
            algorithms,
            anchors,
            intermediates,
            now,
            purpose,
            None,
            Some(&check),
        )?;
        Ok(())
    }

    /// Checks the rules that webpki does not check. webpki reads only the name, the key and the name constraints of a
    /// root, and accepts every intermediate certificate with `CA:TRUE`.
    fn check_path(
        &self,
        path: &VerifiedPath<'_>,
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut intermediates = 0;
        for intermediate in path.intermediate_certificates() {
            let intermediate = Certificate::parse(&intermediate.der()).ok_or(Error::BadDer)?;
            if !intermediate.is_authority() {
                return Err(Error::EndEntityUsedAsCa);
            }
            intermediates += 1;
        }
        let mut roots = self.anchors().iter().zip(self.signers());
        // Several roots can have the same name and key, and webpki tries each of them. To find the root that webpki
        // used, the search compares the addresses of the roots in memory.
        let root = roots.find(|(anchor, _)| ptr::eq(*anchor, path.anchor()));
        let (_, root) = root.ok_or(Error::UnknownIssuer)?;
        root.check_root(purpose, intermediates, now)
    }
}
