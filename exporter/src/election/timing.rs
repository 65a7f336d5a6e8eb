//! [`Timing`]: the intervals of an election.

use std::time::Duration;

/// The intervals that are computed from the duration of the Lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) duration: Duration,
}

/// The maximum time for which a response waits for the results of hand-overs to this replica. This time is shorter than
/// the usual timeouts of scrapes.
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

    /// The interval at which a standby reads the Lease: at most 2 s. A standby must see an offer before the leader
    /// releases the Lease, and a leader offers the Lease for a time that does not depend on the duration of the Lease.
    pub(super) fn read_interval(self) -> Duration {
        self.interval().min(Duration::from_secs(2))
    }

    /// The maximum time of a request. If each renewal takes a little less than this time, the leader stays the leader,
    /// because two renewals fit into a term. The time is at most 5 s, because the kubelet kills the pod if requests at
    /// the end of a hand-over take longer.
    pub(super) fn timeout(self) -> Duration {
        (self.duration * 3 / 10).min(Duration::from_secs(5))
    }

    /// The interval of reads during a hand-over, and the time from a scrape to the end of serving. If a scraper
    /// requests several replicas at once, the hand-over comes after all these requests, and before the next ones.
    pub(super) fn pause(self) -> Duration {
        (self.duration / 30).min(Duration::from_millis(100))
    }

    /// How long a standby that was never scraped leaves an offer to other standbys. Prometheus updates its discovered
    /// targets every 5 seconds. The leader waits for an acceptance for longer than this time.
    pub(super) fn unscraped_wait(self) -> Duration {
        Duration::from_secs(6)
    }

    /// How long a standby reads the Lease at a short interval after it has first seen an offer. Within this time, the
    /// leader withdraws the offer or stops.
    pub(super) fn offer(self) -> Duration {
        Duration::from_secs(15)
    }

    /// How long a leader with a successor waits for a scrape before it stops serving.
    pub(super) fn scrape_wait(self) -> Duration {
        self.timeout().min(Duration::from_secs(1))
    }

    /// The maximum time for which a response waits for the result of a hand-over to this replica. The leader ignores an
    /// acceptance that may be older than this time, because the standby may have stopped.
    pub(super) fn hold(self) -> Duration {
        (self.scrape_wait() + Duration::from_secs(1)).min(LONGEST_HOLD)
    }

    /// How long a leader continues to serve after a request without a response: until the next request has also failed.
    pub(super) fn extension(self) -> Duration {
        2 * self.interval() + self.timeout()
    }
}
