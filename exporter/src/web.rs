//! The web configuration file of the Prometheus world (`--tls-config`): TLS, basic authentication,
//! rate limit and headers, for both ports.
//!
//! Format: [exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
//! The file and the certificates are read again when they change; what is wrong then is logged, and
//! what was read last stays.

mod basic_auth;
mod file;
mod rate_limit;
mod tls;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use parking_lot::Mutex;

use basic_auth::BasicAuth;
use rate_limit::RateLimit;
pub(crate) use tls::Acceptor;

/// A web configuration file that is followed as it changes.
pub(crate) struct Web {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

/// What a web configuration file says, ready for use.
#[derive(Debug)]
pub(crate) struct WebConfig {
    tls: Option<Acceptor>,
    http2: bool,
    headers: HeaderMap,
    users: Option<BasicAuth>,
    rate_limit: Option<RateLimit>,
}

/// A web configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--tls-config {}: {problem}", path.display())]
pub(crate) struct WebError {
    path: PathBuf,
    problem: String,
}

struct Loaded {
    config: Arc<WebConfig>,
    stamps: Vec<Stamp>,
}

/// Reads files, and remembers which.
#[derive(Debug, Default)]
struct Files(Vec<Stamp>);

/// A file as it was just before it was read.
#[derive(Debug, PartialEq)]
struct Stamp {
    path: PathBuf,
    seen: Option<Seen>,
}

/// What changes with a file's content.
#[derive(Debug, PartialEq)]
struct Seen {
    modified: SystemTime,
    length: u64,
    /// Another file has the name, though it may be as old and as long.
    #[cfg(unix)]
    inode: u64,
}

// === impl Web ===

impl Web {
    /// Reads a file, and everything it refers to.
    ///
    /// # Errors
    ///
    /// Names the key that is wrong, or the file that cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, WebError> {
        let (config, stamps) = read(path);
        let config = Arc::new(config?);
        Ok(Self {
            path: path.to_owned(),
            loaded: Mutex::new(Loaded { config, stamps }),
        })
    }

    /// What the file says now.
    pub(crate) fn current(&self) -> Arc<WebConfig> {
        let mut loaded = self.loaded.lock();
        if loaded.stamps.iter().any(Stamp::is_old) {
            let (config, stamps) = read(&self.path);
            // Told once for every change, of files that are named since as well.
            loaded.stamps = stamps;
            match config {
                Ok(config) => {
                    loaded.config = Arc::new(config);
                    tracing::info!("--tls-config {}: read again", self.path.display());
                }
                Err(error) => tracing::error!("{error}; what was read before stays in use"),
            }
        }
        Arc::clone(&loaded.config)
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Web").field(&self.path).finish()
    }
}

impl PartialEq for Web {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

// === impl WebConfig ===

impl WebConfig {
    /// What makes connections encrypted, where they are.
    pub(crate) fn acceptor(&self) -> Option<Acceptor> {
        self.tls.clone()
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn http2(&self) -> bool {
        self.http2
    }

    /// Whether requests need a user and a password.
    pub(crate) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// The answer to a request that is one too many, or has no right user and password.
    pub(crate) async fn refuse<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if self.rate_limit.as_ref().is_some_and(|limit| !limit.take()) {
            return Some((StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response());
        }
        let users = self.users.as_ref()?;
        if users.allow(request.headers()).await {
            return None;
        }
        let header = [(WWW_AUTHENTICATE, "Basic")];
        Some((StatusCode::UNAUTHORIZED, header, "Unauthorized\n").into_response())
    }

    /// Adds the configured headers to an answer.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let seen = std::fs::metadata(&path).and_then(|metadata| {
            Ok(Seen {
                modified: metadata.modified()?,
                length: metadata.len(),
                #[cfg(unix)]
                inode: std::os::unix::fs::MetadataExt::ino(&metadata),
            })
        });
        Self {
            path,
            seen: seen.ok(),
        }
    }

    fn is_old(&self) -> bool {
        Self::of(self.path.clone()) != *self
    }
}

/// Reads a file; also returns all files that were looked at, as they were before.
fn read(path: &Path) -> (Result<WebConfig, WebError>, Vec<Stamp>) {
    let mut files = Files::default();
    let config = file::read(path, &mut files).map_err(|problem| WebError {
        path: path.to_owned(),
        problem,
    });
    (config, files.0)
}

// === impl Files ===

impl Files {
    /// The content of a file.
    fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        // First, so that a change while it is read is noticed afterwards.
        self.0.push(Stamp::of(path.to_owned()));
        std::fs::read(path)
    }
}
