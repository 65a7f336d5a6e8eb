//! The hand-over of a shard during a shutdown.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::app_state::AppState;

/// The interval of two checks during a shutdown: whether the StatefulSet has removed the exporter's shard, and whether
/// the exporter still serves objects of this shard.
const SHARD_CHECK: Duration = Duration::from_millis(250);
/// How long the exporter waits, during a shutdown, for a watch event of its StatefulSet. The event shows that the
/// StatefulSet has removed the exporter's shard. The shutdown signal may arrive before this event.
const REMOVAL_NEWS: Duration = Duration::from_secs(2);

/// If the StatefulSet removes this replica, waits until the replica serves no objects. During this wait, the other
/// replicas list the objects of this replica.
pub(super) async fn hand_over_shard(app: &AppState) {
    let instance = app.instance();
    let is_removed = async {
        loop {
            let shard = instance.metrics.shard();
            if shard.index() >= shard.total() {
                return;
            }
            sleep(SHARD_CHECK).await;
        }
    };
    if timeout(REMOVAL_NEWS, is_removed).await.is_err() {
        return;
    }
    while instance
        .on_blocking_thread(|own| own.status().objects())
        .await
        > 0
    {
        sleep(SHARD_CHECK).await;
    }
}
