//! Reads the web configuration file (`--tls-config`) at startup and during a reload of the options. A *protection* is a
//! requirement on clients: TLS, passwords or tokens.

use std::path::Path;

use prometheus_web_config::{
    Protections, ReloadObserver, WebConfig, WebConfigError, WebConfigFile,
};

use crate::telemetry::{Changed, ConfigKind, Telemetry};

/// The reason why a web configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--tls-config {0}")]
pub(crate) struct WebError(#[from] WebConfigError);

/// The protections that a reload would disable.
#[derive(Debug, thiserror::Error)]
#[error(
    "a reload does not disable {0}; restore these settings, or restart the program to disable them"
)]
pub(crate) struct Weakened(String);

/// Updates metrics after each reload of the web configuration file, and logs the reload. The log lines have the log
/// target of this program, so that the flag `-v` applies to these lines.
struct RecordReloads(Telemetry);

/// Opens a web configuration file. The opened file takes over the cached results of password checks from `in_use`, the
/// file that is in use.
///
/// # Errors
///
/// The function fails if the file is invalid. The error names the flag, the file and the invalid key.
pub(crate) fn open(
    path: &Path,
    in_use: Option<&WebConfigFile>,
    telemetry: &Telemetry,
) -> Result<WebConfigFile, WebError> {
    let observer = RecordReloads(telemetry.clone());
    let opened = match in_use {
        Some(in_use) => in_use.reopen(path, observer),
        None => WebConfigFile::open_with_observer(path, observer),
    };
    Ok(opened?)
}

/// Records for the metrics and the landing page that the file `now` is in use instead of the file `before`.
pub(crate) fn record_use(
    before: Option<&WebConfigFile>,
    now: Option<&WebConfigFile>,
    telemetry: &Telemetry,
) {
    let path = now.map(WebConfigFile::path);
    if let Some(old) = before
        .map(WebConfigFile::path)
        .filter(|old| path != Some(old))
    {
        telemetry.config_absent(old, ConfigKind::Web);
    }
    if let Some(now) = now {
        telemetry.web_config_used(now.path(), now.in_use().md5());
    }
}

/// Refuses a reload that would disable a protection, because the options file may be incomplete or wrong.
///
/// The first argument is the state before the reload, and the second argument is the state after the reload. A state is
/// a pair: the web configuration file, and whether the token filter (`--auth-filter`) is enabled.
///
/// # Errors
///
/// The function fails if the reload would disable a protection. The error names the protections.
pub(crate) fn refuse_to_weaken(
    (before, had_filter): (Option<&WebConfigFile>, bool),
    (after, has_filter): (Option<&WebConfigFile>, bool),
) -> Result<(), Weakened> {
    let protections = |file: Option<&WebConfigFile>| match file {
        Some(file) => file.in_use().protections(),
        None => Protections::default(),
    };
    let (before, mut after) = (protections(before), protections(after));
    // A reload may replace passwords by the token filter, or the token filter by passwords.
    after.passwords |= has_filter;
    let mut lost = before.lost_in(after);
    if had_filter && !after.passwords {
        lost.push("tokens (--auth-filter)");
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Weakened(lost.join(", ")))
}

// === impl RecordReloads ===

impl ReloadObserver for RecordReloads {
    fn reloaded(&self, path: &Path, config: &WebConfig) {
        self.0.web_config_used(path, config.md5());
        tracing::info!(
            "--tls-config {}: the changed file is in use",
            config_file::shown_path(path)
        );
    }

    fn reload_failed(&self, error: &WebConfigError) {
        self.0.config_failed(error.path(), ConfigKind::Web);
        tracing::error!("--tls-config {error}; the previous content stays in use");
        let error = format!("--tls-config {error}");
        self.0.refusals.refused(Changed::Web, error);
    }

    fn tls_section_is_empty(&self, path: &Path) {
        tracing::warn!(
            "--tls-config {}: tls_server_config names no certificate, so connections are not \
             encrypted; write cert_file and key_file, or remove tls_server_config",
            config_file::shown_path(path)
        );
    }

    fn users_are_empty(&self, path: &Path) {
        tracing::warn!(
            "--tls-config {}: basic_auth_users has no user, so requests need no password; add a user, or remove \
             basic_auth_users",
            config_file::shown_path(path)
        );
    }

    fn file_is_empty(&self, path: &Path) {
        tracing::warn!(
            "--tls-config {}: the file is empty, so TLS and authentication are disabled; write \
             tls_server_config or basic_auth_users, or remove the flag",
            config_file::shown_path(path)
        );
    }
}
