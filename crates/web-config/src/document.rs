//! The sections of the web configuration file as serde types.
//!
//! The keys are those of the exporter-toolkit, the Go library that other exporters use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::file_reader::FileReader;

/// The keys of all sections. Error messages may show these keys, and no other text of the file.
pub(crate) const KEYS: &[&str] = &[
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
    "cert",
    "key",
    "cert_file",
    "key_file",
    "client_ca",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
    "http2",
    "headers",
    "burst",
    "interval",
];

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) tls_server_config: Option<TlsSection>,
    pub(crate) http_server_config: HttpSection,
    /// `None` if the file does not have the key. If the key has no value, the map is empty.
    #[serde(deserialize_with = "present")]
    pub(crate) basic_auth_users: Option<BTreeMap<String, Spanned<String>>>,
    pub(crate) rate_limit: Option<RateLimitSection>,
}

/// The section `tls_server_config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsSection {
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) client_ca: String,
    pub(crate) client_ca_file: Option<PathBuf>,
    pub(crate) client_auth_type: String,
    pub(crate) client_allowed_sans: Vec<String>,
    pub(crate) min_version: String,
    pub(crate) max_version: String,
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) curve_preferences: Vec<String>,
    pub(crate) prefer_server_cipher_suites: Option<bool>,
}

/// The section `http_server_config`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpSection {
    pub(crate) http2: bool,
    pub(crate) headers: BTreeMap<String, String>,
}

/// The section `rate_limit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitSection {
    pub(crate) burst: u32,
    pub(crate) interval: String,
}

/// The certificate and the key of the server, and the authorities of client certificates, as PEM text.
pub(crate) struct Pem {
    pub(crate) cert: Part,
    pub(crate) key: Part,
    pub(crate) client_ca: Option<Part>,
}

/// A PEM text and its origin. The origin is the setting that contains the text, or the file that contains it. Errors
/// name the origin.
pub(crate) struct Part {
    pub(crate) origin: String,
    pub(crate) text: Vec<u8>,
}

/// The error if a certificate or a key cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    #[error("{key}_file {}: {source}", config_file::shown_path(path))]
    Read {
        key: &'static str,
        path: PathBuf,
        source: config_file::ReadError,
    },
    #[error("there are both {0} and {0}_file; keep one of them")]
    Ambiguous(&'static str),
    #[error("tls_server_config has no certificate; add cert_file")]
    NoCertificate,
    #[error("tls_server_config has no key; add key_file")]
    NoKey,
}

/// Deserializes the value of a key that exists.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

// === impl HttpSection ===

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            http2: true,
            headers: BTreeMap::new(),
        }
    }
}

// === impl TlsSection ===

impl TlsSection {
    /// Removes empty paths, because the exporter-toolkit treats them as absent.
    pub(crate) fn without_empty_paths(mut self) -> Self {
        for path in [
            &mut self.cert_file,
            &mut self.key_file,
            &mut self.client_ca_file,
        ] {
            path.take_if(|path| path.as_os_str().is_empty());
        }
        self
    }

    /// Returns `true` if the section has none of the keys that enable TLS in the exporter-toolkit, and no
    /// `client_allowed_sans`. The toolkit ignores `client_allowed_sans` without a certificate. Then every client may
    /// connect, although the file names the allowed clients.
    pub(crate) fn is_disabled(&self) -> bool {
        let texts = [
            &self.cert,
            &self.key,
            &self.client_ca,
            &self.client_auth_type,
        ];
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        texts.iter().all(|text| text.is_empty())
            && files.iter().all(|file| file.is_none())
            && self.client_allowed_sans.is_empty()
    }

    /// Reads the certificates and the key. Each of them is in the section, or in a file that the section names.
    /// Relative paths of these files begin at `directory`.
    pub(crate) fn pem(&self, directory: &Path, files: &mut FileReader) -> Result<Pem, PemError> {
        let mut read = |key, inline: &str, file: Option<&PathBuf>| match (inline, file) {
            ("", None) => Ok(None),
            ("", Some(file)) => {
                let path = directory.join(file);
                match files.read(&path) {
                    Ok(text) => Ok(Some(Part {
                        origin: format!("{key}_file {}", config_file::shown_path(&path)),
                        text,
                    })),
                    Err(source) => Err(PemError::Read { key, path, source }),
                }
            }
            (inline, None) => Ok(Some(Part {
                origin: key.to_owned(),
                text: inline.as_bytes().to_vec(),
            })),
            (_, Some(_)) => Err(PemError::Ambiguous(key)),
        };
        let cert = read("cert", &self.cert, self.cert_file.as_ref())?;
        let key = read("key", &self.key, self.key_file.as_ref())?;
        Ok(Pem {
            cert: cert.ok_or(PemError::NoCertificate)?,
            key: key.ok_or(PemError::NoKey)?,
            client_ca: read("client_ca", &self.client_ca, self.client_ca_file.as_ref())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_place_of_its_path_is_not_shown() {
        let secret = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
        for name in ["cert_file", "key_file", "client_ca_file"] {
            let section = TlsSection {
                cert: "c".to_owned(),
                key: "k".to_owned(),
                ..TlsSection::default()
            };
            let (file, mut section) = (Some(PathBuf::from(secret)), section);
            match name {
                "cert_file" => (section.cert, section.cert_file) = (String::new(), file),
                "key_file" => (section.key, section.key_file) = (String::new(), file),
                _ => section.client_ca_file = file,
            }
            let pem = section.pem(Path::new("/etc"), &mut FileReader::default());
            let error = pem.err().unwrap().to_string();
            assert!(error.starts_with(&format!("{name} (hidden, ")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
