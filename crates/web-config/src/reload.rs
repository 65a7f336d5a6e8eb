//! [`WebConfigFile`]: reads the web configuration file again when the file changes.
//!
//! A *stamp* of a file is its metadata from just before it was read. A *check* compares the stamps of the web
//! configuration file, the certificates and the keys with the current metadata. If one of these files has changed, the
//! check reads all of them again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::WebConfig;
use crate::error::{Problem, WebConfigError};
use crate::file_reader::{FileReader, FileStamp};
use crate::password_checks::PasswordChecks;

/// A web configuration file. The file is read again if it changes, or if a certificate or a key that it names changes.
///
/// ```
/// use prometheus_web_config::WebConfigFile;
///
/// let path = std::env::temp_dir().join(format!("web-{}.yaml", std::process::id()));
/// std::fs::write(&path, "http_server_config: {headers: {X-Frame-Options: deny}}")?;
/// let file = WebConfigFile::open(&path)?;
/// assert_eq!(file.current().headers()["x-frame-options"], "deny");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebConfigFile {
    path: PathBuf,
    in_use: watch::Sender<Arc<WebConfig>>,
    /// The stamps of the files. A thread holds the lock of this mutex while it checks and reads the files.
    stamps: Mutex<Vec<FileStamp>>,
    /// A lock that a thread holds while it checks the files for [`latest`](Self::latest).
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The number of checks that calls of [`latest`](Self::latest) have begun. A call needs no further check if this
    /// number has increased since the start of the call.
    begun: AtomicU64,
    /// Whether the current check takes longer than [`PATIENCE`]. Requests do not wait for such a check.
    is_late: AtomicBool,
    checks: Arc<PasswordChecks>,
    observer: Box<dyn ReloadObserver>,
}

/// Maximum time that a request waits for a check of the files.
const PATIENCE: Duration = Duration::from_secs(1);

/// Receives events about reloads of the file, so that a program can log these events in its own format.
///
/// By default, each method logs its event with `tracing`.
pub trait ReloadObserver: Send + Sync + 'static {
    /// Runs after the file has changed, when its new content is in use. Logs at level info by default.
    fn reloaded(&self, path: &Path, _config: &WebConfig) {
        tracing::info!("{}: reloaded", config_file::shown_path(path));
    }

    /// Runs if the file has changed, but its new content cannot be used. The method runs once for each change. The
    /// program continues to use the previous content. Logs an error by default.
    fn reload_failed(&self, error: &WebConfigError) {
        tracing::error!("{error}; the previous configuration stays in use");
    }

    /// Runs if the section `tls_server_config` exists, but names no certificate, no key and no client authority.
    /// Connections are then not encrypted. Logs a warning by default.
    fn tls_section_is_empty(&self, path: &Path) {
        tracing::warn!(
            "{}: tls_server_config names no certificate, so connections are not encrypted; write \
             cert_file and key_file, or remove tls_server_config",
            config_file::shown_path(path)
        );
    }

    /// Runs if the key `basic_auth_users` exists, but has no user. As in the exporter-toolkit, requests then need no
    /// password. Logs a warning by default.
    fn users_are_empty(&self, path: &Path) {
        tracing::warn!(
            "{}: basic_auth_users has no user, so requests need no password; add a user, or remove basic_auth_users",
            config_file::shown_path(path)
        );
    }

    /// Runs if the file has no settings. Connections are then not encrypted, and every client may send requests. Logs a
    /// warning by default.
    fn file_is_empty(&self, path: &Path) {
        tracing::warn!(
            "{}: the file is empty, so TLS and authentication are disabled; write tls_server_config \
             or basic_auth_users",
            config_file::shown_path(path)
        );
    }
}

/// An observer that has only the default methods, which log the events.
impl ReloadObserver for () {}

// === impl WebConfigFile ===

impl WebConfigFile {
    /// Reads a file, and the certificates and keys that the file names. Relative paths in the file begin at the
    /// directory of the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file, or a file that it names, cannot be read or is not valid.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, WebConfigError> {
        Self::open_with_observer(path, ())
    }

    /// Reads a file in the same way as [`open`](Self::open), and reports later reloads to an observer.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open`](Self::open).
    pub fn open_with_observer(
        path: impl Into<PathBuf>,
        observer: impl ReloadObserver,
    ) -> Result<Self, WebConfigError> {
        let file = Self::load(path.into(), observer, Arc::default())?;
        file.tell_of_emptiness();
        Ok(file)
    }

    /// Reads a file that replaces this file, for example when the program reloads its own configuration.
    ///
    /// The returned value keeps the remembered password of each user who has the same hash in both files.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open`](Self::open). If `path` is the path of this file, the method also compares
    /// the new content with the content in use. It returns an error if the new content is empty, or lacks
    /// [`Protections`](crate::Protections).
    pub fn reopen(
        &self,
        path: impl Into<PathBuf>,
        observer: impl ReloadObserver,
    ) -> Result<Self, WebConfigError> {
        let path = path.into();
        let file = Self::load(path, observer, Arc::clone(&self.checks))?;
        if file.path == self.path {
            not_weakened(&self.in_use(), &file.in_use())
                .map_err(|problem| WebConfigError::new(file.path.clone(), problem))?;
        }
        file.tell_of_emptiness();
        Ok(file)
    }

    /// Reads a file. When the file is in use, the caller must call `tell_of_emptiness`, which informs the observer
    /// about missing settings.
    fn load(
        path: PathBuf,
        observer: impl ReloadObserver,
        checks: Arc<PasswordChecks>,
    ) -> Result<Self, WebConfigError> {
        let (config, stamps) = read(&path, &checks);
        let config = Arc::new(config?);
        Ok(Self {
            path,
            in_use: watch::Sender::new(config),
            stamps: Mutex::new(stamps),
            turn: Arc::default(),
            begun: AtomicU64::new(0),
            is_late: AtomicBool::new(false),
            checks,
            observer: Box::new(observer),
        })
    }

    fn tell_of_emptiness(&self) {
        let config = self.in_use();
        if config.is_empty() && !config.users_are_empty() {
            self.observer.file_is_empty(&self.path);
        }
        tell_of_empty_sections(&config, &self.path, &*self.observer);
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the configuration in use. The method does not check whether the files have changed.
    pub fn in_use(&self) -> Arc<WebConfig> {
        Arc::clone(&self.in_use.borrow())
    }

    /// Waits until the configuration in use no longer accepts the same connections as `accepted` (see
    /// [`WebConfig::accepts_like`]). A server can then close the connections that it accepted with `accepted`.
    ///
    /// The method does not check whether the files have changed. Only [`latest`](Self::latest) and
    /// [`current`](Self::current) do this.
    pub async fn outdates(&self, accepted: &WebConfig) {
        let mut in_use = self.in_use.subscribe();
        // The wait cannot fail, because `self` owns the sender.
        let _ = in_use.wait_for(|now| !now.accepts_like(accepted)).await;
    }

    /// Checks the files on a thread for blocking work, and then returns the configuration in use.
    ///
    /// The method makes the same check as [`current`](Self::current). The check begins after the call, and several
    /// concurrent calls share one check. A check may take longer than a second, for example because a network file
    /// system does not respond. Until such a check ends, the method returns the configuration in use without waiting.
    ///
    /// # Panics
    ///
    /// Panics if the method is called outside a Tokio runtime.
    pub async fn latest(self: Arc<Self>) -> Arc<WebConfig> {
        let arrived = self.begun.load(Ordering::SeqCst);
        if self.is_late.load(Ordering::SeqCst) && self.turn.try_lock().is_err() {
            return self.in_use();
        }
        let file = Arc::clone(&self);
        let checked = async move {
            let turn = Arc::clone(&file.turn).lock_owned().await;
            if file.begun.load(Ordering::SeqCst) > arrived {
                // Another check has begun and ended since this call, so no further check is necessary.
                return;
            }
            // The thread holds the lock until the check ends, even if the future of this call is dropped.
            let check = spawn_blocking(move || {
                file.begun.fetch_add(1, Ordering::SeqCst);
                file.current();
                file.is_late.store(false, Ordering::SeqCst);
                drop(turn);
            });
            // The code ignores the error of this task. The task fails only if the runtime shuts down, or if the
            // observer panics.
            let _ = check.await;
        };
        // The check may have ended just after the timeout.
        if timeout(PATIENCE, checked).await.is_err() && self.turn.try_lock().is_err() {
            self.is_late.store(true, Ordering::SeqCst);
        }
        self.in_use()
    }

    /// Returns the configuration in use. If one of the files has changed, the method first reads all files again.
    ///
    /// Each call reads the metadata of every file, and may read the files. So the calling thread may wait for a file
    /// system. In a server, use [`latest`](Self::latest) instead.
    ///
    /// The previous content stays in use in three cases: the new content is not valid, it is empty, or it lacks
    /// [`Protections`](crate::Protections) of the previous content. In these cases, another program may not have
    /// written the complete file yet. To disable protections, restart this program.
    pub fn current(&self) -> Arc<WebConfig> {
        let mut stamps = self.stamps.lock();
        if stamps.iter().any(FileStamp::is_outdated) {
            let (config, new_stamps) = read(&self.path, &self.checks);
            // The new stamps are stored even if the new content is not valid, so that each change is reported once.
            *stamps = new_stamps;
            let config = config.and_then(|config| {
                not_weakened(&self.in_use(), &config)
                    .map_err(|problem| WebConfigError::new(self.path.clone(), problem))?;
                Ok(config)
            });
            match config {
                Ok(config) => {
                    let config = Arc::new(config);
                    config.forget_others();
                    self.in_use.send_replace(Arc::clone(&config));
                    tell_of_empty_sections(&config, &self.path, &*self.observer);
                    self.observer.reloaded(&self.path, &config);
                }
                Err(error) => self.observer.reload_failed(&error),
            }
        }
        self.in_use()
    }
}

impl fmt::Debug for WebConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebConfigFile").field(&self.path).finish()
    }
}

/// Returns an error if the new content has no settings and the old content had some. Also returns an error if the new
/// content lacks a protection of the old content.
fn not_weakened(before: &WebConfig, after: &WebConfig) -> Result<(), Problem> {
    if after.is_empty() && !before.is_empty() {
        return Err(Problem::Emptied);
    }
    let lost = before.protections().lost_in(after.protections());
    if lost.is_empty() {
        Ok(())
    } else {
        Err(Problem::Weakened(lost.join(", ")))
    }
}

fn tell_of_empty_sections(config: &WebConfig, path: &Path, observer: &dyn ReloadObserver) {
    if config.tls_section_is_empty() {
        observer.tls_section_is_empty(path);
    }
    if config.users_are_empty() {
        observer.users_are_empty(path);
    }
}

/// Reads a web configuration file, and the files that it names. Also returns the stamps of these files, even if the
/// content is not valid.
fn read(
    path: &Path,
    checks: &Arc<PasswordChecks>,
) -> (Result<WebConfig, WebConfigError>, Vec<FileStamp>) {
    let mut files = FileReader::default();
    let config = WebConfig::read(path, &mut files, checks);
    let config = config.map_err(|problem| WebConfigError::new(path.to_owned(), problem));
    (config, files.into_stamps())
}
