//! [`Timing`]: the intervals of an election.
//!
//! The rules of the election are in [`machine`](super::machine).

use std::time::Duration;

/// Computes the intervals of an election from the duration of the Lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) duration: Duration,
}

/// The maximum time for which one response waits for hand-overs to this replica. This time is shorter than the usual
/// scrape timeouts.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(2);

// === impl Timing ===

impl Timing {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration }
    }

    /// How long a leader serves after the start of a renewal.
    pub(super) fn term(self) -> Duration {
        self.duration * 2 / 3
    }

    /// The interval of renewals.
    pub(super) fn interval(self) -> Duration {
        self.duration * 2 / 15
    }

    /// The interval at which a standby reads the Lease: at most 2 s. The maximum is necessary because a leader keeps an
    /// offer only for a fixed time, even if the Lease duration is long. A standby must see the offer within this time.
    pub(super) fn read_interval(self) -> Duration {
        self.interval().min(Duration::from_secs(2))
    }

    /// The maximum time of a request. A term (two thirds of the Lease duration) is longer than two such requests. So a
    /// leader stays the leader even if each renewal takes almost this time. The time is at most 5 s, so that a
    /// hand-over ends before the kubelet kills the pod.
    pub(super) fn timeout(self) -> Duration {
        (self.duration * 3 / 10).min(Duration::from_secs(5))
    }

    /// The interval at which replicas read the Lease during a hand-over. After a scrape, the old leader still serves
    /// for this time. A scraper may request all replicas at the same time. Then the hand-over happens after these
    /// requests and before the next requests.
    pub(super) fn pause(self) -> Duration {
        (self.duration / 30).min(Duration::from_millis(100))
    }

    /// How long a standby waits before it accepts an offer, if no scraper has scraped this standby. In this time, other
    /// standbys can accept the offer. Prometheus updates its discovered targets every 5 seconds, which is less than
    /// this time. The leader keeps its offer longer than this time.
    pub(super) fn unscraped_wait(self) -> Duration {
        Duration::from_secs(6)
    }

    /// How long a standby reads the Lease at a short interval after it has first seen an offer. The leader stops within
    /// this time, or withdraws the offer.
    pub(super) fn offer(self) -> Duration {
        Duration::from_secs(15)
    }

    /// After a standby has accepted the offer of a leader, how long the leader waits for a scrape before it stops
    /// serving.
    pub(super) fn scrape_wait(self) -> Duration {
        self.timeout().min(Duration::from_secs(1))
    }

    /// The maximum time for which a response waits for the result of a hand-over to this replica. The leader ignores an
    /// acceptance that may be older than this time, because the standby may have stopped since then.
    pub(super) fn hold(self) -> Duration {
        (self.scrape_wait() + Duration::from_secs(1)).min(LONGEST_HOLD)
    }

    /// How long a leader with `--ha-on-outage=keep` continues to serve after a failed request. The next request ends
    /// within this time, so the leader serves without a pause even if many requests fail.
    pub(super) fn extension(self) -> Duration {
        2 * self.interval() + self.timeout()
    }
}
