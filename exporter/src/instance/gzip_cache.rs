//! Compression ahead of scrapes.

use std::time::Duration;

use kube_state_metrics::StateMetrics;
use tokio::time::MissedTickBehavior;

/// Refreshes and evicts compressed blocks once a second.
pub(super) async fn maintain(metrics: StateMetrics) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        // Compressing many blocks takes too long for an asynchronous task.
        let refreshed = tokio::task::spawn_blocking(move || metrics.refresh_gzip_cache()).await;
        if refreshed.is_err() {
            return;
        }
    }
}
