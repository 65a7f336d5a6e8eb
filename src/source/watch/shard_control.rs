//! [`ShardControl`]: the current shard, which can change while the watches run.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::metrics::WatchMetrics;
use super::reflector::ShardScope;
use crate::registry::StateMetrics;
use crate::scope::Shard;

/// Applies the current shard to the stores and to the requests.
pub(super) struct ShardControl {
    metrics: StateMetrics,
    watch_metrics: WatchMetrics,
    handover: Duration,
    current: Mutex<Current>,
    scope: watch::Sender<ShardScope>,
    changed: Notify,
}

struct Current {
    /// `None` before the StatefulSet is known.
    shard: Option<Shard>,
    /// Earlier shards, each with the time until which its objects are served.
    leaving: Vec<(Instant, Shard)>,
    generation: u64,
}

// === impl ShardControl ===

impl ShardControl {
    /// Starts with the shard of the stores if it `is_known`.
    pub(super) fn new(
        metrics: StateMetrics,
        watch_metrics: WatchMetrics,
        handover: Duration,
        is_known: bool,
    ) -> Self {
        let shard = metrics.shard();
        watch_metrics.set_shard(shard);
        let selector = Shard::selector(&[shard]).filter(|_| is_known);
        Self {
            metrics,
            watch_metrics,
            handover,
            current: Mutex::new(Current {
                shard: is_known.then_some(shard),
                leaving: Vec::new(),
                generation: 0,
            }),
            scope: watch::Sender::new(ShardScope {
                generation: 0,
                selector,
            }),
            changed: Notify::new(),
        }
    }

    /// Changes the shard. Objects of both shards stay, objects of the old shard alone are removed after
    /// the handover, and the objects of the new shard are listed now.
    pub(super) fn set(&self, shard: Shard) {
        let mut current = self.current.lock();
        if current.shard == Some(shard) {
            return;
        }
        if let Some(before) = current.shard.replace(shard)
            && !self.handover.is_zero()
        {
            let until = Instant::now() + self.handover;
            current.leaving.retain(|(_, own)| *own != before);
            current.leaving.push((until, before));
        }
        current.leaving.retain(|(_, own)| *own != shard);
        current.generation += 1;
        tracing::info!(%shard, "the shard has changed");
        self.publish(&current);
    }

    /// Ends handovers when their time is over. Never resolves.
    pub(super) async fn run(&self) {
        loop {
            let first = self
                .current
                .lock()
                .leaving
                .iter()
                .map(|(until, _)| *until)
                .min();
            let Some(first) = first else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(first) => {
                    let mut current = self.current.lock();
                    current.leaving.retain(|(until, _)| *until > Instant::now());
                    self.publish(&current);
                }
                () = self.changed.notified() => {}
            }
        }
    }

    /// Makes every watch check whether its store needs a list.
    pub(super) fn check_for_lists(&self) {
        self.scope.send_modify(|_| {});
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<ShardScope> {
        self.scope.subscribe()
    }

    /// Waits until the shard is known.
    pub(super) async fn known(&self) {
        let mut scope = self.scope.subscribe();
        while self.current.lock().shard.is_none() {
            if scope.changed().await.is_err() {
                return;
            }
        }
    }

    fn publish(&self, current: &Current) {
        let Some(shard) = current.shard else { return };
        let leaving: Vec<_> = current.leaving.iter().map(|(_, shard)| *shard).collect();
        let all: Vec<_> = leaving.iter().copied().chain([shard]).collect();
        // The stores first, so that they accept the objects of a list that begins now.
        self.metrics.set_shards(shard, leaving);
        self.watch_metrics.set_shard(shard);
        self.scope.send_replace(ShardScope {
            generation: current.generation,
            selector: Shard::selector(&all),
        });
        self.changed.notify_one();
    }
}
