//! A task that ends with its handle.

use std::future::Future;

use tokio::task::JoinHandle;

/// A spawned task; dropping the handle aborts it.
#[derive(Debug)]
pub(super) struct BackgroundTask(JoinHandle<()>);

// === impl BackgroundTask ===

impl BackgroundTask {
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    pub(super) fn is_running(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
