//! Messages for refused certificates.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error, OtherError};

use crate::certificate::Certificate;

/// The reason why a certificate is refused. The text has the subject of the certificate and the broken rule, and states
/// how to fix the problem.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejection(String);

// === impl Rejection ===

impl Rejection {
    /// Finds a `Rejection` among the causes of an error. Returns `None` if no cause is a `Rejection`.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(Error::InvalidCertificate(CertificateError::Other(OtherError(cause)))) =
                error.downcast_ref::<Error>()
            {
                return cause.downcast_ref();
            }
            // `io::Error::source` skips the error inside the `io::Error`, so this code gets the inner error with
            // `get_ref`.
            let content = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = match content {
                Some(content) => Some(content as &(dyn StdError + 'static)),
                None => error.source(),
            };
        }
        None
    }

    pub(crate) fn of_server(
        error: Error,
        certificate: Option<Certificate>,
        name: &ServerName<'_>,
        origin: &str,
    ) -> Error {
        let names_server = |certificate: &Certificate, error: &CertificateError| {
            match error {
            _ if !certificate.is_version_3() => {
                "it is an X.509 version 1 certificate, which has no names; issue one of version 3 with a \
                 subject alternative name"
                    .to_owned()
            }
            CertificateError::UnknownIssuer => format!(
                "no certificate authority in {origin} signed it, and {origin} does not list it; add the certificate of its \
                 authority `{}`",
                certificate.tbs().issuer()
            ),
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "it is for {}, not for {}; use one of its names in the URL or as tls-server-name",
                if presented.is_empty() {
                    "no name".to_owned()
                } else {
                    presented.join(", ")
                },
                name.to_str()
            ),
            error => rule(certificate, error, "serverAuth"),
        }
        };
        Self::explain(error, certificate, names_server)
    }

    pub(crate) fn of_client(error: Error, certificate: Option<Certificate>) -> Error {
        let explain = |certificate: &Certificate, error: &CertificateError| match error {
            CertificateError::UnknownIssuer => format!(
                "no certificate authority of client_ca signed it; add the certificate of its \
                 authority `{}`",
                certificate.tbs().issuer()
            ),
            error => rule(certificate, error, "clientAuth"),
        };
        Self::explain(error, certificate, explain)
    }

    fn explain(
        error: Error,
        certificate: Option<Certificate>,
        rule: impl FnOnce(&Certificate, &CertificateError) -> String,
    ) -> Error {
        let (Error::InvalidCertificate(problem), Some(certificate)) = (&error, certificate) else {
            return error;
        };
        let text = format!("{}: {}", certificate.subject(), rule(&certificate, problem));
        CertificateError::Other(OtherError(Arc::new(Self(text)))).into()
    }
}

/// Converts an error of webpki to an error of rustls. The function of rustls for this conversion is private.
pub(crate) fn certificate_error(error: webpki::Error) -> Error {
    use webpki::Error as Own;
    let error = match error {
        Own::BadDer | Own::BadDerTime | Own::TrailingData(_) => CertificateError::BadEncoding,
        Own::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Own::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Own::InvalidCertValidity => CertificateError::Expired,
        Own::UnknownIssuer => CertificateError::UnknownIssuer,
        Own::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Own::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    };
    error.into()
}

/// Returns the webpki error inside a rustls error. Returns `None` if rustls has a separate variant for this error.
fn unnamed(error: &CertificateError) -> Option<&webpki::Error> {
    match error {
        CertificateError::Other(OtherError(error)) => error.downcast_ref(),
        _ => None,
    }
}

fn rule(certificate: &Certificate, error: &CertificateError, purpose: &str) -> String {
    let validity = certificate.tbs().validity();
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate or its authority has expired (the certificate is valid until {}); renew the \
             expired certificate, or set the clock of this machine",
            validity.not_after
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
            "the certificate or its authority is not valid yet (the certificate is valid from {}); set \
             the clock of this machine",
            validity.not_before
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "the extended key usage of the certificate, or of one of its authorities, does not include {purpose}; \
                 issue that certificate with the usage {purpose}"
            )
        }
        error => match unnamed(error) {
            Some(webpki::Error::PathLenConstraintViolated) => {
                "its chain is longer than the path length of an authority in the chain allows; issue the \
                 certificate with fewer intermediate certificates"
                    .to_owned()
            }
            Some(webpki::Error::EndEntityUsedAsCa) => {
                "one of its authorities must not sign certificates; issue this authority again with CA:TRUE \
                 and the key usage keyCertSign"
                    .to_owned()
            }
            Some(webpki::Error::UnsupportedCriticalExtension) => {
                "the certificate or its authority has a critical extension that is unknown; issue that \
                 certificate without the extension"
                    .to_owned()
            }
            _ => error.to_string(),
        },
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// rustls formats this error with `Debug` in its messages, so `Debug` writes the same text as `Display`.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Rejection {}
