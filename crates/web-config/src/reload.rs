//! Reads the web configuration file again when the file changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::WebConfig;
use crate::error::{Problem, WebConfigError};
use crate::file_reader::{FileReader, FileStamp};
use crate::password_checks::PasswordChecks;

/// A web configuration file. After a change of the file, or of a certificate or key that it names, the file is read
/// again.
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
    loaded: Mutex<Loaded>,
    checks: Arc<PasswordChecks>,
    observer: Box<dyn ReloadObserver>,
}

/// Receives the results of reading a file, so that a program can log them in its format.
///
/// Each method logs with `tracing` by default.
pub trait ReloadObserver: Send + Sync + 'static {
    /// The file has changed and its new content is in use. Logs at level info by default.
    fn reloaded(&self, path: &Path) {
        tracing::info!("{}: reloaded", path.display());
    }

    /// The file has changed and its new content cannot be used, so the previous content stays in use. The method is
    /// called once per change. Logs an error by default.
    fn reload_failed(&self, error: &WebConfigError) {
        tracing::error!("{error}; the previous configuration stays in use");
    }

    /// The file has a section `tls_server_config` without certificate, key and client authority, so
    /// connections are not encrypted. Logs a warning by default.
    fn tls_section_is_empty(&self, path: &Path) {
        tracing::warn!(
            "{}: tls_server_config names no certificate, so connections are not encrypted",
            path.display()
        );
    }

    /// The file configures nothing, so connections are not encrypted and everyone may send requests. Logs a
    /// warning by default.
    fn file_is_empty(&self, path: &Path) {
        tracing::warn!(
            "{}: the file is empty, so TLS and authentication are disabled",
            path.display()
        );
    }
}

/// Logs with the default methods of the trait.
impl ReloadObserver for () {}

struct Loaded {
    config: Arc<WebConfig>,
    stamps: Vec<FileStamp>,
}

// === impl WebConfigFile ===

impl WebConfigFile {
    /// Reads a file, and the certificates and keys that it names, relative to its directory.
    ///
    /// # Errors
    ///
    /// If the file, or a file that it names, cannot be read or used.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, WebConfigError> {
        Self::open_with_observer(path, ())
    }

    /// Reads a file like [`open`](Self::open), with an observer.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub fn open_with_observer(
        path: impl Into<PathBuf>,
        observer: impl ReloadObserver,
    ) -> Result<Self, WebConfigError> {
        let file = Self::load(path.into(), observer, Arc::default())?;
        file.tell_of_emptiness();
        Ok(file)
    }

    /// Reads a file that replaces this file, for example when the program reloads all its settings. The new file keeps
    /// the remembered passwords of users whose hash is the same in both files.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open), and an error if `path` is the same file and has become empty or lacks
    /// [`Protections`](crate::Protections) that it had before.
    pub fn reopen(
        &self,
        path: impl Into<PathBuf>,
        observer: impl ReloadObserver,
    ) -> Result<Self, WebConfigError> {
        let path = path.into();
        let file = Self::load(path, observer, Arc::clone(&self.checks))?;
        if file.path == self.path {
            let (before, after) = (self.loaded.lock(), file.loaded.lock());
            not_weakened(&before.config, &after.config)
                .map_err(|problem| WebConfigError::new(file.path.clone(), problem))?;
        }
        file.tell_of_emptiness();
        Ok(file)
    }

    /// Reads a file. Once the file is in use, the caller informs the observer of what the file lacks.
    fn load(
        path: PathBuf,
        observer: impl ReloadObserver,
        checks: Arc<PasswordChecks>,
    ) -> Result<Self, WebConfigError> {
        let (config, stamps) = read(&path, &checks);
        let config = Arc::new(config?);
        Ok(Self {
            path,
            loaded: Mutex::new(Loaded { config, stamps }),
            checks,
            observer: Box::new(observer),
        })
    }

    fn tell_of_emptiness(&self) {
        let config = Arc::clone(&self.loaded.lock().config);
        if config.is_empty() {
            self.observer.file_is_empty(&self.path);
        }
        tell_of_empty_tls(&config, &self.path, &*self.observer);
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the configuration in use. If one of the files has changed, reads all of them again first.
    ///
    /// Each call reads the metadata of every file. If the new content cannot be used, the previous content stays in
    /// use. The previous content also stays in use if the new content is empty or lacks previous
    /// [`Protections`](crate::Protections), because a program that writes the file may have just truncated it. To
    /// disable protections, restart the program.
    pub fn current(&self) -> Arc<WebConfig> {
        let mut loaded = self.loaded.lock();
        if loaded.stamps.iter().any(FileStamp::is_outdated) {
            let (config, stamps) = read(&self.path, &self.checks);
            // The stamps are also kept after a failure, so that each change is reported once.
            loaded.stamps = stamps;
            let config = config.and_then(|config| {
                not_weakened(&loaded.config, &config)
                    .map_err(|problem| WebConfigError::new(self.path.clone(), problem))?;
                Ok(config)
            });
            match config {
                Ok(config) => {
                    loaded.config = Arc::new(config);
                    loaded.config.forget_others();
                    tell_of_empty_tls(&loaded.config, &self.path, &*self.observer);
                    self.observer.reloaded(&self.path);
                }
                Err(error) => self.observer.reload_failed(&error),
            }
        }
        Arc::clone(&loaded.config)
    }
}

impl fmt::Debug for WebConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebConfigFile").field(&self.path).finish()
    }
}

/// Fails if a file had settings and no longer has any, or if it has fewer protections.
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

fn tell_of_empty_tls(config: &WebConfig, path: &Path, observer: &dyn ReloadObserver) {
    if config.tls_section_is_empty() {
        observer.tls_section_is_empty(path);
    }
}

/// Reads a file. Returns the stamps of all files that were read, even after a failure.
fn read(
    path: &Path,
    checks: &Arc<PasswordChecks>,
) -> (Result<WebConfig, WebConfigError>, Vec<FileStamp>) {
    let mut files = FileReader::default();
    let config = WebConfig::read(path, &mut files, checks);
    let config = config.map_err(|problem| WebConfigError::new(path.to_owned(), problem));
    (config, files.into_stamps())
}
