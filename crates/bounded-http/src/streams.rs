//! [`StreamExecutor`]: runs the streams of an HTTP/2 connection as tasks, so that the server can reset a single stream.
//!
//! hyper takes one piece of the body of a response, and takes no other piece until the client permits the bytes of the
//! first one. So a body cannot end a stream whose client gives no window. Instead, the server drops the task of the
//! stream. hyper then resets the stream and drops the bytes that wait for the window.

use std::sync::Arc;

use hyper::rt::Executor;
use tokio::sync::Notify;

tokio::task_local! {
    /// The stream whose task runs.
    static STREAM: StreamHandle;
}

/// Resets one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamHandle(Arc<Notify>);

/// Runs each stream of a connection as a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamExecutor;

// === impl StreamHandle ===

impl StreamHandle {
    /// Returns the handle of the stream whose task runs; `None` outside of such tasks, for example in HTTP/1.
    pub(crate) fn current() -> Option<Self> {
        STREAM.try_with(Self::clone).ok()
    }

    /// Resets the stream.
    pub(crate) fn reset(&self) {
        self.0.notify_one();
    }
}

// === impl StreamExecutor ===

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let handle = StreamHandle::default();
        let reset = Arc::clone(&handle.0);
        tokio::spawn(STREAM.scope(handle, async move {
            tokio::select! {
                biased;
                () = reset.notified() => {}
                _ = stream => {}
            }
        }));
    }
}
