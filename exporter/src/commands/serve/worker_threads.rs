//! The threads of the runtime. The runtime panics if the system creates no thread for it, or if the variable
//! `TOKIO_WORKER_THREADS` is invalid. The code here returns an error instead.

use std::ffi::OsStr;
use std::io;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::commands::output::AnyError;

/// The variable that sets the number of threads for tasks.
const VARIABLE: &str = "TOKIO_WORKER_THREADS";
/// The maximum value of the variable.
const MAX_THREADS: usize = 1024;
/// How long the start of a thread may take.
const START: Duration = Duration::from_secs(30);

/// Creates the runtime.
///
/// # Errors
///
/// The function fails if the system cannot create the runtime.
pub(super) fn runtime() -> io::Result<Runtime> {
    let variable = std::env::var_os(VARIABLE);
    let threads = threads(variable.as_deref()).unwrap_or_else(|| {
        tracing::warn!(
            "{VARIABLE} has no effect: it is not a whole number from 1 to {MAX_THREADS}; correct or remove it"
        );
        default_threads()
    });
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
}

/// Checks that the system can create a thread for blocking work. Without such a thread, the exporter would wait forever
/// for its first file.
///
/// # Errors
///
/// The function fails if no thread starts.
pub(super) async fn check() -> Result<(), AnyError> {
    match timeout(START, tokio::task::spawn_blocking(|| ())).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(format!(
            "no thread has started for {START:?}; raise the limits on processes and threads of the exporter"
        )
        .into()),
    }
}

/// Returns the number of threads for a value of the variable; `None` if the value is invalid.
fn threads(variable: Option<&OsStr>) -> Option<usize> {
    let Some(value) = variable else {
        return Some(default_threads());
    };
    let threads = value.to_str()?.parse().ok()?;
    (1..=MAX_THREADS).contains(&threads).then_some(threads)
}

fn default_threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_number_of_threads_is_not_used() {
        for (value, expected) in [
            ("4", Some(4)),
            ("1024", Some(1024)),
            ("1025", None),
            ("0", None),
            ("-1", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(threads(Some(value.as_ref())), expected, "{value}");
        }
        assert_eq!(threads(None), Some(default_threads()));
    }
}
