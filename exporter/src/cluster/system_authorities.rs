//! Checks the file with the certificate authorities of the system, before a TLS library reads it.

use std::env;
use std::path::PathBuf;

use config_file::ReadError;

use crate::file_limits;

/// The environment variable with the file of the certificate authorities of the system.
const SYSTEM_AUTHORITIES: &str = "SSL_CERT_FILE";

/// The file with the certificate authorities of the system cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{SYSTEM_AUTHORITIES} {}: {source}; correct the environment variable, or remove it",
    config_file::shown_path(path)
)]
pub(crate) struct UnreadableSystemAuthorities {
    path: PathBuf,
    source: ReadError,
}

/// Checks the file in the environment variable `SSL_CERT_FILE`. TLS libraries read this file without a limit on its size,
/// and would wait forever for a named pipe.
///
/// # Errors
///
/// The function fails if the file is missing, is not a regular file, or is too large.
pub(crate) fn check_system_authorities() -> Result<(), UnreadableSystemAuthorities> {
    match env::var_os(SYSTEM_AUTHORITIES) {
        Some(path) if !path.is_empty() => check_authorities(path.into()),
        _ => Ok(()),
    }
}

fn check_authorities(path: PathBuf) -> Result<(), UnreadableSystemAuthorities> {
    match config_file::read(&path, file_limits::CERTIFICATES) {
        Ok(_) => Ok(()),
        Err(source) => Err(UnreadableSystemAuthorities { path, source }),
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
            let error = check_authorities(path.into()).unwrap_err().to_string();
            let cure = "; correct the environment variable, or remove it";
            assert!(
                error.starts_with(expected) && error.ends_with(cure),
                "{error}"
            );
        }
        let program = env::args_os().next().unwrap();
        let error = check_authorities(program.into()).unwrap_err();
        assert!(
            matches!(error.source, ReadError::TooLarge { .. }),
            "{error}"
        );
    }
}
