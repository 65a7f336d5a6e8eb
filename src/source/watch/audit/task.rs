//! [`Task`]: work of an audit that runs at the same time as the watch.

use std::future::{Future, pending};
use std::panic::resume_unwind;

use tokio::task::{JoinHandle, spawn_blocking};

/// Work of an audit that runs at the same time as the watch. Dropping the task stops the work, unless the work already
/// runs on a thread for blocking work.
///
/// A list needs memory of the buffers that all watches share. If a watch polled the list itself, the watch could wait
/// for memory that its own list holds.
#[derive(Debug)]
pub(super) struct Task<T> {
    handle: JoinHandle<T>,
    result: Option<T>,
}

// === impl Task ===

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::new(tokio::spawn(work))
    }

    /// Runs work that takes too long for a worker thread of the runtime.
    pub(super) fn spawn_blocking(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self::new(spawn_blocking(work))
    }

    fn new(handle: JoinHandle<T>) -> Self {
        Self {
            handle,
            result: None,
        }
    }

    /// Waits until the work has ended. No result is lost if the future is dropped.
    pub(super) async fn finished(&mut self) {
        if self.result.is_some() {
            return;
        }
        match (&mut self.handle).await {
            Ok(result) => self.result = Some(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => pending().await,
            },
        }
    }

    /// Takes the result of work that has [finished](Self::finished).
    pub(super) fn take(&mut self) -> Option<T> {
        self.result.take()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
