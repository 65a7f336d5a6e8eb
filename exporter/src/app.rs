//! What all requests share: the instance in use, and what outlives it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use crate::auth::AuthFilter;
use crate::instance::Instance;
use crate::logging::LogLevel;
use crate::telemetry::Telemetry;

/// The program, as its HTTP handlers see it.
#[derive(Debug)]
pub(crate) struct App {
    instance: RwLock<Arc<Instance>>,
    auth: RwLock<Option<Arc<AuthFilter>>>,
    pub(crate) telemetry: Telemetry,
    pub(crate) log_level: LogLevel,
    pub(crate) started: Instant,
}

// === impl App ===

impl App {
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

    /// Uses another instance from now on; answers on their way keep the old one.
    pub(crate) fn replace(&self, instance: Arc<Instance>, auth: Option<Arc<AuthFilter>>) {
        *self.auth.write() = auth;
        *self.instance.write() = instance;
    }

    /// What requests have to pass, where they have to.
    pub(crate) fn auth(&self) -> Option<Arc<AuthFilter>> {
        self.auth.read().clone()
    }
}
