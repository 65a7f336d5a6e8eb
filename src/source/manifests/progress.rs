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
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadingProgress {
    current: Arc<Mutex<Option<(PathBuf, Instant)>>>,
}

// === impl ReadingProgress ===

impl ReadingProgress {
    /// Returns the file or directory that is being read, and for how long it has been read.
    ///
    /// `-` is standard input.
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
