//! [`ShardControl`]: the shard of this exporter, which can change while the watches run.
//!
//! For example, the shard follows the number of replicas of a StatefulSet. After a change, a hand-over begins: for some
//! time, the exporter still serves the objects of the earlier shard, so that the other exporters can list them first.

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
    /// The current shard. `None` until the StatefulSet is known.
    shard: Option<Shard>,
    /// When the StatefulSet last changed the shard.
    changed_at: Option<Instant>,
    /// The next shard, which becomes the current shard [`MIN_PERIOD`] after the last change by the StatefulSet.
    next: Option<Shard>,
    /// Earlier shards whose objects are still served.
    leaving: Vec<LeavingShard>,
    /// Whether all replicas of the StatefulSet are ready. True if the number of ready replicas is unknown.
    replicas_ready: bool,
    generation: u64,
}

/// An earlier shard whose objects are still served.
#[derive(Clone, Copy)]
struct LeavingShard {
    shard: Shard,
    /// The hand-over ends at this time if all replicas are ready.
    earliest: Instant,
    /// The hand-over ends at this time even if some replicas are not ready.
    latest: Instant,
}

/// Minimum time between two changes of the shard by the StatefulSet. Each change causes a list of every resource.
const MIN_PERIOD: Duration = Duration::from_secs(5);
/// How long a hand-over waits for replicas that are not ready.
const MAX_HANDOVER: Duration = Duration::from_secs(600);

// === impl ShardControl ===

impl ShardControl {
    /// Creates the control of the shard. If `is_known` is true, the current shard is the shard of the stores.
    /// Otherwise, the shard is unknown until [`set`](Self::set) or [`set_soon`](Self::set_soon) is called.
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
                changed_at: None,
                next: None,
                leaving: Vec::new(),
                replicas_ready: true,
                generation: 0,
            }),
            scope: watch::Sender::new(ShardScope {
                generation: 0,
                selector,
            }),
            changed: Notify::new(),
        }
    }

    /// Changes the shard. The watches list the objects of the new shard immediately. Objects that are in the old and in
    /// the new shard stay. Objects that are only in the old shard are removed after the hand-over.
    pub(super) fn set(&self, shard: Shard) {
        self.change(&mut self.current.lock(), shard);
    }

    /// Changes the shard like [`set`](Self::set). If the last change by the StatefulSet is more recent than
    /// [`MIN_PERIOD`], the new change waits until this period is over. Only the last change within a period has an
    /// effect.
    pub(super) fn set_soon(&self, shard: Shard) {
        let mut current = self.current.lock();
        current.next = Some(shard).filter(|_| current.shard != Some(shard));
        self.follow(&mut current);
        self.changed.notify_one();
    }

    /// Makes the next shard the current shard. Does nothing if there is no next shard, or if less than [`MIN_PERIOD`]
    /// has passed since the last change by the StatefulSet.
    fn follow(&self, current: &mut Current) {
        let now = Instant::now();
        if current.next_at().is_some_and(|at| at > now) {
            return;
        }
        let Some(shard) = current.next.take() else {
            return;
        };
        // The first shard is not a change, so it does not delay the next change.
        if current.shard.is_some() {
            current.changed_at = Some(now);
        }
        self.change(current, shard);
    }

    fn change(&self, current: &mut Current, shard: Shard) {
        current.next = None;
        if current.shard == Some(shard) {
            return;
        }
        if let Some(before) = current.shard.replace(shard)
            && !self.handover.is_zero()
        {
            let earliest = Instant::now() + self.handover;
            current.leaving.retain(|own| own.shard != before);
            current.leaving.push(LeavingShard {
                shard: before,
                earliest,
                latest: earliest.max(Instant::now() + MAX_HANDOVER),
            });
        }
        current.leaving.retain(|own| own.shard != shard);
        current.generation += 1;
        tracing::info!(%shard, "the shard has changed");
        self.publish(current);
    }

    /// Sets whether all replicas of the StatefulSet are ready. A hand-over does not end before all replicas are ready
    /// or [`MAX_HANDOVER`] is over.
    pub(super) fn set_replicas_ready(&self, are_ready: bool) {
        self.current.lock().replicas_ready = are_ready;
        self.changed.notify_one();
    }

    /// Removes earlier shards when their hand-overs end, and makes the next shard the current shard at its time. Never
    /// resolves.
    pub(super) async fn run(&self) {
        loop {
            let first = self.current.lock().next_due();
            let Some(first) = first else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(first) => {
                    let mut current = self.current.lock();
                    self.follow(&mut current);
                    if current.end_handovers() {
                        self.publish(&current);
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }

    /// Notifies every watch to check whether its store needs a list.
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
        let leaving: Vec<_> = current.leaving.iter().map(|own| own.shard).collect();
        let all: Vec<_> = leaving.iter().copied().chain([shard]).collect();
        // The shard of the stores changes before the shard of the requests, so that the stores accept all objects of
        // the next list.
        self.metrics.set_shards(shard, leaving);
        self.watch_metrics.set_shard(shard);
        self.scope.send_replace(ShardScope {
            generation: current.generation,
            selector: Shard::selector(&all),
        });
        self.changed.notify_one();
    }
}

// === impl Current ===

impl Current {
    /// The time at which the next hand-over ends or the next shard becomes the current shard.
    fn next_due(&self) -> Option<Instant> {
        let ends = self.leaving.iter().map(|own| self.end_of(own));
        ends.chain(self.next_at()).min()
    }

    /// The time at which the next shard becomes the current shard. `None` if there is no next shard, or if the next
    /// shard becomes the current shard immediately.
    fn next_at(&self) -> Option<Instant> {
        self.next.and(self.changed_at).map(|at| at + MIN_PERIOD)
    }

    /// Removes the shards whose hand-over is over. Returns whether shards were removed.
    fn end_handovers(&mut self) -> bool {
        let (now, count) = (Instant::now(), self.leaving.len());
        let mut leaving = std::mem::take(&mut self.leaving);
        leaving.retain(|own| self.end_of(own) > now);
        self.leaving = leaving;
        self.leaving.len() < count
    }

    fn end_of(&self, leaving: &LeavingShard) -> Instant {
        if self.replicas_ready {
            leaving.earliest
        } else {
            leaving.latest
        }
    }
}
