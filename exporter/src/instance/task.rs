//! [`BackgroundTask`]: a background task that is aborted when its handle is dropped.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

/// A handle of a spawned task. If the handle is dropped, the task is aborted.
#[derive(Debug)]
pub(super) struct BackgroundTask(JoinHandle<()>);

/// Ticks once a second. If a tick is late, the next ticks are delayed by the same time.
pub(super) fn every_second() -> Interval {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

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
