//! Checks the file and the directories with the certificate authorities of the system, before a TLS library reads them.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use config_file::ReadError;

use crate::file_limits;

/// The environment variable with the file of the certificate authorities of the system.
const FILE: &str = "SSL_CERT_FILE";
/// The environment variable with the directories of these authorities. Colons separate the directories.
const DIRECTORIES: &str = "SSL_CERT_DIR";

/// The file or the directory with the certificate authorities of the system cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{variable} {}: {source}; correct the environment variable, or remove it",
    config_file::shown_path(path)
)]
pub(crate) struct UnreadableSystemAuthorities {
    variable: &'static str,
    path: PathBuf,
    source: ReadError,
}

/// Checks the file in the environment variable `SSL_CERT_FILE`, or the directories in `SSL_CERT_DIR` if there is no such
/// file. TLS libraries read this file without a limit on its size, and would wait forever for a named pipe. They ignore
/// a directory that they cannot read. With a file, they have authorities nevertheless.
///
/// # Errors
///
/// The function fails if the file is missing, is not a regular file, or is too large. Without a file, the function fails
/// if none of the directories can be listed.
pub(crate) fn check_system_authorities() -> Result<(), UnreadableSystemAuthorities> {
    let value = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(path) = value(FILE) {
        return check_file(path.into());
    }
    match value(DIRECTORIES) {
        Some(paths) => check_directories(&paths),
        None => Ok(()),
    }
}

fn check_file(path: PathBuf) -> Result<(), UnreadableSystemAuthorities> {
    match config_file::read(&path, file_limits::CERTIFICATES) {
        Ok(_) => Ok(()),
        Err(source) => Err(UnreadableSystemAuthorities {
            variable: FILE,
            path,
            source,
        }),
    }
}

/// Checks that at least one of the directories can be listed. As in other programs, the others may be missing, and an
/// empty path is ignored.
fn check_directories(paths: &OsStr) -> Result<(), UnreadableSystemAuthorities> {
    let mut first = None;
    let paths = env::split_paths(paths).filter(|path| !path.as_os_str().is_empty());
    for path in paths {
        match std::fs::read_dir(&path) {
            Ok(_) => return Ok(()),
            Err(error) => first = first.or(Some((path, error))),
        }
    }
    match first {
        None => Ok(()),
        Some((path, error)) => Err(UnreadableSystemAuthorities {
            variable: DIRECTORIES,
            path,
            source: error.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_system_authorities_that_never_ends_is_refused() {
        for (path, expected) in [
            ("/dev/zero", "SSL_CERT_FILE /dev/zero: "),
            ("/", "SSL_CERT_FILE /: "),
            ("/nothing/here", "SSL_CERT_FILE /nothing/here: "),
        ] {
            let error = check_file(path.into()).unwrap_err().to_string();
            let cure = "; correct the environment variable, or remove it";
            assert!(
                error.starts_with(expected) && error.ends_with(cure),
                "{error}"
            );
        }
        let program = env::args_os().next().unwrap();
        let error = check_file(program.into()).unwrap_err();
        assert!(
            matches!(error.source, ReadError::TooLarge { .. }),
            "{error}"
        );
    }

    #[test]
    fn directories_of_system_authorities_that_cannot_be_listed_are_refused() {
        let check =
            |paths: &str| check_directories(OsStr::new(paths)).map_err(|own| own.to_string());
        for wrong in ["/dev/null", "/nothing/here", "/nothing/here:/dev/null"] {
            let error = check(wrong).unwrap_err();
            let first = wrong.split(':').next().unwrap();
            assert!(
                error.starts_with(&format!("SSL_CERT_DIR {first}: ")),
                "{error}"
            );
        }
        for right in ["/nothing/here:/", ":", ":/"] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
    }
}
