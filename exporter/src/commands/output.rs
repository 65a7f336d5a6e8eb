//! Text for standard output and errors.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;

/// An error that ends the program. The message goes to standard error.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// The message of an error with the messages of its causes.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Writes to standard output, like [`write`].
pub(super) fn print(bytes: &[u8]) -> io::Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

/// Writes and flushes. If the reader, such as `head`, has closed the pipe, this is not an error.
pub(super) fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    unless_closed(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Returns the result of a write, but replaces the error of a closed pipe by success.
pub(super) fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// The error for a URL with `@`. Such a URL may contain a password, so the error does not show the URL.
pub(super) const USER_IN_URL: &str =
    "the URL must not contain a user name or a password; remove them from the URL";

/// Returns a list of paths for an error.
pub(super) fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| config_file::shown_path(path).into_owned())
        .collect();
    paths.join(", ")
}
