//! Reads files and detects later changes of these files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config_file::ReadError;

/// Maximum size of each file, in bytes. The files are the web configuration, its certificates and its keys.
const LARGEST: u64 = 1024 * 1024;

/// Reads files, and records a stamp of each.
#[derive(Debug, Default)]
pub(crate) struct FileReader {
    stamps: Vec<FileStamp>,
}

/// The metadata of a file just before it was read.
#[derive(Debug, PartialEq)]
pub(crate) struct FileStamp {
    path: PathBuf,
    /// `None` if the file did not exist.
    metadata: Option<FileMetadata>,
}

/// The metadata of a file that changes when its content changes.
#[derive(Debug, PartialEq)]
struct FileMetadata {
    modified: SystemTime,
    length: u64,
    /// The inode number of the file. It changes if another file replaces the file, even if both have the same time and
    /// length.
    #[cfg(unix)]
    inode: u64,
}

// === impl FileReader ===

impl FileReader {
    /// Reads the content of a regular file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        // The stamp is recorded before the read, so that a later check detects a change during the read.
        self.stamps.push(FileStamp::of(path.to_owned()));
        config_file::read(path, LARGEST)
    }

    /// Returns the stamps of all files, including files that could not be read.
    pub(crate) fn into_stamps(self) -> Vec<FileStamp> {
        self.stamps
    }
}

// === impl FileStamp ===

impl FileStamp {
    fn of(path: PathBuf) -> Self {
        let metadata = std::fs::metadata(&path).and_then(|metadata| {
            Ok(FileMetadata {
                modified: metadata.modified()?,
                length: metadata.len(),
                #[cfg(unix)]
                inode: std::os::unix::fs::MetadataExt::ino(&metadata),
            })
        });
        Self {
            path,
            metadata: metadata.ok(),
        }
    }

    /// Whether the file has changed since the stamp was recorded.
    pub(crate) fn is_outdated(&self) -> bool {
        Self::of(self.path.clone()) != *self
    }
}
