//! [`WatchTimeouts`]: the timeouts of requests to the API server, and the backoff after failed requests.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use crate::source::health::FailureReason;

/// The timeouts and backoffs of a watch. The defaults are suitable for clusters. Tests can use shorter times.
///
/// ```
/// use std::time::Duration;
///
/// use kube_state_metrics::source::watch::WatchTimeouts;
///
/// let mut timeouts = WatchTimeouts::default();
/// timeouts.backoff_max = Duration::from_secs(10);
/// assert!(timeouts.backoff < timeouts.backoff_max);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchTimeouts {
    /// Backoff after the first failure, 800 ms by default. Each further failure doubles the backoff.
    ///
    /// Every backoff is multiplied by a random factor from 1 to 2, so that resources do not retry at
    /// the same time.
    pub backoff: Duration,
    /// Maximum backoff before the random factor, 30 s by default.
    pub backoff_max: Duration,
    /// Maximum backoff before the random factor while the server is unreachable, 1.2 s by default. A status of 502, 503
    /// or 504 from a proxy also means that the server is unreachable, except in two cases: the server has sent a part
    /// of a list before the failure, or lists succeed and only watches fail. When the server is reachable again, this
    /// maximum still applies for the time [`recovery`](Self::recovery). A short maximum causes changes to arrive soon
    /// after an outage.
    pub backoff_max_unreachable: Duration,
    /// After the server is reachable again, [`backoff_max_unreachable`](Self::backoff_max_unreachable) still applies
    /// for this time, 60 s by default.
    pub recovery: Duration,
    /// Time without a failure after which the backoff is reset to the first backoff, 120 s by default. A watch that
    /// lasts at least as long as the last backoff also resets the backoff.
    pub backoff_reset: Duration,
    /// Range of the random duration after which the server ends a watch; 300 s to 600 s by default.
    pub watch: Range<Duration>,
    /// Time without a complete event or bookmark after which a watch is closed and resumed, 90 s by default. If the
    /// watch has received only a part of an event at that time, the watch has failed.
    pub silence: Duration,
    /// Time without a complete object after which a list fails, 60 s by default. All other responses must be complete
    /// within this time.
    pub response: Duration,
    /// Maximum time of a list in pages, 1 h by default. An hour is enough for slow connections and large clusters: API
    /// servers limit each response to a minute, and keep the version of a list for some minutes. Only the time in which
    /// the list waits for the server counts.
    pub list: Duration,
    /// How long events are collected before the watch reads them together, 15 ms by default. Reading each event
    /// separately needs much more CPU time.
    pub gather: Duration,
    /// Time after which the samples of a resource are removed if the server answers that the resource does not exist,
    /// 60 s by default.
    pub gone_after: Duration,
}

/// The backoff of one feed.
#[derive(Debug)]
pub(super) struct Backoff {
    timeouts: WatchTimeouts,
    failures: u32,
    last_wait: Duration,
    last: Option<Last>,
    away_at: Option<Instant>,
}

/// The last failure of a feed.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// When the backoff of the last failure ended.
    at: Instant,
    reason: FailureReason,
    /// Whether the server was unreachable.
    is_away: bool,
}

// === impl WatchTimeouts ===

impl Default for WatchTimeouts {
    fn default() -> Self {
        Self {
            backoff: Duration::from_millis(800),
            backoff_max: Duration::from_secs(30),
            backoff_max_unreachable: Duration::from_millis(1_200),
            recovery: Duration::from_secs(60),
            backoff_reset: Duration::from_secs(120),
            watch: Duration::from_secs(300)..Duration::from_secs(600),
            silence: Duration::from_secs(90),
            response: Duration::from_secs(60),
            list: Duration::from_secs(3600),
            gather: Duration::from_millis(15),
            gone_after: Duration::from_secs(60),
        }
    }
}

impl WatchTimeouts {
    /// Returns a random duration from the range `watch`, in seconds.
    pub(super) fn watch_seconds(&self) -> u64 {
        let (start, end) = (self.watch.start.as_secs(), self.watch.end.as_secs());
        if end > start {
            fastrand::u64(start..end)
        } else {
            start
        }
    }
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(timeouts: WatchTimeouts) -> Self {
        Self {
            timeouts,
            failures: 0,
            last_wait: Duration::ZERO,
            last: None,
            away_at: None,
        }
    }

    /// Returns the number of consecutive failures.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The last backoff, without the time in `Retry-After`. Zero after a reset, or if the last failure was more than
    /// [`WatchTimeouts::backoff_reset`] ago. In both cases, the next backoff is the shortest one.
    pub(super) fn last_wait(&self) -> Duration {
        match self.last {
            Some(last) if last.at.elapsed() <= self.timeouts.backoff_reset => self.last_wait,
            _ => Duration::ZERO,
        }
    }

    /// Resets the backoff to the shortest backoff.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.last_wait = Duration::ZERO;
    }

    /// Ends the time in which the maximum for an unreachable server applies.
    pub(super) fn server_is_reachable(&mut self) {
        self.away_at = None;
    }

    /// The backoff after `failure`.
    ///
    /// The backoff is zero if a version has expired for the first time, because this is not an error.
    pub(super) fn next(&mut self, failure: &Failure) -> Duration {
        let now = Instant::now();
        let (timeouts, reason) = (&self.timeouts, failure.reason);
        let before = self
            .last
            .filter(|last| now.duration_since(last.at) <= timeouts.backoff_reset);
        if before.is_none() {
            self.last_wait = Duration::ZERO;
        }
        let mut last = Last {
            at: now,
            reason,
            is_away: failure.is_away,
        };
        let expired = FailureReason::Expired;
        let is_new = before.is_none_or(|before| before.reason != expired);
        if reason == expired && is_new && failure.retry_after.is_none() {
            self.last = Some(last);
            return Duration::ZERO;
        }
        // If the server has just become unreachable or reachable, the number of failures starts again at zero.
        if before.is_none_or(|before| before.is_away != last.is_away) {
            self.failures = 0;
        }
        if last.is_away {
            self.away_at = Some(now);
        }
        let recovers = |at: Instant| now.duration_since(at) < timeouts.recovery;
        let max = if self.away_at.is_some_and(recovers) {
            timeouts.backoff_max_unreachable
        } else {
            timeouts.backoff_max
        };
        let doubled = timeouts.backoff.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let (wait, own_wait) = match failure.retry_after {
            None => {
                let wait = doubled.min(max).mul_f64(1.0 + fastrand::f64());
                (wait, wait)
            }
            // A random time is added, so that feeds with the same `Retry-After` do not retry at the same time.
            Some(asked) => {
                let random = timeouts.backoff.mul_f64(fastrand::f64());
                (asked.saturating_add(random), doubled.min(max))
            }
        };
        last.at = now + wait;
        self.last_wait = own_wait;
        self.last = Some(last);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: FailureReason) -> Failure {
        Failure::new(reason, "")
    }

    fn assert_within(wait: Duration, millis: u64) {
        let range = Duration::from_millis(millis)..Duration::from_millis(millis * 2 + 1);
        assert!(range.contains(&wait), "{wait:?} not in {range:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_cap_and_start_over_after_a_quiet_time() {
        let mut backoff = Backoff::new(WatchTimeouts::default());
        for millis in [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = backoff.next(&failure(FailureReason::Forbidden));
            assert_within(wait, millis);
            tokio::time::advance(wait).await;
        }
        tokio::time::advance(Duration::from_secs(119)).await;
        assert_within(backoff.next(&failure(FailureReason::Forbidden)), 30_000);
        tokio::time::advance(Duration::from_secs(60 + 121)).await;
        assert_within(backoff.next(&failure(FailureReason::Forbidden)), 800);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_asked_often_and_afresh_once_it_answers() {
        let mut backoff = Backoff::new(WatchTimeouts::default());
        for _ in 0..20 {
            let wait = backoff.next(&failure(FailureReason::Unreachable));
            assert!(wait < Duration::from_millis(2_401), "{wait:?}");
            tokio::time::advance(wait).await;
        }
        for millis in [800, 1_200, 1_200] {
            assert_within(backoff.next(&failure(FailureReason::ServerError)), millis);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_within(backoff.next(&failure(FailureReason::ServerError)), 6_400);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_version_costs_no_wait_unless_it_happens_again_and_again() {
        let mut backoff = Backoff::new(WatchTimeouts::default());
        assert_eq!(
            backoff.next(&failure(FailureReason::Expired)),
            Duration::ZERO
        );
        assert_within(backoff.next(&failure(FailureReason::Expired)), 800);
        assert_within(backoff.next(&failure(FailureReason::ServerError)), 1_600);
        let after_another = backoff.next(&failure(FailureReason::Expired));
        assert_eq!(after_another, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_how_long_is_taken_at_its_word_each_time() {
        // If etcd is down, an API server answers with `Retry-After: 1` until etcd is available again.
        let mut backoff = Backoff::new(WatchTimeouts::default());
        let mut throttled = failure(FailureReason::Throttled);
        throttled.retry_after = Some(Duration::from_secs(1));
        for _ in 0..20 {
            let wait = backoff.next(&throttled);
            let range = Duration::from_secs(1)..Duration::from_millis(1_801);
            assert!(range.contains(&wait), "{wait:?}");
            tokio::time::advance(wait).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_more() {
        let mut backoff = Backoff::new(WatchTimeouts::default());
        let mut throttled = failure(FailureReason::Throttled);
        throttled.retry_after = Some(Duration::from_secs(20));
        let wait = backoff.next(&throttled);
        assert!(
            wait >= Duration::from_secs(20) && wait < Duration::from_secs(21),
            "{wait:?}"
        );
    }

    #[test]
    fn watches_end_at_different_times() {
        let timeouts = WatchTimeouts::default();
        let lengths: std::collections::BTreeSet<_> =
            (0..50).map(|_| timeouts.watch_seconds()).collect();
        assert!(lengths.len() > 10 && lengths.iter().all(|length| (300..600).contains(length)));
    }
}
