//! Compresses blocks of the exposition before scrapes need them.

use std::sync::Arc;

use kube_state_metrics::StateMetrics;
use tokio::sync::Notify;

use super::task::every_second;
use crate::limited_threads::LimitedThreads;

/// Refreshes compressed blocks, and evicts unused blocks. The function does this once a second, and when a compressed
/// scrape begins. `threads` are the threads on which the function does this work.
pub(super) async fn maintain(
    metrics: StateMetrics,
    scrape_begun: Arc<Notify>,
    threads: Arc<LimitedThreads>,
) {
    let mut ticks = every_second();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = scrape_begun.notified() => {}
        }
        let metrics = metrics.clone();
        // The compression of many blocks takes too long for an asynchronous task.
        let refreshed = threads.run(move || metrics.refresh_gzip_cache()).await;
        if refreshed.is_none() {
            return;
        }
    }
}
