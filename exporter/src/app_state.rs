//! The state that all HTTP handlers share.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use crate::auth::AuthFilter;
use crate::instance::Instance;
use crate::logging::LogLevel;
use crate::telemetry::Telemetry;

/// The instance in use, and the state that outlives it.
#[derive(Debug)]
pub(crate) struct AppState {
    instance: RwLock<Arc<Instance>>,
    auth: RwLock<Option<Arc<AuthFilter>>>,
    pub(crate) telemetry: Telemetry,
    pub(crate) log_level: LogLevel,
    pub(crate) started: Instant,
}

// === impl AppState ===

impl AppState {
    pub(crate) fn new(
        instance: Arc<Instance>,
        auth: Option<Arc<AuthFilter>>,
        telemetry: Telemetry,
        log_level: LogLevel,
    ) -> Self {
        Self {
            instance: RwLock::new(instance),
            auth: RwLock::new(auth),
            telemetry,
            log_level,
            started: Instant::now(),
        }
    }

    /// The instance in use.
    pub(crate) fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.instance.read())
    }

    /// Uses another instance for later requests. Responses in progress keep the old one.
    pub(crate) fn replace(&self, instance: Arc<Instance>, auth: Option<Arc<AuthFilter>>) {
        *self.auth.write() = auth;
        *self.instance.write() = instance;
    }

    /// The check of requests; `None` if everyone may read.
    pub(crate) fn auth(&self) -> Option<Arc<AuthFilter>> {
        self.auth.read().clone()
    }
}
