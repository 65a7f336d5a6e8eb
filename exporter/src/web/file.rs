//! The web configuration file as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::basic_auth::BasicAuth;
use super::rate_limit::RateLimit;
use super::tls::Acceptor;
use super::{Files, WebConfig};
use crate::values;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    tls_server_config: Option<TlsFile>,
    http_server_config: HttpFile,
    basic_auth_users: BTreeMap<String, String>,
    rate_limit: Option<RateFile>,
}

/// The section about TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsFile {
    cert: String,
    key: String,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca: String,
    client_ca_file: Option<PathBuf>,
    pub(super) client_auth_type: String,
    pub(super) client_allowed_sans: Vec<String>,
    pub(super) min_version: String,
    pub(super) max_version: String,
    pub(super) cipher_suites: Vec<String>,
    pub(super) curve_preferences: Vec<String>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

/// Certificates and key as PEM text.
pub(super) struct Pem {
    pub(super) cert: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpFile {
    http2: bool,
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateFile {
    burst: u32,
    interval: String,
}

impl Default for HttpFile {
    fn default() -> Self {
        Self {
            http2: true,
            headers: BTreeMap::new(),
        }
    }
}

/// Reads a file, and everything it refers to, by `files`.
///
/// # Errors
///
/// Names the key that is wrong, or the file that cannot be read.
pub(super) fn read(path: &Path, files: &mut Files) -> Result<WebConfig, String> {
    let text = files.read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|_| "it is not UTF-8")?;
    // An empty file is an empty mapping.
    let file: Option<File> = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    let file = file.unwrap_or_default();
    let directory = path.parent().unwrap_or(Path::new(""));
    let tls = file.tls_server_config;
    let tls = tls.map(|tls| {
        let pem = tls.pem(directory, files)?;
        Acceptor::new(&tls, &pem, file.http_server_config.http2)
    });
    let rate_limit = file.rate_limit.map(|rate| {
        let interval = values::timeout(&rate.interval);
        let interval =
            interval.map_err(|cure| format!("rate_limit: interval: `{}` {cure}", rate.interval));
        let interval = interval?.ok_or("rate_limit: interval must be above 0")?;
        Ok::<_, String>(RateLimit::new(rate.burst, interval))
    });
    let users = file.basic_auth_users;
    Ok(WebConfig {
        tls: tls.transpose()?,
        http2: file.http_server_config.http2,
        headers: headers(&file.http_server_config.headers)?,
        users: (!users.is_empty())
            .then(|| BasicAuth::new(users))
            .transpose()?,
        rate_limit: rate_limit.transpose()?,
    })
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = || format!("http_server_config: headers: `{name}: {value}` is not a header");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

// === impl TlsFile ===

impl TlsFile {
    /// Reads what may stand in the file or in one that it names, relative to `directory`.
    fn pem(&self, directory: &Path, files: &mut Files) -> Result<Pem, String> {
        let mut read = |key: &str, inline: &str, file: Option<&PathBuf>| match (inline, file) {
            ("", None) => Ok(None),
            ("", Some(file)) => {
                let path = directory.join(file);
                let text = files.read(&path);
                text.map(Some)
                    .map_err(|error| format!("{key}_file {}: {error}", path.display()))
            }
            (inline, None) => Ok(Some(inline.as_bytes().to_vec())),
            (_, Some(_)) => Err(format!(
                "there are both {key} and {key}_file; keep one of them"
            )),
        };
        let cert = read("cert", &self.cert, self.cert_file.as_ref())?;
        let key = read("key", &self.key, self.key_file.as_ref())?;
        Ok(Pem {
            cert: cert.ok_or("tls_server_config has no certificate; add cert_file")?,
            key: key.ok_or("tls_server_config has no key; add key_file")?,
            client_ca: read("client_ca", &self.client_ca, self.client_ca_file.as_ref())?,
        })
    }
}
