//! Compresses blocks of the exposition before scrapes need them.

use std::sync::Arc;

use kube_state_metrics::StateMetrics;
use tokio::sync::Notify;

use super::task::every_second;

/// Refreshes and evicts compressed blocks once a second, and whenever a compressed scrape has begun.
pub(super) async fn maintain(metrics: StateMetrics, scrape_begun: Arc<Notify>) {
    let mut ticks = every_second();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = scrape_begun.notified() => {}
        }
        let metrics = metrics.clone();
        // Compressing many blocks would block an asynchronous task for too long.
        let refreshed = tokio::task::spawn_blocking(move || metrics.refresh_gzip_cache()).await;
        if refreshed.is_err() {
            return;
        }
    }
}
