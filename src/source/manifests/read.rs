//! Reads the text of a manifest from a regular file or from standard input.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Maximum size of a file and of standard input: 1 GiB. The text and its objects are in memory during the reading.
const LARGEST: u64 = 1 << 30;

/// Reads a regular file.
///
/// The type is checked before the file is opened, because opening a device may have an effect. It is checked again when
/// the file is open, because another file may have replaced the file. A named pipe never blocks the function.
pub(super) fn file(path: &Path) -> io::Result<String> {
    file_of_at_most(path, LARGEST)
}

/// Reads standard input to its end.
pub(super) fn stdin() -> io::Result<String> {
    text(unbuffered_stdin()?, 0, LARGEST)
}

/// Opens standard input without the buffer of [`io::stdin`]. The buffer of [`io::stdin`] is never freed and would keep
/// contents of secrets.
#[cfg(unix)]
fn unbuffered_stdin() -> io::Result<File> {
    use std::os::fd::AsFd;

    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn unbuffered_stdin() -> io::Result<io::Stdin> {
    Ok(io::stdin())
}

fn file_of_at_most(path: &Path, limit: u64) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    check(&metadata, limit)?;
    unchecked_file_of_at_most(path, limit)
}

/// Reads a file whose type was checked before, but which may have been replaced since then.
fn unchecked_file_of_at_most(path: &Path, limit: u64) -> io::Result<String> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    check(&metadata, limit)?;
    text(file, metadata.len(), limit)
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

fn check(metadata: &Metadata, limit: u64) -> io::Result<()> {
    if metadata.is_dir() {
        // A directory may have replaced the listed file.
        return Err(invalid("it is a directory; give a regular file"));
    }
    if !metadata.is_file() {
        return Err(not_regular());
    }
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    Ok(())
}

/// Reads a UTF-8 text of at most `limit` bytes, and removes the byte order mark.
fn text(reader: impl Read, expected: u64, limit: u64) -> io::Result<String> {
    let mut content = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(too_large(limit));
    }
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(invalid("it is UTF-16; save it as UTF-8"));
    }
    if content.starts_with(b"\xef\xbb\xbf") {
        content.drain(..3);
    }
    String::from_utf8(content).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        invalid(&format!(
            "it is not UTF-8 from byte {} on; save it as UTF-8",
            valid + 1
        ))
    })
}

/// The error for a named pipe, a device or a socket.
pub(super) fn not_regular() -> io::Error {
    invalid(
        "it is a named pipe, a device or a socket; give a regular file, or `-` for standard input",
    )
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn too_large(limit: u64) -> io::Error {
    let problem = format!("it has more than {limit} bytes; split it into several files");
    io::Error::new(io::ErrorKind::FileTooLarge, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_size_or_encoding_is_an_error() {
        let directory = std::env::temp_dir().join(format!("manifest-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.yaml");
        for (content, expected) in [
            (&b"\xef\xbb\xbfa: 1"[..], Ok("a: 1")),
            (b"12345678", Ok("12345678")),
            (
                b"123456789",
                Err("it has more than 8 bytes; split it into several files"),
            ),
            (b"\xff\xfea\0", Err("it is UTF-16; save it as UTF-8")),
            (
                b"a\xff",
                Err("it is not UTF-8 from byte 2 on; save it as UTF-8"),
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            let text = file_of_at_most(&path, 8).map_err(|error| error.to_string());
            assert_eq!(text.as_deref().map_err(String::as_str), expected);
        }
        let error = file(&directory).unwrap_err().to_string();
        assert_eq!(error, "it is a directory; give a regular file");
        #[cfg(unix)]
        {
            let pipe = directory.join("pipe.yaml");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.unwrap().success());
            let error = file(&pipe).unwrap_err().to_string();
            assert!(
                error.starts_with("it is a named pipe, a device or a socket"),
                "{error}"
            );
            // The pipe replaced a file after its type was checked.
            let (sender, result) = std::sync::mpsc::channel();
            std::thread::spawn(move || sender.send(unchecked_file_of_at_most(&pipe, 8)));
            let result = result.recv_timeout(std::time::Duration::from_secs(20));
            let error = result.expect("the pipe blocks").unwrap_err().to_string();
            assert!(
                error.starts_with("it is a named pipe, a device or a socket"),
                "{error}"
            );
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
