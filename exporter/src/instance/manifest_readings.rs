//! [`ManifestReadings`]: requests a reading of the manifests, and waits until a reading has found all objects.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// The readings of the manifests of an instance.
#[derive(Debug)]
pub(super) struct ManifestReadings {
    requested: Notify,
    /// The number of readings that have begun.
    begun: AtomicU64,
    last: watch::Sender<Reading>,
}

/// A reading that has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    /// The number of readings that had begun when this reading began, this reading included.
    number: u64,
    /// Whether objects of an earlier reading stay, because a file is incomplete or may still change.
    keeps_objects: bool,
}

// === impl ManifestReadings ===

impl ManifestReadings {
    pub(super) fn new() -> Self {
        Self {
            requested: Notify::new(),
            begun: AtomicU64::new(0),
            last: watch::Sender::default(),
        }
    }

    /// Waits until a reading is requested.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Records the end of the reading that has begun last.
    pub(super) fn end(&self, keeps_objects: bool) {
        let number = self.begun.load(Ordering::SeqCst);
        self.last.send_replace(Reading {
            number,
            keeps_objects,
        });
    }

    /// Requests a reading, and waits until a reading that begins after the call has found all objects.
    pub(super) async fn read_completely(&self) {
        let before = self.begun.load(Ordering::SeqCst);
        self.requested.notify_one();
        let mut last = self.last.subscribe();
        let is_complete = |reading: &Reading| reading.number > before && !reading.keeps_objects;
        // The wait cannot fail, because `self` has the sender.
        let _ = last.wait_for(is_complete).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_later_reading_with_all_objects_ends_the_wait() {
        let readings = ManifestReadings::new();
        let wait = Duration::from_secs(100);
        // A reading that began before the request may have read a file before it changed.
        readings.begin();
        let mut complete = pin!(readings.read_completely());
        assert!(timeout(wait, &mut complete).await.is_err());
        readings.end(false);
        assert!(timeout(wait, &mut complete).await.is_err());
        assert!(timeout(wait, readings.requested()).await.is_ok());
        readings.begin();
        readings.end(true);
        assert!(timeout(wait, &mut complete).await.is_err());
        readings.begin();
        readings.end(false);
        assert!(timeout(wait, &mut complete).await.is_ok());
    }
}
