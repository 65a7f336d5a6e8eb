//! The state that all HTTP handlers share.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::election::Leadership;
use crate::instance::Instance;
use crate::limited_threads::LimitedThreads;
use crate::logging::LogLevel;
use crate::running_scrapes::RunningScrapes;
use crate::server::CurrentProtection;
use crate::shared_work::SharedWork;
use crate::telemetry::Telemetry;

/// The current [`Instance`] (its stores and their source), and the state that remains when a reload replaces the
/// instance.
#[derive(Debug)]
pub(crate) struct AppState {
    instance: RwLock<Arc<Instance>>,
    ports: RwLock<Ports>,
    /// What both HTTP servers require from clients: TLS, passwords and tokens.
    pub(crate) protection: CurrentProtection,
    /// Whether this replica is the leader. `None` without `--ha`; this replica then always serves the metrics of
    /// objects.
    pub(crate) leadership: Option<Leadership>,
    pub(crate) telemetry: Telemetry,
    pub(crate) log_level: LogLevel,
    pub(crate) started: Instant,
    /// The text of the metrics about the exporter.
    pub(crate) own_metrics: SharedWork<Result<Bytes, prometheus::Error>>,
    /// Limits how many landing pages are generated at the same time.
    pub(crate) landing_pages: LimitedThreads,
    /// Limits how many requests have the data of a landing page at the same time. The other requests wait.
    pub(crate) landing_data: Semaphore,
    pub(crate) running_scrapes: RunningScrapes,
}

/// The ports on which the servers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) main: u16,
    pub(crate) telemetry: u16,
}

/// The maximum number of threads that write the metrics about the exporter.
const OWN_METRICS: usize = 4;
/// The maximum number of landing pages that are generated at the same time. The limit prevents these pages from
/// occupying all blocking threads of tokio.
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
            landing_data: Semaphore::new(LANDING_PAGES),
            running_scrapes: RunningScrapes::default(),
        }
    }

    /// The current instance.
    pub(crate) fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.instance.read())
    }

    /// Replaces the instance for later requests, and returns the old instance. Responses in progress still use the old
    /// instance.
    pub(crate) fn replace(&self, instance: Arc<Instance>) -> Arc<Instance> {
        std::mem::replace(&mut *self.instance.write(), instance)
    }

    /// The ports on which the servers listen.
    pub(crate) fn ports(&self) -> Ports {
        *self.ports.read()
    }

    /// Stores the new ports after a reload has changed the ports on which the servers listen.
    pub(crate) fn set_ports(&self, ports: Ports) {
        *self.ports.write() = ports;
    }
}
