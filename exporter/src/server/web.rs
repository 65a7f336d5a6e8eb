//! The web configuration file (`--tls-config`) in use.

use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;
use prometheus_web_config::{WebConfig, WebConfigFile};

/// The file in use. A reload of the options replaces this file.
#[derive(Clone, Debug)]
pub(super) struct CurrentWeb(Arc<RwLock<Option<Arc<WebConfigFile>>>>);

/// The configuration without a file. All requests share it, because every new configuration computes an MD5 sum.
static NO_FILE: LazyLock<Arc<WebConfig>> = LazyLock::new(Arc::default);

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

    /// Checks whether the file has changed, and returns the current configuration. If there is no file, every request
    /// is allowed.
    pub(super) async fn latest(self) -> Arc<WebConfig> {
        match self.file() {
            Some(file) => file.latest().await,
            None => Arc::clone(&NO_FILE),
        }
    }
}
