//! Detects changes of files and directories.
//!
//! Events of the operating system trigger a check. Some changes cause no event, such as changes on a network file
//! system, or changes of the target of a link. To find these changes, there is also a check every few seconds.
//!
//! A check compares the inode, the times and the length of each file. If these are equal, the file has not changed,
//! even if there was an event. The modification time and the length alone are not enough, because different files can
//! have the same time and length. For example, `cp -p`, images and archives set the modification time.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// A change counts as complete when this time has passed since its last event.
const SETTLE: Duration = Duration::from_millis(100);
/// The maximum time for which the watcher waits until no more events arrive.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// The time between two checks while no event arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two checks if the operating system cannot report events.
const POLL_INTERVAL_WITHOUT_EVENTS: Duration = Duration::from_secs(2);
/// The time between two checks is at least the duration of a check multiplied by this number. So checks of many files
/// use at most 2 % of a processor.
const POLL_FACTOR: u32 = 50;
/// If an event triggers a check, the watcher first waits for the duration of the last check multiplied by this number.
/// So even if files change all the time, checks use at most 10 % of a processor.
const EVENT_FACTOR: u32 = 9;
/// The minimum time after the exporter has read changed files, until it reads them again.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// After the exporter has read changed files, it waits for the duration of the reading multiplied by this number. So
/// even if files change all the time, reading them uses at most 10 % of a processor.
const PAUSE_FACTOR: u32 = 9;
/// The maximum pause. Without this limit, a file system that responds slowly could delay the next reload for a long
/// time.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The maximum depth of directories. Deeper directories are not watched.
const MAX_DEPTH: usize = 32;

/// Watches files, and all files below directories.
pub(crate) struct FileWatcher {
    paths: Vec<PathBuf>,
    /// The state of all files at the last check.
    seen: Vec<FileState>,
    /// The duration of the last check.
    checked_for: Duration,
    /// The time at which the last check ended.
    checked_at: Instant,
    /// The check in progress.
    checking: Option<JoinHandle<(Vec<FileState>, Duration)>>,
    /// If an event has arrived since the last check began: the time at which the next check begins even if more events
    /// arrive.
    latest_check: Option<Instant>,
    events: mpsc::Receiver<()>,
    /// The sender of events; `None` if the operating system provides no events. Events end when this value is dropped.
    notifier: Option<RecommendedWatcher>,
}

/// Ensures a pause after each reading of changed files. So files that change all the time do not keep the exporter
/// busy.
#[derive(Debug)]
pub(crate) struct ReloadPace {
    /// The time from which the next reload may begin.
    earliest: Instant,
}

/// The properties of a file that a check compares.
#[derive(Clone, Debug, PartialEq)]
struct FileState {
    path: PathBuf,
    /// The inode, the times and the length; `None` if the file is missing.
    fingerprint: Option<Fingerprint>,
}

/// The files at and below the watched paths.
#[derive(Debug, Default)]
struct Scan {
    files: Vec<FileState>,
    /// The directories to which links lead.
    linked: Vec<PathBuf>,
}

/// The properties that show whether a file was replaced or written. Times consist of seconds and nanoseconds.
#[derive(Clone, Debug, PartialEq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// When the content or the properties of the file last changed (`ctime`). Programs cannot set this time.
    changed: (i64, i64),
}

// === impl FileWatcher ===

impl FileWatcher {
    /// Creates a watcher of these paths. A path may be missing now and appear later.
    ///
    /// [`Self::changed`] reports every change after this call.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut paths: Vec<_> = paths
            .into_iter()
            .filter(|path| path != Path::new("-"))
            .collect();
        paths.sort();
        paths.dedup();
        let (sender, events) = mpsc::channel(1);
        let handler = move |_| {
            // If another event is already pending, the new event is not needed, because a check compares all files.
            let _ = sender.try_send(());
        };
        // The notifier would follow each path of links to a directory, and the number of paths can be exponential in
        // the number of directories. So it follows no links, and the watcher adds the directories that the first check
        // has found.
        let config = Config::default().with_follow_symlinks(false);
        let notifier = RecommendedWatcher::new(handler, config);
        let interval = POLL_INTERVAL_WITHOUT_EVENTS;
        let mut notifier = notifier
            .map_err(|error| {
                tracing::warn!(
                    "the operating system reports no file events ({error}); checking files for changes \
                     every {interval:?}"
                )
            })
            .ok();
        for path in &paths {
            let directory = path.canonicalize().ok().filter(|path| path.is_dir());
            let (watched, mode) = if let Some(directory) = &directory {
                (directory.as_path(), RecursiveMode::Recursive)
            } else {
                // A program may replace a file, such as a link in a mounted ConfigMap. Then only the directory of the
                // file has events, so the watcher watches the directory.
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                (
                    parent.unwrap_or(Path::new(".")),
                    RecursiveMode::NonRecursive,
                )
            };
            watch(&mut notifier, watched, mode);
        }
        let Scan { files, linked } = scan(&paths);
        for directory in linked {
            watch(&mut notifier, &directory, RecursiveMode::Recursive);
        }
        Self {
            paths,
            seen: files,
            checked_for: Duration::ZERO,
            checked_at: Instant::now(),
            checking: None,
            latest_check: None,
            events,
            notifier,
        }
    }

    /// Whether the watcher watches exactly these paths.
    pub(crate) fn watches(&self, paths: &[PathBuf]) -> bool {
        let contains_all =
            |outer: &[PathBuf], inner: &[PathBuf]| inner.iter().all(|path| outer.contains(path));
        contains_all(&self.paths, paths) && contains_all(paths, &self.paths)
    }

    /// Waits for a change. If no path is watched, the future never resolves.
    ///
    /// The method is cancel safe: if the future is dropped, the next call continues the wait or the check, and so
    /// reports the change.
    pub(crate) async fn changed(&mut self) {
        if self.paths.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            if self.checking.is_none() {
                self.wait_for_check().await;
            }
            let paths = &self.paths;
            let checking = self.checking.get_or_insert_with(|| {
                self.latest_check = None;
                let paths = paths.clone();
                tokio::task::spawn_blocking(move || {
                    let start = Instant::now();
                    (scan(&paths).files, start.elapsed())
                })
            });
            let checked = checking.await;
            (self.checking, self.checked_at) = (None, Instant::now());
            let Ok((now, took)) = checked else {
                continue;
            };
            self.checked_for = took;
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Waits until the next check is due.
    async fn wait_for_check(&mut self) {
        let shortest = if self.notifier.is_some() {
            POLL_INTERVAL
        } else {
            POLL_INTERVAL_WITHOUT_EVENTS
        };
        let next = self.checked_at + shortest.max(self.checked_for * POLL_FACTOR);
        let pause = (self.checked_for * EVENT_FACTOR).min(MAX_PAUSE);
        let earliest = self.checked_at + pause;
        if self.latest_check.is_none() {
            match timeout_at(next, self.events.recv()).await {
                Ok(Some(())) => self.latest_check = Some(earliest.max(Instant::now()) + MAX_SETTLE),
                // The channel of events is closed if the operating system provides no events.
                Ok(None) => sleep_until(next).await,
                Err(_) => {}
            }
        }
        if let Some(latest) = self.latest_check {
            sleep_until(earliest).await;
            // Waits until there are no more events.
            while Instant::now() < latest && timeout(SETTLE, self.events.recv()).await.is_ok() {}
        }
    }
}

// === impl ReloadPace ===

impl ReloadPace {
    /// Creates a pace with which the first reload may begin immediately.
    pub(crate) fn new() -> Self {
        Self {
            earliest: Instant::now(),
        }
    }

    /// Waits until the next reload may begin.
    pub(crate) async fn wait(&self) {
        sleep_until(self.earliest).await;
    }

    /// Starts the shortest pause, because the files have changed during the reload.
    pub(crate) fn record_changes(&mut self) {
        self.earliest = Instant::now() + MIN_PAUSE;
    }

    /// Starts the pause after a reload. `start` is the time at which the reload began.
    pub(crate) fn record(&mut self, start: Instant) {
        let pause = start.elapsed() * PAUSE_FACTOR;
        self.earliest = Instant::now() + pause.clamp(MIN_PAUSE, MAX_PAUSE);
    }
}

/// Adds a path to the notifier. After an error, there is no notifier any more.
fn watch(notifier: &mut Option<RecommendedWatcher>, path: &Path, mode: RecursiveMode) {
    if let Some(watcher) = notifier
        && watcher.watch(path, mode).is_err()
    {
        *notifier = None;
    }
}

/// Returns the state of all files at and below the paths. The order is the same in each scan.
fn scan(paths: &[PathBuf]) -> Scan {
    let mut scan = Scan::default();
    for path in paths {
        scan_path(path, MAX_DEPTH, &mut HashSet::new(), &mut scan);
    }
    scan
}

/// Adds the state of the files at and below a path. `seen` contains the directories that were already scanned, by
/// device and inode. Links can lead to the same directory on many paths, so the function scans only the first path to a
/// directory.
fn scan_path(path: &Path, depth: usize, seen: &mut HashSet<(u64, u64)>, scan: &mut Scan) {
    let metadata = std::fs::metadata(path).ok();
    if let Some(directory) = metadata.as_ref().filter(|metadata| metadata.is_dir())
        && depth > 0
    {
        if seen.insert((directory.dev(), directory.ino())) {
            if path.is_symlink() {
                scan.linked.extend(path.canonicalize());
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
            // Because of this order, the first path to a directory is the same in each scan.
            entries.sort();
            for entry in entries {
                scan_path(&entry, depth - 1, seen, scan);
            }
        }
        return;
    }
    scan.files.push(FileState {
        path: path.to_owned(),
        fingerprint: metadata.as_ref().map(Fingerprint::of),
    });
}

// === impl Fingerprint ===

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Waits for a change, and returns whether the watcher has reported a change. Usually the wait is short, because an
    /// event arrives.
    async fn changes(watcher: &mut FileWatcher) -> bool {
        timeout(Duration::from_secs(20), watcher.changed())
            .await
            .is_ok()
    }

    /// Whether several checks find no change. The function pauses the clock, so that it does not wait between checks.
    async fn is_unchanged(watcher: &mut FileWatcher) -> bool {
        tokio::time::pause();
        let changed = timeout(3 * POLL_INTERVAL, watcher.changed()).await;
        tokio::time::resume();
        changed.is_err()
    }

    #[tokio::test]
    async fn created_edited_and_deleted_files_are_changes_and_reading_is_none() {
        let directory = std::env::temp_dir().join(format!("follow-{}", std::process::id()));
        let file = directory.join("below/a.yaml");
        std::fs::create_dir_all(directory.join("below")).unwrap();
        let mut watcher = FileWatcher::new([directory.clone()]);
        assert!(is_unchanged(&mut watcher).await);
        std::fs::write(&file, "a").unwrap();
        assert!(changes(&mut watcher).await);
        std::fs::read(&file).unwrap();
        assert!(is_unchanged(&mut watcher).await);
        std::fs::write(&file, "ab").unwrap();
        assert!(changes(&mut watcher).await);
        std::fs::remove_file(&file).unwrap();
        assert!(changes(&mut watcher).await);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn the_links_of_a_mounted_config_map_are_followed() {
        use std::os::unix::fs::symlink;

        let directory = std::env::temp_dir().join(format!("mounted-{}", std::process::id()));
        for (version, text) in [("..1", "one"), ("..2", "other")] {
            std::fs::create_dir_all(directory.join(version)).unwrap();
            std::fs::write(directory.join(version).join("file"), text).unwrap();
        }
        symlink("..1", directory.join("..data")).unwrap();
        symlink("..data/file", directory.join("file")).unwrap();
        let mut watcher = FileWatcher::new([directory.join("file")]);
        symlink("..2", directory.join("..data_tmp")).unwrap();
        std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        assert!(changes(&mut watcher).await);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn a_watcher_of_directories_with_two_links_to_the_next_one_starts_and_reports_changes() {
        use std::os::unix::fs::symlink;

        let parent = std::env::temp_dir().join(format!("diamonds-{}", std::process::id()));
        let directory = |number: usize| parent.join(format!("d{number:02}"));
        for number in 0..=30 {
            std::fs::create_dir_all(directory(number)).unwrap();
            if number > 0 {
                symlink(directory(number), directory(number - 1).join("a")).unwrap();
                symlink(directory(number), directory(number - 1).join("b")).unwrap();
            }
        }
        let (root, (sender, started)) = (directory(0), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let _ = sender.send(FileWatcher::new([root]));
        });
        let started = started.recv_timeout(Duration::from_secs(20));
        let mut watcher = started.expect("the watcher does not start");
        std::fs::write(directory(30).join("a.yaml"), "a").unwrap();
        let changed = timeout(POLL_INTERVAL / 2, watcher.changed()).await;
        assert!(changed.is_ok(), "no event");
        std::fs::remove_dir_all(&parent).unwrap();
    }

    #[tokio::test]
    async fn a_file_with_the_length_and_the_time_of_its_predecessor_is_a_change() {
        let directory = std::env::temp_dir().join(format!("same-time-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("file");
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).unwrap();
            let written = std::fs::File::options().write(true).open(path).unwrap();
            written.set_modified(std::time::UNIX_EPOCH).unwrap();
        };
        write(&file, "old");
        let mut watcher = FileWatcher::new([file.clone()]);
        let other = directory.join("other");
        write(&other, "new");
        std::fs::rename(&other, &file).unwrap();
        assert!(changes(&mut watcher).await, "the file was replaced");
        write(&file, "own");
        assert!(changes(&mut watcher).await, "the file was written");
        assert!(is_unchanged(&mut watcher).await);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn a_change_is_reported_although_the_wait_for_it_is_dropped() {
        let directory = std::env::temp_dir().join(format!("dropped-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("file");
        let mut watcher = FileWatcher::new([file.clone()]);
        std::fs::write(&file, "a").unwrap();
        // After this pause, the event is in the channel.
        sleep(Duration::from_millis(500)).await;
        let dropped = timeout(SETTLE / 2, watcher.changed()).await;
        assert!(dropped.is_err());
        let changed = timeout(POLL_INTERVAL / 2, watcher.changed()).await;
        assert!(changed.is_ok(), "the event is lost");
        // Without events, dropped waits do not delay the next check.
        watcher.notifier = None;
        std::fs::write(&file, "ab").unwrap();
        let mut changed = false;
        for _ in 0..20 {
            let wait = timeout(POLL_INTERVAL_WITHOUT_EVENTS / 4, watcher.changed());
            changed |= wait.await.is_ok();
        }
        assert!(changed, "no check");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn reloads_have_a_distance_that_grows_with_their_duration() {
        let mut pace = ReloadPace::new();
        for (took, pause) in [(0, 1_000), (50, 1_000), (500, 4_500), (60_000, 60_000)] {
            pace.wait().await;
            let start = Instant::now();
            sleep(Duration::from_millis(took)).await;
            pace.record(start);
            let end = Instant::now();
            pace.wait().await;
            assert_eq!(end.elapsed(), Duration::from_millis(pause), "{took} ms");
        }
        let start = Instant::now();
        pace.wait().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "the pause is over");
        pace.record_changes();
        pace.wait().await;
        assert_eq!(start.elapsed(), MIN_PAUSE);
    }

    #[test]
    fn circles_of_links_are_scanned_once() {
        use std::os::unix::fs::symlink;

        let directory = std::env::temp_dir().join(format!("circles-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("below")).unwrap();
        std::fs::write(directory.join("below/file"), "a").unwrap();
        for name in ["a", "b", "below/c"] {
            symlink(&directory, directory.join(name)).unwrap();
        }
        let (paths, (sender, scanned)) = (vec![directory.clone()], std::sync::mpsc::channel());
        std::thread::spawn(move || sender.send(scan(&paths)));
        let files = scanned.recv_timeout(Duration::from_secs(20)).unwrap();
        let files: Vec<_> = files.files.into_iter().map(|file| file.path).collect();
        assert_eq!(files, [directory.join("below/file")]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
