//! [`LimitedThreads`]: runs blocking functions on a limited number of threads.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A limited number of threads for functions that take too long for an asynchronous task. If all these threads are in
/// use, the next function waits. Therefore, a large number of requests cannot occupy all blocking threads of tokio.
#[derive(Debug)]
pub(crate) struct LimitedThreads(Arc<Semaphore>);

// === impl LimitedThreads ===

impl LimitedThreads {
    /// Allows at most `most` threads at the same time.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Calls `work` on a blocking thread of tokio. Returns `None` if `work` panics, or if the runtime is shutting down.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
        // This future is dropped if the client disconnects, but `work` continues. So the thread owns the permit.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.ok()
    }
}
