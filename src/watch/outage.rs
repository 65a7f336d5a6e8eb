//! Outages: where the API server is away for all watches, the log says so once, not per resource.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Which watches have no answer from the API server, and since when.
#[derive(Debug, Default)]
pub(super) struct Outage {
    now: Mutex<Option<Now>>,
}

#[derive(Debug)]
struct Now {
    watches: usize,
    since: Instant,
}

impl Outage {
    /// A watch has no answer any more; says whether it is the first.
    pub(super) fn begin(&self) -> bool {
        let mut now = self.now.lock();
        match &mut *now {
            Some(now) => {
                now.watches += 1;
                false
            }
            None => {
                *now = Some(Now {
                    watches: 1,
                    since: Instant::now(),
                });
                true
            }
        }
    }

    /// A watch has an answer again, or is no more; for the last one, says how long it took in all.
    pub(super) fn end(&self) -> Option<Duration> {
        let mut now = self.now.lock();
        let own = now.as_mut()?;
        own.watches -= 1;
        if own.watches > 0 {
            return None;
        }
        now.take().map(|own| own.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_begins_and_the_last_ends() {
        let outage = Outage::default();
        assert_eq!(outage.end(), None);
        for _ in 0..2 {
            assert!(outage.begin());
            assert!(!outage.begin());
            tokio::time::advance(Duration::from_secs(7)).await;
            assert_eq!(outage.end(), None);
            assert_eq!(outage.end(), Some(Duration::from_secs(7)));
        }
    }
}
