//! The web configuration file (`--tls-config`).

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_web_config::{ReloadObserver, WebConfig, WebConfigError, WebConfigFile};

/// The file in use. A reload of the options replaces this file.
#[derive(Clone, Debug)]
pub(super) struct CurrentWeb(Arc<RwLock<Option<Arc<WebConfigFile>>>>);

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--tls-config {0}")]
pub(crate) struct WebError(#[from] WebConfigError);

/// Logs reloads with the name of the flag, and with the log target of this program, so that `-v` applies.
struct LogReloads;

/// Opens a file, and keeps the cached passwords of the file in use.
///
/// # Errors
///
/// If the file is invalid. The error names the flag, the file and the invalid key.
pub(crate) fn open(path: &Path, in_use: Option<&WebConfigFile>) -> Result<WebConfigFile, WebError> {
    let opened = match in_use {
        Some(in_use) => in_use.reopen(path, LogReloads),
        None => WebConfigFile::open_with_observer(path, LogReloads),
    };
    Ok(opened?)
}

// === impl CurrentWeb ===

impl CurrentWeb {
    pub(super) fn new(file: Option<Arc<WebConfigFile>>) -> Self {
        Self(Arc::new(RwLock::new(file)))
    }

    pub(super) fn set(&self, file: Option<Arc<WebConfigFile>>) {
        *self.0.write() = file;
    }

    pub(super) fn file(&self) -> Option<Arc<WebConfigFile>> {
        self.0.read().clone()
    }

    /// Returns the current configuration. If there is no file, every request is allowed.
    pub(super) fn config(&self) -> Arc<WebConfig> {
        self.file().map_or_else(Arc::default, |file| file.current())
    }
}

// === impl LogReloads ===

impl ReloadObserver for LogReloads {
    fn reloaded(&self, path: &Path) {
        tracing::info!("--tls-config {}: read again", path.display());
    }

    fn reload_failed(&self, error: &WebConfigError) {
        tracing::error!("--tls-config {error}; the previous content stays in use");
    }

    fn tls_section_is_empty(&self, path: &Path) {
        tracing::warn!(
            "--tls-config {}: tls_server_config names no certificate, so connections are not \
             encrypted",
            path.display()
        );
    }

    fn file_is_empty(&self, path: &Path) {
        tracing::warn!(
            "--tls-config {}: the file is empty, so TLS and authentication are disabled; write \
             tls_server_config or basic_auth_users, or remove the flag",
            path.display()
        );
    }
}
