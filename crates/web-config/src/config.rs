//! [`WebConfig`]: the content of a web configuration file, with its certificates and keys.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use md5::{Digest, Md5};
use tokio::net::TcpStream;

use crate::basic_auth::BasicAuth;
use crate::document::{Document, KEYS, TlsSection};
use crate::error::Problem;
use crate::file_reader::FileReader;
use crate::headers::headers;
use crate::password_checks::PasswordChecks;
use crate::protections::Protections;
use crate::rate_limit::RateLimit;
use crate::stream::WebStream;
use crate::tls::{AcceptError, ServerTls};

/// The content of a web configuration file, with the certificates and keys that the file names.
///
/// The default is the same as an empty file: plain HTTP/1 and HTTP/2 without users, limits and headers.
#[derive(Debug)]
pub struct WebConfig {
    md5: [u8; 16],
    tls: Option<ServerTls>,
    tls_section_is_empty: bool,
    users_are_empty: bool,
    has_rate_limit_section: bool,
    http2: bool,
    headers: HeaderMap,
    users: Option<BasicAuth>,
    rate_limit: Option<RateLimit>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The request exceeds `rate_limit`.
    TooManyRequests,
    /// Too many requests wait until their password is checked.
    TooManyChecks,
    /// The request does not have the name and the password of a user in `basic_auth_users`.
    Unauthorized,
}

// === impl WebConfig ===

impl WebConfig {
    /// Reads a web configuration file, and the certificates and keys that it names.
    ///
    /// `files` reads each file, and records the file's metadata as a stamp. A later comparison with the stamp shows
    /// whether the file has changed.
    pub(crate) fn read(
        path: &Path,
        files: &mut FileReader,
        checks: &Arc<PasswordChecks>,
    ) -> Result<Self, Problem> {
        let content = files.read(path)?;
        let md5 = Md5::digest(&content).into();
        let text = config_file::text(content)?;
        let text = config_file::without_empty_documents(&text);
        // An empty file is valid, and has no settings.
        let document = serde_saphyr::from_str::<Option<Document>>(text);
        let document = document.map_err(|error| config_file::yaml_problem(&error, text, KEYS))?;
        let document = document.unwrap_or_default();
        let http = document.http_server_config;
        let mut tls = document
            .tls_server_config
            .map(TlsSection::without_empty_paths);
        let tls_section_is_empty = tls.take_if(|tls| tls.is_disabled()).is_some();
        let directory = path.parent().unwrap_or(Path::new(""));
        let tls = match tls {
            Some(section) => {
                let pem = section.pem(directory, files)?;
                Some(ServerTls::new(&section, &pem, http.http2)?)
            }
            None => None,
        };
        let rate_limit = document.rate_limit.as_ref();
        let rate_limit = rate_limit
            .map(RateLimit::from_section)
            .transpose()?
            .flatten();
        let headers = headers(&http.headers)?;
        let users_are_empty = document
            .basic_auth_users
            .as_ref()
            .is_some_and(BTreeMap::is_empty);
        let users = document.basic_auth_users.unwrap_or_default();
        let users = (!users.is_empty()).then(|| BasicAuth::new(users, Arc::clone(checks)));
        Ok(Self {
            md5,
            tls,
            tls_section_is_empty,
            users_are_empty,
            has_rate_limit_section: document.rate_limit.is_some(),
            http2: http.http2,
            headers,
            users: users.transpose()?,
            rate_limit,
        })
    }

    /// Returns the MD5 sum of the file. The sum does not include the certificates and keys that the file names.
    ///
    /// People can compare this sum with the sum of a file, to check whether the content of this file is in use. MD5
    /// does not protect against an attacker, who can create another file with the same sum.
    pub fn md5(&self) -> [u8; 16] {
        self.md5
    }

    /// Returns `true` if connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns `true` if clients may use HTTP/2.
    pub fn http2(&self) -> bool {
        self.http2
    }

    /// Returns `true` if requests need a user and a password.
    pub fn requires_password(&self) -> bool {
        self.users.is_some()
    }

    /// Returns the protections of this configuration, such as TLS and passwords.
    pub fn protections(&self) -> Protections {
        let tls = self.tls.as_ref();
        Protections {
            tls: tls.is_some(),
            client_certificates: tls.is_some_and(ServerTls::requires_certificate),
            client_names: tls.is_some_and(ServerTls::requires_name),
            passwords: self.requires_password(),
        }
    }

    /// Returns `true` if both configurations accept the same connections.
    ///
    /// The result is `true` if both have the same settings for TLS, HTTP/2 and client certificates. Their server
    /// certificates may differ.
    pub fn accepts_like(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(own), Some(other)) => own.accepts_like(other),
            _ => false,
        };
        same_tls && self.http2 == other.http2
    }

    /// Returns the headers to add to every response.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Forgets the remembered passwords that are wrong in this configuration (see [`check`](Self::check)). The caller
    /// must call this method as soon as the configuration is in use.
    pub(crate) fn forget_others(&self) {
        if let Some(users) = &self.users {
            users.forget_others();
        }
    }

    /// Returns `true` if the file has a section `tls_server_config` that does not enable TLS.
    pub(crate) fn tls_section_is_empty(&self) -> bool {
        self.tls_section_is_empty
    }

    /// Returns `true` if the file has the key `basic_auth_users`, but no user.
    pub(crate) fn users_are_empty(&self) -> bool {
        self.users_are_empty
    }

    /// Returns `true` if the file has no settings.
    pub(crate) fn is_empty(&self) -> bool {
        self.tls.is_none()
            && !self.tls_section_is_empty
            && self.users.is_none()
            && !self.has_rate_limit_section
            && self.headers.is_empty()
            && self.http2
    }

    /// Performs the TLS handshake if the configuration enables TLS. Otherwise, returns the connection unchanged.
    ///
    /// If a client sends plain HTTP to a TLS port, it receives a response with the status 400. The handshake has no
    /// timeout, so the server must set a timeout.
    ///
    /// # Errors
    ///
    /// Returns an error if the handshake fails, or if the certificate of the client is not allowed.
    pub async fn accept(&self, stream: TcpStream) -> Result<WebStream, AcceptError> {
        match &self.tls {
            Some(tls) => Ok(tls.accept(stream).await?.into()),
            None => Ok(stream.into()),
        }
    }

    /// Checks the rate limit, and the user and the password in the headers of a request.
    ///
    /// Each call counts as one request for the rate limit. The method checks one password at a time, on Tokio's threads
    /// for blocking work. If several requests wait, the method serves the addresses of the clients (`peer`) in turn.
    /// After a correct password, the method stores a keyed hash of the user and the password. It uses this hash until
    /// the user's bcrypt hash in the file changes.
    ///
    /// # Errors
    ///
    /// Returns an error if the server must refuse the request.
    pub async fn check(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Rejection> {
        if self.rate_limit.as_ref().is_some_and(|limit| !limit.take()) {
            return Err(Rejection::TooManyRequests);
        }
        let Some(users) = &self.users else {
            return Ok(());
        };
        match users.allows(peer, headers).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Rejection::Unauthorized),
            Err(_) => Err(Rejection::TooManyChecks),
        }
    }
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            md5: Md5::digest(b"").into(),
            tls: None,
            tls_section_is_empty: false,
            users_are_empty: false,
            has_rate_limit_section: false,
            http2: true,
            headers: HeaderMap::new(),
            users: None,
            rate_limit: None,
        }
    }
}

// === impl Rejection ===

impl Rejection {
    /// Returns the response to a refused request, with a plain text body.
    pub fn into_response<B: From<&'static str>>(self) -> Response<B> {
        let (status, text) = match self {
            Self::TooManyRequests | Self::TooManyChecks => {
                (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized\n"),
        };
        let mut response = Response::new(B::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, content_type);
        match self {
            Self::TooManyRequests => {}
            Self::TooManyChecks => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            }
        }
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyRequests => "the request exceeds the rate limit",
            Self::TooManyChecks => "too many requests wait for a password check",
            Self::Unauthorized => "the user or the password is missing or wrong",
        })
    }
}

impl std::error::Error for Rejection {}
