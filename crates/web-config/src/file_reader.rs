//! Reads files and detects later changes of these files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config_file::ReadError;

/// Maximum size of each file, in bytes. This limit applies to the web configuration file, its certificates and its
/// keys.
const LARGEST: u64 = 1024 * 1024;

/// Reads files, and records a stamp (metadata) of each file.
#[derive(Debug, Default)]
pub(crate) struct FileReader {
    stamps: Vec<FileStamp>,
}

/// The metadata of a file at the time just before the file was read.
#[derive(Debug, PartialEq)]
pub(crate) struct FileStamp {
    path: PathBuf,
    /// `None` if the file did not exist.
    metadata: Option<FileMetadata>,
}

/// The metadata that changes when the content of a file changes.
#[derive(Debug, PartialEq)]
struct FileMetadata {
    modified: SystemTime,
    length: u64,
    /// The inode number of the file. This number changes if another file replaces the file, even if both files have the
    /// same time and length.
    #[cfg(unix)]
    inode: u64,
    /// When the content or the properties of the file last changed (`ctime`), in seconds and nanoseconds. Programs
    /// cannot set this time. So it also changes if a program writes the file, and then sets the old modification time.
    #[cfg(unix)]
    changed: (i64, i64),
}

// === impl FileReader ===

impl FileReader {
    /// Reads the content of a regular file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        // The stamp is recorded before the read, so that a later check also detects a change during the read.
        self.stamps.push(FileStamp::of(path.to_owned()));
        config_file::read(path, LARGEST)
    }

    /// Returns the stamps of all files. Files that could not be read are included.
    pub(crate) fn into_stamps(self) -> Vec<FileStamp> {
        self.stamps
    }
}

// === impl FileStamp ===

impl FileStamp {
    fn of(path: PathBuf) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;

        let metadata = std::fs::metadata(&path).and_then(|metadata| {
            Ok(FileMetadata {
                modified: metadata.modified()?,
                length: metadata.len(),
                #[cfg(unix)]
                inode: metadata.ino(),
                #[cfg(unix)]
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        });
        Self {
            path,
            metadata: metadata.ok(),
        }
    }

    /// Returns `true` if the file has changed since the stamp was recorded.
    pub(crate) fn is_outdated(&self) -> bool {
        Self::of(self.path.clone()) != *self
    }
}
