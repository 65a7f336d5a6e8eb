//! [`SharedWork`]: a computation whose result is shared by all requests that wait for it.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::limited_threads::LimitedThreads;

/// A computation. All requests that wait at the same time share one result.
///
/// Each request gets the result of a computation that began after the request arrived. Because requests share a result,
/// all waiting requests together cost as much as one request. So a client that sends many requests does not delay the
/// requests of other clients.
#[derive(Debug)]
pub(crate) struct SharedWork<T> {
    threads: LimitedThreads,
    last: Mutex<Option<Finished<T>>>,
}

#[derive(Debug)]
struct Finished<T> {
    began: Instant,
    result: Arc<T>,
}

// === impl SharedWork ===

impl<T: Send + Sync + 'static> SharedWork<T> {
    /// Allows at most `most` threads at the same time. A second thread is necessary only if clients disconnect before
    /// the computation is complete.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            threads: LimitedThreads::new(most),
            last: Mutex::default(),
        }
    }

    /// Returns a result of `work` that is computed entirely after this call. Returns `None` if `work` panics, or if the
    /// runtime is shutting down.
    pub(crate) async fn get(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<Arc<T>> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.began >= asked) {
            return Some(Arc::clone(&last.result));
        }
        // The earlier result is too old for this request, and therefore also for all later requests.
        *last = None;
        let timed = move || (Instant::now(), work());
        let (began, result) = self.threads.run(timed).await?;
        let result = Arc::new(result);
        *last = Some(Finished {
            began,
            result: Arc::clone(&result),
        });
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn requests_that_wait_together_share_one_result() {
        let shared = SharedWork::new(4);
        let runs = Arc::new(AtomicUsize::new(0));
        let get = || {
            let runs = Arc::clone(&runs);
            shared.get(move || {
                std::thread::sleep(Duration::from_millis(20));
                runs.fetch_add(1, Ordering::Relaxed)
            })
        };
        // The work of the first request begins before the other requests arrive. So the other requests need a second
        // result.
        let results = join_all((0..200).map(|_| get())).await;
        assert!(results.iter().all(|result| result.is_some()));
        let count = runs.load(Ordering::Relaxed);
        assert!(count <= 2, "{count} runs");
        assert_eq!(get().await.as_deref(), Some(&count), "a new result");
    }

    #[tokio::test]
    async fn work_that_panics_gives_no_result_and_is_done_again() {
        let shared = SharedWork::new(4);
        assert_eq!(shared.get(|| panic!("as the test wants")).await, None);
        assert_eq!(shared.get(|| 7).await.as_deref(), Some(&7));
    }
}
