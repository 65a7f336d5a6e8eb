//! Limits the rate of requests with a token bucket. The token bucket allows a burst of requests at once, and then one
//! request per interval.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::document::RateLimitSection;
use crate::duration::{self, DurationError};

/// The limit on the rate of requests.
#[derive(Debug)]
pub(crate) struct RateLimit {
    burst: f64,
    interval: Duration,
    bucket: Mutex<Bucket>,
}

/// The reason why the section `rate_limit` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RateLimitError {
    #[error("rate_limit: interval: the value {0}")]
    Interval(DurationError),
    #[error("rate_limit: interval must not be negative; `0` disables the limit")]
    NegativeInterval,
    #[error(
        "rate_limit: burst must be at least 1, because every request would be refused with 0; to disable the limit, set \
         interval to `0`"
    )]
    NoBurst,
}

/// The state of the token bucket.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

// === impl RateLimit ===

impl RateLimit {
    /// Reads the section. As in the exporter-toolkit, the interval 0 disables the limit.
    pub(crate) fn from_section(section: &RateLimitSection) -> Result<Option<Self>, RateLimitError> {
        let interval = duration::parse(&section.interval);
        let interval = interval.map_err(RateLimitError::Interval)?;
        if interval.is_zero() {
            // The parser reads a negative duration as zero.
            return match section.interval.starts_with('-') {
                true => Err(RateLimitError::NegativeInterval),
                false => Ok(None),
            };
        }
        match section.burst {
            0 => Err(RateLimitError::NoBurst),
            burst => Ok(Some(Self::new(burst, interval))),
        }
    }

    fn new(burst: u32, interval: Duration) -> Self {
        let burst = f64::from(burst);
        Self {
            burst,
            interval,
            bucket: Mutex::new(Bucket {
                tokens: burst,
                since: Instant::now(),
            }),
        }
    }

    /// Takes a token for one request. Returns `false` if there is no token.
    pub(crate) fn take(&self) -> bool {
        let mut bucket = self.bucket.lock();
        let now = Instant::now();
        let earned = (now - bucket.since).as_secs_f64() / self.interval.as_secs_f64();
        let tokens = (bucket.tokens + earned).min(self.burst);
        let allowed = tokens >= 1.0;
        *bucket = Bucket {
            tokens: if allowed { tokens - 1.0 } else { tokens },
            since: now,
        };
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_one_request_per_interval() {
        let limit = RateLimit::new(2, Duration::from_secs(3600));
        let take = || limit.take();
        assert_eq!([take(), take(), take()], [true, true, false]);
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(!take());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([take(), take()], [true, false]);
        tokio::time::advance(Duration::from_secs(36_000)).await;
        assert_eq!([take(), take(), take()], [true, true, false]);

        let quick = RateLimit::new(1, Duration::from_nanos(1));
        assert!(quick.take());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(quick.take());
    }
}
