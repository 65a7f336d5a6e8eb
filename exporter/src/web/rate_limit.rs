//! A bucket of tokens: a burst of requests at once, then one per interval.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct RateLimit {
    burst: f64,
    interval: Duration,
    bucket: Mutex<(f64, Instant)>,
}

// === impl RateLimit ===

impl RateLimit {
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        let burst = f64::from(burst);
        Self {
            burst,
            interval,
            bucket: Mutex::new((burst, Instant::now())),
        }
    }

    /// Whether one more request is within the limit.
    pub(super) fn take(&self) -> bool {
        let mut bucket = self.bucket.lock();
        let (tokens, since) = *bucket;
        let now = Instant::now();
        let earned = (now - since).as_secs_f64() / self.interval.as_secs_f64();
        let tokens = (tokens + earned).min(self.burst);
        let allowed = tokens >= 1.0;
        *bucket = (if allowed { tokens - 1.0 } else { tokens }, now);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_nothing_for_an_interval() {
        let limit = RateLimit::new(2, Duration::from_secs(3600));
        assert_eq!(
            [limit.take(), limit.take(), limit.take()],
            [true, true, false]
        );
        let quick = RateLimit::new(1, Duration::from_nanos(1));
        assert!(quick.take());
        std::thread::sleep(Duration::from_millis(1));
        assert!(quick.take());
    }
}
