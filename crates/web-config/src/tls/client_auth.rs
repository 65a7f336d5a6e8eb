//! The settings for client certificates, and the verifier that follows these settings.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use go_x509::{Authorities, ClientVerifier, certificates_of_pem};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::ClientCertVerifier;

use crate::document::{Pem, TlsSection};

/// An error in the settings of client certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAuthError {
    #[error(
        "client_auth_type: `{0}` accepts certificates that no authority signed; use \
         RequireAndVerifyClientCert"
    )]
    Unverified(String),
    #[error(
        "client_auth_type: there is no `{0}`; available: NoClientCert, VerifyClientCertIfGiven and \
         RequireAndVerifyClientCert"
    )]
    Unknown(String),
    #[error("client_ca and client_allowed_sans need client_auth_type: RequireAndVerifyClientCert")]
    Disabled,
    #[error("client_auth_type needs the certificate of an authority; add client_ca_file")]
    NoAuthority,
    #[error("{origin}: {problem}")]
    Authority { origin: String, problem: String },
}

/// The value of `client_auth_type` that requires a certificate from each client.
const REQUIRED: &str = "RequireAndVerifyClientCert";

/// Returns `true` if each client needs a certificate.
pub(super) fn requires_certificate(section: &TlsSection) -> bool {
    section.client_auth_type == REQUIRED
}

/// Returns the verifier of client certificates. Returns `None` if client certificates are not verified.
pub(super) fn verifier(
    section: &TlsSection,
    pem: &Pem,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ClientAuthError> {
    let optional = match section.client_auth_type.as_str() {
        // With `RequestClientCert`, Go requests a certificate from the client, but does not verify the certificate.
        // Such a certificate has no effect, so this crate does not request it.
        "" | "NoClientCert" | "RequestClientCert" => None,
        "VerifyClientCertIfGiven" => Some(true),
        REQUIRED => Some(false),
        kind @ ("RequireAnyClientCert" | "RequireClientCert") => {
            return Err(ClientAuthError::Unverified(kind.to_owned()));
        }
        other => return Err(ClientAuthError::Unknown(other.to_owned())),
    };
    let optional = match (optional, &pem.client_ca) {
        (None, None) if section.client_allowed_sans.is_empty() => return Ok(None),
        (None, _) => return Err(ClientAuthError::Disabled),
        (Some(optional), _) => optional,
    };
    let authorities = pem.client_ca.as_ref().ok_or(ClientAuthError::NoAuthority)?;
    let wrong = |problem: &dyn fmt::Display| ClientAuthError::Authority {
        origin: authorities.origin.clone(),
        problem: problem.to_string(),
    };
    let certificates = certificates_of_pem(&authorities.text).map_err(|error| wrong(&error))?;
    if certificates.is_empty() {
        return Err(wrong(
            &"no certificate found; a PEM certificate is required",
        ));
    }
    let (trusted, ignored) = Authorities::new(&certificates).map_err(|error| wrong(&error))?;
    if ignored > 0 {
        let origin = &authorities.origin;
        tracing::warn!(
            "{origin}: certificates that cannot be parsed: {ignored}; they are ignored, so repair or remove them"
        );
    }
    let verifier = ClientVerifier::new(trusted, provider, !optional);
    Ok(Some(Arc::new(verifier)))
}

/// Returns `true` if a certificate contains a name. The name can be a DNS name, an IP address or a URI.
pub(super) fn has_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return false;
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        let address = ServerName::IpAddress(address.into());
        return certificate
            .verify_is_valid_for_subject_name(&address)
            .is_ok();
    }
    certificate.valid_dns_names().any(|dns| dns == name)
        || certificate.valid_uri_names().any(|uri| uri == name)
}
