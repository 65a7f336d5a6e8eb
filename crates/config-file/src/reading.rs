//! Reads regular files of a limited size.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// The byte order mark, encoded in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file cannot be read. The message does not name the file, so the caller must name it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refuses to open or read the file, for example because the file does not exist.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path names a directory.
    #[error("it is a directory; give a regular file")]
    Directory,
    /// The path names a pipe, a device or a socket. The field states the type of the file.
    #[error("it is {0}; give a regular file")]
    NotRegular(&'static str),
    /// The file has more bytes than `limit`.
    #[error("it is larger than {}, the maximum for this kind of file; check that the path is right", size(*limit))]
    TooLarge {
        /// The maximum size of the file, in bytes.
        limit: u64,
    },
    /// The file starts with the byte order mark of UTF-16.
    #[error("it is UTF-16; save it as UTF-8")]
    Utf16,
    /// The file has bytes that are not UTF-8.
    #[error("it is not UTF-8 from byte {} on; save it as UTF-8", .valid + 1)]
    NotUtf8 {
        /// The number of valid bytes before the first wrong byte.
        valid: usize,
    },
}

// === impl ReadError ===

impl ReadError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a regular file of at most `limit` bytes.
///
/// The function follows symbolic links. It checks the type of the file twice: before it opens the file, because opening
/// a device may have an effect, and when the file is open, because another file may have replaced the file. A named
/// pipe does not block the function, even if the pipe replaces the file between the two checks.
///
/// # Errors
///
/// If the file is not a regular file, is too large, or cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    check(&std::fs::metadata(path)?, limit)?;
    read_unchecked(path, limit)
}

/// Reads a file whose type was checked before, but which may have been replaced since then.
fn read_unchecked(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    check(&metadata, limit)?;
    // The file may grow while it is read, and files in /proc report the length 0.
    read_at_most(file, metadata.len(), limit)
}

/// Reads all bytes of a reader, such as standard input. `expected` is the number of bytes for which the function
/// reserves memory.
///
/// # Errors
///
/// If there are more than `limit` bytes, or the bytes cannot be read.
pub fn read_at_most(reader: impl Read, expected: u64, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut content = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(content)
}

/// Reads a regular file of at most `limit` bytes as UTF-8, without its byte order mark.
///
/// # Errors
///
/// The errors of [`read`], and an error if the content is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, ReadError> {
    text(read(path, limit)?)
}

/// Returns the content of a file as UTF-8, without its byte order mark.
///
/// # Errors
///
/// If the content is not UTF-8.
pub fn text(mut content: Vec<u8>) -> Result<String, ReadError> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(ReadError::Utf16);
    }
    if content.starts_with(MARK) {
        content.drain(..MARK.len());
    }
    String::from_utf8(content).map_err(|error| ReadError::NotUtf8 {
        valid: error.utf8_error().valid_up_to(),
    })
}

/// Opens a file to read it. Without `O_NONBLOCK`, opening a named pipe would wait for a writer. The flag has no effect
/// on regular files. Without `O_NOCTTY`, a terminal could become the controlling terminal of the process.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = File::options();
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options.read(true).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Refuses files that are not regular, and files that are too large.
fn check(metadata: &Metadata, limit: u64) -> Result<(), ReadError> {
    if metadata.is_dir() {
        return Err(ReadError::Directory);
    }
    if !metadata.is_file() {
        return Err(ReadError::NotRegular(kind(metadata)));
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(())
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(_: &Metadata) -> &'static str {
    "a device"
}

/// Formats a number of bytes in the largest binary unit that gives a whole number.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    match unit {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_replaces_a_file_between_the_check_and_the_open_does_not_block() {
        let pipe = std::env::temp_dir().join(format!("config-file-race-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for (path, message) in [
            (pipe.clone(), "it is a named pipe; give a regular file"),
            ("/dev/zero".into(), "it is a device; give a regular file"),
            (
                std::env::temp_dir(),
                "it is a directory; give a regular file",
            ),
        ] {
            let (sender, result) = mpsc::channel();
            let shown = path.display().to_string();
            thread::spawn(move || sender.send(read_unchecked(&path, 1024)));
            let result = result.recv_timeout(Duration::from_secs(20));
            let error = result.unwrap_or_else(|_| panic!("{shown} blocks"));
            assert_eq!(error.unwrap_err().to_string(), message);
        }
        std::fs::remove_file(&pipe).unwrap();
    }
}
