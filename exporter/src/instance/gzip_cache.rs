//! Compresses blocks of the exposition before scrapes need them.

use kube_state_metrics::StateMetrics;

use super::task::every_second;

/// Refreshes and evicts compressed blocks once a second.
pub(super) async fn maintain(metrics: StateMetrics) {
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        // Compressing many blocks would block an asynchronous task for too long.
        let refreshed = tokio::task::spawn_blocking(move || metrics.refresh_gzip_cache()).await;
        if refreshed.is_err() {
            return;
        }
    }
}
