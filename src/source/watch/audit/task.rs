//! [`Task`]: a request or a computation of an audit, which runs in a separate task.

use std::future::{Future, pending};
use std::panic::resume_unwind;

use tokio::task::{JoinHandle, spawn_blocking};

/// A request or a computation of an audit, which runs in a separate task. Dropping this value stops the task. A
/// computation that has already begun on a thread for blocking work is not stopped.
///
/// The separate task prevents a deadlock. A list and the watch both need memory from the buffer budget, which limits
/// the memory for incomplete objects. Without it, the task of the watch would also read the list. It could then wait
/// for memory that its own list uses, and the list would never continue.
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

    /// Runs a computation that takes too long for a worker thread of the runtime.
    pub(super) fn spawn_blocking(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self::new(spawn_blocking(work))
    }

    fn new(handle: JoinHandle<T>) -> Self {
        Self {
            handle,
            result: None,
        }
    }

    /// Waits until the task has ended. If this future is dropped, the result is not lost.
    pub(super) async fn finished(&mut self) {
        if self.result.is_some() {
            return;
        }
        match (&mut self.handle).await {
            Ok(result) => self.result = Some(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The task was cancelled, because the runtime is shutting down.
                Err(_) => pending().await,
            },
        }
    }

    /// Takes the result, if the task has [finished](Self::finished).
    pub(super) fn take(&mut self) -> Option<T> {
        self.result.take()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
