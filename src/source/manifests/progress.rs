//! [`ReadingProgress`]: the file that is being read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A handle that shows which file a [`ManifestFeed`](super::ManifestFeed) reads at the moment.
///
/// If a file system does not respond, the feed waits, and nothing can interrupt it. A host can use this type to report
/// the file for which the feed waits.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::source::manifests::ManifestSource;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let progress = feed.progress();
/// feed.reload();
/// assert_eq!(progress.current(), None, "no reading is in progress");
/// assert!(!progress.is_directory());
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadingProgress {
    current: Arc<Mutex<Option<Current>>>,
}

/// The file or directory that is being read.
#[derive(Clone, Debug)]
struct Current {
    path: PathBuf,
    /// Whether the feed searches for files in a directory.
    is_directory: bool,
    start: Instant,
}

// === impl ReadingProgress ===

impl ReadingProgress {
    /// Returns the file or directory that is being read, and for how long it has been read.
    ///
    /// `-` is standard input.
    #[must_use]
    pub fn current(&self) -> Option<(PathBuf, Duration)> {
        let current = self.current.lock();
        let current = current.as_ref()?;
        Some((current.path.clone(), current.start.elapsed()))
    }

    /// Whether the feed searches for files in a directory at the moment.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        let current = self.current.lock();
        current.as_ref().is_some_and(|current| current.is_directory)
    }

    pub(super) fn begin(&self, path: &Path) {
        self.set(path, false);
    }

    pub(super) fn begin_directory(&self, path: &Path) {
        self.set(path, true);
    }

    fn set(&self, path: &Path, is_directory: bool) {
        *self.current.lock() = Some(Current {
            path: path.to_owned(),
            is_directory,
            start: Instant::now(),
        });
    }

    pub(super) fn end(&self) {
        *self.current.lock() = None;
    }
}
