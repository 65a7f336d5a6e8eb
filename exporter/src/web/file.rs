//! The web configuration file as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::basic_auth::BasicAuth;
use super::rate_limit::RateLimit;
use super::tls::Acceptor;
use super::{Files, WebConfig};
use crate::options::parse;

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

/// The headers that may be added, with their values where not every one will do, as in the toolkit.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

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
    let mut tls = file.tls_server_config.map(TlsFile::without_empty_paths);
    if tls.take_if(|tls| tls.is_off()).is_some() {
        let path = path.display();
        tracing::warn!(
            "--tls-config {path}: tls_server_config names no certificate, so that connections are \
             not encrypted"
        );
    }
    let tls = tls.map(|tls| {
        let pem = tls.pem(directory, files)?;
        Acceptor::new(&tls, &pem, file.http_server_config.http2)
    });
    let rate_limit = file.rate_limit.map(|rate| {
        let interval = parse::timeout(&rate.interval);
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
        let wrong = |cure: &str| format!("http_server_config: headers: `{name}: {value}` {cure}");
        let known = HEADERS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, values)) = known else {
            let all: Vec<_> = HEADERS.iter().map(|(name, _)| *name).collect();
            let all = all.join(", ");
            return Err(wrong(&format!("cannot be added; there are {all}")));
        };
        if !values.is_empty() && !values.contains(&value.as_str()) {
            let values = values.join(" or ");
            return Err(wrong(&format!("has another value than {values}")));
        }
        let wrong = || wrong("is not a header");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

// === impl TlsFile ===

impl TlsFile {
    /// An empty name is none.
    fn without_empty_paths(mut self) -> Self {
        for path in [
            &mut self.cert_file,
            &mut self.key_file,
            &mut self.client_ca_file,
        ] {
            path.take_if(|path| path.as_os_str().is_empty());
        }
        self
    }

    /// Whether there is none of what makes connections encrypted, as in the toolkit.
    fn is_off(&self) -> bool {
        let texts = [
            &self.cert,
            &self.key,
            &self.client_ca,
            &self.client_auth_type,
        ];
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        texts.iter().all(|text| text.is_empty()) && files.iter().all(|file| file.is_none())
    }

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
