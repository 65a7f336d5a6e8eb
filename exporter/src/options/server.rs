//! How the answers are served.

use std::path::PathBuf;
use std::time::Duration;

use super::flags::ServerFlags;
use super::parse::{self, Timeout};
use super::reader::Reader;
use crate::config_file::{ConfigFile, Scalar};

/// How the answers are served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerOptions {
    pub(crate) main: Address,
    pub(crate) telemetry: Address,
    pub(crate) tls_config: Option<PathBuf>,
    pub(crate) auth_filter: bool,
    pub(crate) limits: Limits,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// How much of the program a client can take.
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
    /// Reads it from flags and file.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &ServerFlags, file: &ConfigFile) -> Self {
        let text = |flag: &Option<String>, key: &Scalar, default: &str| {
            let given = key.0.as_ref().or(flag.as_ref());
            given.map_or(default, String::as_str).to_owned()
        };
        let main = Address {
            host: text(&flags.host, &file.host, "::"),
            port: reader.value("--port", &flags.port, "port", &file.port, parse::port, 8080),
        };
        let (flag, key) = (&flags.telemetry_port, &file.telemetry_port);
        let telemetry = Address {
            host: text(&flags.telemetry_host, &file.telemetry_host, "::"),
            port: reader.value(
                "--telemetry-port",
                flag,
                "telemetry_port",
                key,
                parse::port,
                8081,
            ),
        };
        let tls_config = text(&flags.tls_config, &file.tls_config, "");
        Self {
            main,
            telemetry,
            tls_config: Some(tls_config)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            auth_filter: reader.value(
                "--auth-filter",
                &flags.auth_filter,
                "auth_filter",
                &file.auth_filter,
                parse::switch,
                false,
            ),
            limits: Limits::read(reader, flags, file),
        }
    }

    /// Notes what does not go together.
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
    fn read(reader: &mut Reader<'_>, flags: &ServerFlags, file: &ConfigFile) -> Self {
        let mut timeout = |flag: &'static str, value, key: &'static str, file, seconds| {
            let default = Some(Duration::from_secs(seconds));
            reader.value(flag, value, key, file, parse::timeout, default)
        };
        Self {
            read_header: timeout(
                "--server-read-header-timeout",
                &flags.server_read_header_timeout,
                "server_read_header_timeout",
                &file.server_read_header_timeout,
                5,
            ),
            read: timeout(
                "--server-read-timeout",
                &flags.server_read_timeout,
                "server_read_timeout",
                &file.server_read_timeout,
                60,
            ),
            write: timeout(
                "--server-write-timeout",
                &flags.server_write_timeout,
                "server_write_timeout",
                &file.server_write_timeout,
                60,
            ),
            idle: timeout(
                "--server-idle-timeout",
                &flags.server_idle_timeout,
                "server_idle_timeout",
                &file.server_idle_timeout,
                300,
            ),
            progress: timeout(
                "--server-progress-timeout",
                &flags.server_progress_timeout,
                "server_progress_timeout",
                &file.server_progress_timeout,
                10,
            ),
            connections: reader.value(
                "--max-connections",
                &flags.max_connections,
                "max_connections",
                &file.max_connections,
                parse::positive,
                1024,
            ),
            answers: reader.value(
                "--max-answers",
                &flags.max_answers,
                "max_answers",
                &file.max_answers,
                parse::positive,
                32,
            ),
        }
    }
}
