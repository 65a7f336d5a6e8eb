//! Files and directories that are followed as they change.
//!
//! Notices of the operating system wake us, and a look every few seconds finds what they miss (a
//! network file system, a link whose far end changes). What counts is whether anything differs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Quiet for so long, a change is taken as complete.
const SETTLE: Duration = Duration::from_millis(100);
/// However busy, a change is looked at after so long.
const SETTLE_AT_MOST: Duration = Duration::from_secs(2);
/// How often to look without a notice.
const LOOK: Duration = Duration::from_secs(10);
/// How often to look where there are no notices at all.
const LOOK_OFTEN: Duration = Duration::from_secs(2);
/// Directories deeper than this are a loop of links.
const DEPTH: usize = 32;

/// Tells when files change.
pub(crate) struct Follower {
    paths: Vec<PathBuf>,
    seen: Vec<Entry>,
    notices: mpsc::Receiver<()>,
    /// Notices come while this lives.
    watcher: Option<RecommendedWatcher>,
}

/// A file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    path: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
}

// === impl Follower ===

impl Follower {
    /// Follows files, and everything below directories. Files that do not exist may appear.
    ///
    /// Changes after this call are not missed.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut paths: Vec<_> = paths
            .into_iter()
            .filter(|path| path != Path::new("-"))
            .collect();
        paths.sort();
        paths.dedup();
        let (sender, notices) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_| {
            // One notice that waits is as good as many.
            let _ = sender.try_send(());
        });
        let mut watcher = watcher
            .map_err(|error| tracing::warn!("files are looked at every {LOOK_OFTEN:?}: {error}"))
            .ok();
        for path in &paths {
            let (watched, mode) = if path.is_dir() {
                (path.as_path(), RecursiveMode::Recursive)
            } else {
                // The directory tells of files that are replaced, as links of mounted ConfigMaps are.
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                (
                    parent.unwrap_or(Path::new(".")),
                    RecursiveMode::NonRecursive,
                )
            };
            if watcher
                .as_mut()
                .is_some_and(|watcher| watcher.watch(watched, mode).is_err())
            {
                watcher = None;
            }
        }
        let seen = look(&paths);
        Self {
            paths,
            seen,
            notices,
            watcher,
        }
    }

    /// Whether exactly these are followed.
    pub(crate) fn follows(&self, paths: &[PathBuf]) -> bool {
        let all =
            |these: &[PathBuf], those: &[PathBuf]| these.iter().all(|own| those.contains(own));
        all(paths, &self.paths) && all(&self.paths, paths)
    }

    /// Waits until something differs; never where there is nothing to follow.
    pub(crate) async fn changed(&mut self) {
        if self.paths.is_empty() {
            std::future::pending::<()>().await;
        }
        let every = if self.watcher.is_some() {
            LOOK
        } else {
            LOOK_OFTEN
        };
        loop {
            match timeout(every, self.notices.recv()).await {
                Ok(Some(())) => self.settle().await,
                // The sender is gone with a watcher that could not be made.
                Ok(None) => sleep(every).await,
                Err(_) => {}
            }
            let paths = self.paths.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || look(&paths)).await else {
                continue;
            };
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Waits until no notices come any more.
    async fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE_AT_MOST;
        while Instant::now() < deadline && timeout(SETTLE, self.notices.recv()).await.is_ok() {}
    }
}

/// All files of the paths, as they are now.
fn look(paths: &[PathBuf]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for path in paths {
        visit(path, DEPTH, &mut entries);
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn visit(path: &Path, depth: usize, entries: &mut Vec<Entry>) {
    let metadata = std::fs::metadata(path).ok();
    if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) && depth > 0 {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            visit(&entry.path(), depth - 1, entries);
        }
        return;
    }
    entries.push(Entry {
        path: path.to_owned(),
        modified: metadata
            .as_ref()
            .and_then(|metadata| metadata.modified().ok()),
        length: metadata.as_ref().map_or(0, std::fs::Metadata::len),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn changes(follower: &mut Follower) -> bool {
        timeout(Duration::from_secs(20), follower.changed())
            .await
            .is_ok()
    }

    async fn is_quiet(follower: &mut Follower) -> bool {
        timeout(Duration::from_millis(400), follower.changed())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn created_edited_and_deleted_files_are_changes_and_reading_is_none() {
        let directory = std::env::temp_dir().join(format!("follow-{}", std::process::id()));
        let file = directory.join("below/a.yaml");
        std::fs::create_dir_all(directory.join("below")).unwrap();
        let mut follower = Follower::new([directory.clone()]);
        assert!(is_quiet(&mut follower).await);
        std::fs::write(&file, "a").unwrap();
        assert!(changes(&mut follower).await);
        std::fs::read(&file).unwrap();
        assert!(is_quiet(&mut follower).await);
        std::fs::write(&file, "ab").unwrap();
        assert!(changes(&mut follower).await);
        std::fs::remove_file(&file).unwrap();
        assert!(changes(&mut follower).await);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
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
        let mut follower = Follower::new([directory.join("file")]);
        symlink("..2", directory.join("..data_tmp")).unwrap();
        std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        assert!(changes(&mut follower).await);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
