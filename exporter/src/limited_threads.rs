//! A limited number of threads for blocking work.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs functions that take too long for an asynchronous task. If all threads are in use, the next function waits. So a
/// flood of requests does not occupy all threads for blocking work.
#[derive(Debug)]
pub(crate) struct LimitedThreads(Arc<Semaphore>);

// === impl LimitedThreads ===

impl LimitedThreads {
    /// Allows at most `most` threads at the same time.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Calls `work` on a thread for blocking work. Returns `None` if the thread panics, or if the runtime is shutting
    /// down.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
        // The thread owns the permit, because the thread continues even if the client disconnects.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.ok()
    }
}
