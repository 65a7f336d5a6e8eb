//! [`ReadingProgress`]: the file that is being read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The file that a [`ManifestFeed`](super::ManifestFeed) reads at the moment.
///
/// A file system that does not respond blocks the feed, and nothing can interrupt the reading. A host can use this type
/// to report which file blocks the feed.
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
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadingProgress {
    current: Arc<Mutex<Option<(PathBuf, Instant)>>>,
}

// === impl ReadingProgress ===

impl ReadingProgress {
    /// The file or directory that is being read, and how long its reading has taken. `-` is standard input.
    #[must_use]
    pub fn current(&self) -> Option<(PathBuf, Duration)> {
        let current = self.current.lock();
        let (path, start) = current.as_ref()?;
        Some((path.clone(), start.elapsed()))
    }

    pub(super) fn begin(&self, path: &Path) {
        *self.current.lock() = Some((path.to_owned(), Instant::now()));
    }

    pub(super) fn end(&self) {
        *self.current.lock() = None;
    }
}
