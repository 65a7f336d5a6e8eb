//! [`HoldTimes`]: decides when the new content of a changed file is used.
//!
//! A program can write a file in place, and take some time for it. While it writes, the file can be valid but
//! incomplete, for example a YAML list without its last items. So the previous objects of the file stay until the file
//! has not changed for some time. A file that another file replaces by a rename is complete at once.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// For how long the previous objects of a changed file stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldTimes {
    /// The new content is used when the file has not changed for this time.
    pub(super) unchanged_for: Duration,
    /// The new content is used at the latest this time after the first change, even if the file still changes.
    pub(super) at_most: Duration,
    /// The objects of a file or directory that has become empty stay for this time.
    pub(super) emptied_for: Duration,
}

/// The properties of a file that show whether its content has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    /// The device and the inode; `None` if the operating system has no such numbers.
    file: Option<(u64, u64)>,
    length: u64,
    modified: Option<SystemTime>,
}

/// A changed file whose new content is not used yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingChange {
    version: FileVersion,
    /// When a reading found this version for the first time.
    since: Instant,
    /// When a reading found the first change after the last use of the file.
    first: Instant,
}

// === impl FileVersion ===

impl FileVersion {
    /// Returns the version of the file at a path; `None` if there is no such file.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            file: file_number(metadata),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether a program has changed this file in place. If another file has replaced the file, the result is false.
    pub(super) fn is_changed_in_place(&self, after: &Self) -> bool {
        self != after && self.file == after.file
    }
}

/// The device and the inode of a file; `None` if the operating system has no such numbers.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no inodes")]
fn file_number(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_number(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

// === impl PendingChange ===

impl PendingChange {
    /// Records that a file has the version `version` at the time `now`.
    pub(super) fn continued(before: Option<Self>, version: FileVersion, now: Instant) -> Self {
        let same = before.filter(|before| before.version == version);
        Self {
            version,
            since: same.map_or(now, |same| same.since),
            first: before.map_or(now, |before| before.first),
        }
    }
}

// === impl HoldTimes ===

impl HoldTimes {
    /// Whether the content of a file is used, or its previous objects stay. `used` is the version whose content was
    /// used last, and `version` is the version of now.
    pub(super) fn uses(
        self,
        used: FileVersion,
        pending: Option<PendingChange>,
        version: FileVersion,
        now: Instant,
    ) -> bool {
        if version == used || self.is_over(pending, now) {
            return true;
        }
        match pending.filter(|pending| pending.version.file == version.file) {
            Some(pending) => {
                pending.version == version
                    && now.duration_since(pending.since) >= self.unchanged_for
            }
            // The change is new. A renamed file is another file.
            None => used.file != version.file,
        }
    }

    /// Whether the first change was so long ago that the file is used although it still changes.
    pub(super) fn is_over(self, pending: Option<PendingChange>, now: Instant) -> bool {
        pending.is_some_and(|pending| now.duration_since(pending.first) >= self.at_most)
    }
}
