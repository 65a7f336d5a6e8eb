//! [`Timing`]: the intervals of an election.

use std::time::Duration;

/// The intervals that follow from the duration of the Lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) duration: Duration,
}

/// The maximum time for which a response waits for the results of hand-overs to this replica. It is shorter than usual
/// timeouts of scrapes.
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

    /// The interval of a standby's reads. A standby must see an offer before the leader releases the Lease, which does
    /// not depend on the duration.
    pub(super) fn read_interval(self) -> Duration {
        self.interval().min(Duration::from_secs(2))
    }

    /// The maximum time of a request. A leader whose renewals each take a little less stays the leader, because two of
    /// them fit into a term. At the end of a hand-over, a pod has no time for longer requests.
    pub(super) fn timeout(self) -> Duration {
        (self.duration * 3 / 10).min(Duration::from_secs(5))
    }

    /// The interval of reads during a hand-over, and the time from a scrape to the end of serving. If a scraper requests
    /// several replicas at once, the hand-over is later than all these requests, and earlier than the next ones.
    pub(super) fn pause(self) -> Duration {
        (self.duration / 30).min(Duration::from_millis(100))
    }

    /// How long a standby that was never scraped leaves an offer to other standbys. Prometheus applies discovered targets
    /// every 5 seconds. The leader waits longer than this time.
    pub(super) fn unscraped_wait(self) -> Duration {
        Duration::from_secs(6)
    }

    /// How long a standby reads an offer often. A leader that lives longer than this withdraws the offer or has stopped.
    pub(super) fn offer(self) -> Duration {
        Duration::from_secs(15)
    }

    /// How long a leader with a successor waits for a scrape.
    pub(super) fn scrape_wait(self) -> Duration {
        self.timeout().min(Duration::from_secs(1))
    }

    /// The maximum time for which a response waits for the result of a hand-over to this replica. The leader ignores an
    /// older acceptance, because its standby may be gone.
    pub(super) fn hold(self) -> Duration {
        (self.scrape_wait() + Duration::from_secs(1)).min(LONGEST_HOLD)
    }

    /// How long a leader goes on after a request without an answer: until the next one has failed, too.
    pub(super) fn extension(self) -> Duration {
        2 * self.interval() + self.timeout()
    }
}
