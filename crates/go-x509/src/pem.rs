//! [`certificates_of_pem`], and errors about PEM that show no content.
//!
//! The errors of `rustls-pki-types` contain lines of the text. A text without line breaks is one line, so such an error
//! would contain a whole private key.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};

/// The reason why a text is not valid PEM. The message contains nothing from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// A `BEGIN` line is malformed, or the text after it is on the same line.
    #[error("a `-----BEGIN ...-----` is not a separate line; check the line breaks")]
    Begin,
    /// A `BEGIN` line has no `END` line.
    #[error("a `-----BEGIN ...-----` has no line `-----END ...-----`; check the line breaks")]
    End,
    /// The text between the `BEGIN` line and the `END` line is not Base64.
    #[error("the text between `-----BEGIN ...-----` and `-----END ...-----` is not Base64")]
    Base64,
    /// There is no section of the expected type.
    #[error("no items found")]
    NoItems,
    /// Another problem, such as a section that is too large.
    #[error("a section cannot be read")]
    Other,
}

/// Reads the certificates in a text in PEM. The result is empty if the text has no certificate.
///
/// # Errors
///
/// Returns an error if the text is not valid PEM.
pub fn certificates_of_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(text).collect();
    Ok(certificates?)
}

// === impl PemError ===

impl From<Error> for PemError {
    fn from(error: Error) -> Self {
        match error {
            Error::IllegalSectionStart { .. } => Self::Begin,
            Error::MissingSectionEnd { .. } => Self::End,
            Error::Base64Decode(_) => Self::Base64,
            Error::NoItemsFound => Self::NoItems,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;
    use crate::certified_key;

    #[test]
    fn errors_contain_nothing_from_the_text() {
        let made = rcgen::generate_simple_self_signed([String::from("a")]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let provider = aws_lc_rs::default_provider();
        let body = key.lines().nth(1).unwrap();
        let bytes = format!("{:?}", body.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        for text in [
            key.replace('\n', " "),
            key.replace('\n', "\\n"),
            key.replace('\n', ""),
            key.replace("-----END", "----END"),
            key.replace(body, &format!("{body}!")),
            key.replacen("-----BEGIN", "BEGIN", 1),
        ] {
            for error in [
                certified_key(certificate.as_bytes(), text.as_bytes(), &provider).err(),
                certified_key(text.as_bytes(), text.as_bytes(), &provider).err(),
            ] {
                let error = error.unwrap();
                for shown in [format!("{error}"), format!("{error:?}")] {
                    assert!(
                        !shown.contains(&body[..20]) && !shown.contains(bytes),
                        "{shown}"
                    );
                    assert!(shown.len() < 200, "{shown}");
                }
            }
        }
        assert!(certificates_of_pem(key.as_bytes()).unwrap().is_empty());
    }
}
