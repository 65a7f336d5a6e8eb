//! [`WebConfigError`]: the error if a web configuration file cannot be used.

use std::path::{Path, PathBuf};

use crate::basic_auth::BasicAuthError;
use crate::document::PemError;
use crate::headers::HeaderError;
use crate::rate_limit::RateLimitError;
use crate::tls::TlsError;

/// The error if a web configuration file cannot be used. The message names the file and the wrong key, and states how
/// to fix the problem.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", config_file::shown_path(path))]
pub struct WebConfigError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Read(#[from] config_file::ReadError),
    #[error(transparent)]
    Syntax(#[from] config_file::YamlProblem),
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    RateLimit(#[from] RateLimitError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    BasicAuth(#[from] BasicAuthError),
    #[error(
        "the file is empty now, which would disable TLS and authentication; restore its settings, or \
         restart the program to disable them"
    )]
    Emptied,
    #[error(
        "the new content would disable {0}; restore these settings, or restart the program to disable them"
    )]
    Weakened(String),
}

// === impl WebConfigError ===

impl WebConfigError {
    pub(crate) fn new(path: PathBuf, problem: Problem) -> Self {
        Self { path, problem }
    }

    /// Returns the path of the web configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
