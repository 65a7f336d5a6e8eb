//! The state that all HTTP handlers share.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::election::Leadership;
use crate::instance::Instance;
use crate::limited_threads::LimitedThreads;
use crate::logging::LogLevel;
use crate::server::CurrentProtection;
use crate::shared_work::SharedWork;
use crate::telemetry::Telemetry;

/// The instance in use, and the state that stays when another instance replaces it.
#[derive(Debug)]
pub(crate) struct AppState {
    instance: RwLock<Arc<Instance>>,
    ports: RwLock<Ports>,
    /// The requirements of both servers on their clients: TLS, passwords and tokens.
    pub(crate) protection: CurrentProtection,
    /// `None` without `--ha`: this replica always serves the metrics of objects.
    pub(crate) leadership: Option<Leadership>,
    pub(crate) telemetry: Telemetry,
    pub(crate) log_level: LogLevel,
    pub(crate) started: Instant,
    /// The text of the metrics about the exporter.
    pub(crate) own_metrics: SharedWork<Result<Bytes, prometheus::Error>>,
    /// Limits the landing pages that are written concurrently.
    pub(crate) landing_pages: LimitedThreads,
}

/// The ports on which the servers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) main: u16,
    pub(crate) telemetry: u16,
}

/// The maximum number of threads that write the metrics about the exporter.
const OWN_METRICS: usize = 4;
/// The maximum number of landing pages that are written concurrently, so that these pages do not occupy all blocking
/// threads.
const LANDING_PAGES: usize = 4;

// === impl AppState ===

impl AppState {
    pub(crate) fn new(
        instance: Arc<Instance>,
        protection: CurrentProtection,
        leadership: Option<Leadership>,
        telemetry: Telemetry,
        log_level: LogLevel,
        ports: Ports,
    ) -> Self {
        Self {
            instance: RwLock::new(instance),
            ports: RwLock::new(ports),
            protection,
            leadership,
            telemetry,
            log_level,
            started: Instant::now(),
            own_metrics: SharedWork::new(OWN_METRICS),
            landing_pages: LimitedThreads::new(LANDING_PAGES),
        }
    }

    /// The instance in use.
    pub(crate) fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.instance.read())
    }

    /// Uses another instance for later requests, and returns the old instance. Responses in progress keep the old
    /// instance.
    pub(crate) fn replace(&self, instance: Arc<Instance>) -> Arc<Instance> {
        std::mem::replace(&mut *self.instance.write(), instance)
    }

    /// The ports on which the servers listen.
    pub(crate) fn ports(&self) -> Ports {
        *self.ports.read()
    }

    /// Records the ports on which the servers listen after a reload.
    pub(crate) fn set_ports(&self, ports: Ports) {
        *self.ports.write() = ports;
    }
}
