//! The options of both servers: addresses, security and limits.

use std::path::PathBuf;

use super::parse::{DebugAccess, Timeout};
use super::reader::Reader;
use super::table;

/// The options of both servers: addresses, security and limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerOptions {
    pub(crate) main: Address,
    pub(crate) telemetry: Address,
    pub(crate) debug: DebugAccess,
    pub(crate) tls_config: Option<PathBuf>,
    pub(crate) auth_filter: bool,
    pub(crate) auth_limits: AuthLimits,
    pub(crate) limits: Limits,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Limits of the token filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuthLimits {
    /// Maximum time of one review.
    pub(crate) review: Timeout,
    /// If the API server does not answer, a token stays accepted for this time after its last successful review.
    pub(crate) grace: Timeout,
}

/// Limits on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) read_header: Timeout,
    pub(crate) read: Timeout,
    pub(crate) write: Timeout,
    pub(crate) idle: Timeout,
    pub(crate) progress: Timeout,
    pub(crate) connections: usize,
    pub(crate) answers: usize,
}

// === impl ServerOptions ===

impl ServerOptions {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            main: Address {
                host: reader.value(&table::HOST),
                port: reader.value(&table::PORT),
            },
            telemetry: Address {
                host: reader.value(&table::TELEMETRY_HOST),
                port: reader.value(&table::TELEMETRY_PORT),
            },
            debug: reader.value(&table::TELEMETRY_DEBUG),
            tls_config: reader.value(&table::TLS_CONFIG),
            auth_filter: reader.value(&table::AUTH_FILTER),
            auth_limits: AuthLimits {
                review: reader.value(&table::AUTH_FILTER_TIMEOUT),
                grace: reader.value(&table::AUTH_FILTER_GRACE),
            },
            limits: Limits::read(reader),
        }
    }

    /// Records a problem if both servers have the same address.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.main == self.telemetry && self.main.port != 0 {
            let port = self.main.port;
            reader.problems.push(format!(
                "--port and --telemetry-port are both {port}; give one of them another port"
            ));
        }
    }
}

// === impl Limits ===

impl Limits {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            read_header: reader.value(&table::SERVER_READ_HEADER_TIMEOUT),
            read: reader.value(&table::SERVER_READ_TIMEOUT),
            write: reader.value(&table::SERVER_WRITE_TIMEOUT),
            idle: reader.value(&table::SERVER_IDLE_TIMEOUT),
            progress: reader.value(&table::SERVER_PROGRESS_TIMEOUT),
            connections: reader.value(&table::MAX_CONNECTIONS),
            answers: reader.value(&table::MAX_ANSWERS),
        }
    }
}
