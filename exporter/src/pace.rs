//! [`Pace`]: a rate limit on requests.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// A rate limit: `burst` requests begin immediately, and each further request begins one interval after the request
/// before it.
pub(crate) struct Pace {
    interval: Duration,
    burst: u32,
    /// The time at which the next request would begin if the limit did not allow bursts.
    scheduled: Mutex<Option<Instant>>,
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second,
            burst: per_second,
            scheduled: Mutex::default(),
        }
    }

    /// Waits until the next request may begin.
    pub(crate) async fn wait(&self) {
        let begin = {
            let mut scheduled = self.scheduled.lock();
            let now = Instant::now();
            let next = scheduled.map_or(now, |scheduled| scheduled.max(now));
            *scheduled = Some(next + self.interval);
            now + (next - now).saturating_sub(self.interval * (self.burst - 1))
        };
        sleep_until(begin).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_requests_begin_at_the_rate() {
        let pace = Pace::new(50);
        let start = Instant::now();
        for (requests, passed) in [(50, 0), (1, 20), (50, 1020)] {
            for _ in 0..requests {
                pace.wait().await;
            }
            let elapsed = start.elapsed().as_millis();
            assert!((passed..=passed + 60).contains(&elapsed), "{elapsed}");
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let start = Instant::now();
        for _ in 0..50 {
            pace.wait().await;
        }
        assert!(start.elapsed() < Duration::from_millis(60));
    }
}
