//! [`ManifestFeed`]: reads manifests and feeds the stores.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::changing::HoldTimes;
#[cfg(feature = "custom-resources")]
use super::kinds::Kinds;
use super::loader::{FileObjects, Loader};
use super::paths::{STDIN, is_stdin};
use super::progress::ReadingProgress;
use super::reading::FileStates;
use super::report::LoadReport;
use super::stdin::Stdin;
use super::writers::ManifestWriters;
use crate::registry::StateMetrics;
use crate::source::health::{FeedOrigin, FeedReporter, Health, HealthLimits};
use crate::source::{Source, SourceFuture};

/// Feeds the stores of a [`StateMetrics`] from manifests.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::source::health::ReadinessPolicy;
/// use kube_state_metrics::source::manifests::ManifestSource;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let first = feed.reload();
/// let again = feed.reload(); // picks up files that have changed since then
/// assert_eq!(first.objects, again.objects);
/// assert!(feed.health().readiness(ReadinessPolicy::Strict).ready);
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
pub struct ManifestFeed {
    paths: Vec<PathBuf>,
    metrics: StateMetrics,
    health: Health,
    reporter: FeedReporter,
    writers: ManifestWriters,
    /// `None` if standard input is not one of the paths.
    stdin: Option<Stdin>,
    /// The files of the last reading.
    files: Arc<FileStates>,
    /// The keys of the objects of these files.
    objects: FileObjects,
    progress: ReadingProgress,
    #[cfg(feature = "custom-resources")]
    kinds: Kinds,
    on_reload: Option<OnReload>,
}

/// What a feed knows about the files of its last reading, but not the objects of these files.
///
/// [`ManifestFeed::continue_after`] describes the use. A clone is another handle to the same reading.
#[derive(Clone, Debug, Default)]
pub struct LastReading {
    files: Arc<FileStates>,
}

/// A callback of the host, which the feed calls each time that it has read all files.
type OnReload = Box<dyn FnMut(&LoadReport) + Send>;

// === impl ManifestFeed ===

impl ManifestFeed {
    pub(super) fn new(paths: Vec<PathBuf>, metrics: &StateMetrics) -> Self {
        let health = Health::before_start(metrics, FeedOrigin::Manifests, HealthLimits::default());
        let has_stdin = paths.iter().any(|path| is_stdin(path));
        let mut feed = Self {
            paths,
            metrics: metrics.clone(),
            reporter: health.feed(None),
            health,
            writers: ManifestWriters::default(),
            stdin: has_stdin.then(Stdin::default),
            files: Arc::default(),
            objects: FileObjects::default(),
            progress: ReadingProgress::default(),
            #[cfg(feature = "custom-resources")]
            kinds: Kinds::default(),
            on_reload: None,
        };
        feed.follow_plan();
        feed
    }

    /// The health of all resources.
    ///
    /// A resource is complete after the manifests have been read once.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Returns a handle that shows which file the feed reads at the moment.
    ///
    /// You can use the handle while another thread runs the feed.
    #[must_use]
    pub fn progress(&self) -> ReadingProgress {
        self.progress.clone()
    }

    /// Sets a callback that the feed calls each time that it has read all manifests.
    ///
    /// [`Source::run`] also calls this callback whenever it has read the manifests.
    #[must_use]
    pub fn on_reload(mut self, callback: impl FnMut(&LoadReport) + Send + 'static) -> Self {
        self.on_reload = Some(Box::new(callback));
        self
    }

    /// Lets the previous objects of a changed file stay while a program may still be writing the file.
    ///
    /// By default, [`reload`](Self::reload) uses the new content of each file at once. But a program can write a file
    /// in place, that is without a rename. Then the file can be valid but incomplete for a moment, for example a YAML
    /// list without its last items. With this setting, `reload` uses the new content of a file only in the following
    /// cases:
    ///
    /// * The size and the modification time of the file have not changed for the time `unchanged_for`. The host must
    ///   call `reload` at least twice: the first call detects the change. [`LoadReport::changing`] shows whether
    ///   another call is necessary.
    /// * The first change was detected at least the time `at_most` ago. So a file that changes all the time is still
    ///   read.
    /// * Another file has replaced the file, for example by a rename.
    ///
    /// Files that the feed has not read yet are read at once. The objects of a file or directory that has become empty
    /// also stay for the time `at_most`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kube_state_metrics::StateMetrics;
    /// use kube_state_metrics::source::manifests::ManifestSource;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
    /// let mut feed = feed.hold_changes(Duration::from_secs(1), Duration::from_secs(30));
    /// assert_eq!(feed.reload().changing, 0);
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn hold_changes(mut self, unchanged_for: Duration, at_most: Duration) -> Self {
        Arc::make_mut(&mut self.files).hold_changes(HoldTimes {
            unchanged_for,
            at_most,
            emptied_for: at_most,
        });
        self
    }

    /// What this feed knows about the files of its last reading.
    #[must_use]
    pub fn last_reading(&self) -> LastReading {
        LastReading {
            files: Arc::clone(&self.files),
        }
    }

    /// Lets the first reading of this feed compare the files with the last reading of another feed.
    ///
    /// Use this method if this feed replaces the other feed at run time. A program may be writing a file at the moment.
    /// Without this method, the first reading would use the incomplete file. With it, the first reading skips the files
    /// whose objects stay in the other feed, or would stay at its next reading. [`LoadReport::incomplete`] contains
    /// these files. When a later report contains no such file, this feed has the objects of all files.
    ///
    /// Files that are not at or below the paths of this feed have no effect. Call this method before the first reading.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    /// use kube_state_metrics::source::manifests::ManifestSource;
    ///
    /// let source = ManifestSource::new(["examples/cluster"]);
    /// let before = StateMetrics::builder().default_resources().build()?;
    /// let mut old = source.open(&before);
    /// old.reload();
    /// let after = StateMetrics::builder().resources(["pods"]).build()?;
    /// let mut new = source.open(&after).continue_after(&old.last_reading());
    /// assert!(new.reload().incomplete.is_empty());
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn continue_after(mut self, other: &LastReading) -> Self {
        let states = other.files.at(&self.paths, self.files.hold());
        self.files = Arc::new(states);
        self
    }

    /// Reads all manifests, and replaces the objects of the previous call in one step.
    ///
    /// If several documents contain the same object, the last document is used. Standard input comes first, then the
    /// paths in their order. The files of a directory are sorted by name.
    ///
    /// If a file cannot be read completely, or has become empty, its previous objects stay, as the documentation of the
    /// [module](crate::source::manifests) describes. If the problem may be temporary, the report [is
    /// partial](LoadReport::is_partial).
    ///
    /// If there is a configuration of custom resources, this method also sets the known kinds: the built-in kinds, and
    /// the kinds that the manifests define or contain.
    pub fn reload(&mut self) -> LoadReport {
        let mut report = LoadReport::default();
        let now = Instant::now();
        self.reporter.listing();
        if self.stdin.is_some() {
            self.progress.begin(Path::new(STDIN));
        }
        let text = self.stdin.as_ref().and_then(Stdin::read);
        #[cfg(feature = "custom-resources")]
        if self.metrics.custom_resources().has_config() {
            let text = text.as_ref().and_then(|text| text.as_deref().ok());
            let files = (&*self.files, self.paths.as_slice(), now);
            (report.definitions, report.incomplete) =
                (self.kinds).update(files, text, &self.metrics, &self.progress);
        }
        self.follow_plan();
        if let Some(stdin) = &mut self.stdin {
            stdin.load(text, &mut report);
        }
        self.writers.begin_list();
        let mut loader = Loader::new(&mut self.writers, &self.objects, &mut report);
        let reading = (self.files).read_all(&self.paths, now, &self.progress, &mut loader);
        self.objects = loader.into_objects();
        self.files = Arc::new(reading.states);
        report.incomplete.extend(reading.incomplete);
        report.is_partial = reading.is_partial;
        report.paths_changed = reading.paths_changed;
        report.changing = reading.changing;
        self.writers.end_list();
        self.reporter.complete();
        self.health.started();
        if let Some(callback) = &mut self.on_reload {
            callback(&report);
        }
        report
    }

    fn follow_plan(&mut self) {
        let (metrics, health, feed) = (&self.metrics, &self.health, self.reporter.state());
        self.writers.follow_plan(metrics, health, feed);
        if let Some(stdin) = &mut self.stdin {
            stdin.writers.follow_plan(metrics, health, feed);
        }
    }

    /// Whether the feed has a writer for each registered store. If not, a new store waits for objects.
    fn is_up_to_date(&self) -> bool {
        self.writers.is_up_to_date(&self.metrics.plan())
    }
}

/// Reads the manifests on a separate thread, and reads them again when a configuration of custom resources adds or
/// removes resources. This source does not detect changes of files.
impl Source for ManifestFeed {
    fn health(&self) -> Health {
        Self::health(self)
    }

    fn run(self: Box<Self>) -> SourceFuture {
        let mut changes = self.metrics.current_plan().changes();
        let feed: Arc<Mutex<Self>> = Arc::new(Mutex::new(*self));
        Box::pin(async move {
            reload_on_thread(&feed).await;
            while changes.changed().await.is_ok() {
                let is_up_to_date = feed.lock().is_up_to_date();
                if !is_up_to_date {
                    reload_on_thread(&feed).await;
                }
            }
        })
    }
}

impl fmt::Debug for ManifestFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestFeed")
            .field("paths", &self.paths)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

async fn reload_on_thread(feed: &Arc<Mutex<ManifestFeed>>) {
    let (sender, receiver) = oneshot::channel();
    let reading = Arc::clone(feed);
    let thread = thread::Builder::new().name(String::from("manifests"));
    let spawned = thread.spawn(move || {
        reading.lock().reload();
        // If the source was dropped, nobody receives this message, so ignore the error.
        let _ = sender.send(());
    });
    if spawned.is_err() {
        feed.lock().reload();
    } else {
        let _ = receiver.await;
    }
}
