//! [`Schedule`]: when the next attempt to renew the credentials is due.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two attempts to renew the credentials if no file has changed.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The minimum time between two attempts to renew the credentials if a file has changed.
pub(super) const FILE_CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// If a certificate or a token expires in less than this time, the exporter renews it.
pub(super) const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// Determines when the next attempt to renew the credentials is due.
#[derive(Default)]
pub(super) struct Schedule {
    last_attempt: Option<Instant>,
    has_failed: bool,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn record(&mut self, succeeded: bool) {
        self.last_attempt = Some(Instant::now());
        self.has_failed = !succeeded;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The time of the next attempt to renew the credentials. After a failure, the attempt is due when the minimum
    /// interval has passed. After a success, the attempt is due shortly before the credentials expire. `valid_for` is
    /// the time until they expire.
    pub(super) fn due(&self, valid_for: Option<Duration>) -> Option<Instant> {
        let earliest = self.earliest(RETRY_INTERVAL);
        if self.has_failed {
            return Some(earliest);
        }
        let due = Instant::now() + valid_for?.saturating_sub(RENEW_BEFORE_EXPIRY);
        Some(due.max(earliest))
    }

    /// The time at which `interval` has passed since the last attempt.
    pub(super) fn earliest(&self, interval: Duration) -> Instant {
        self.last_attempt
            .map_or_else(Instant::now, |last| last + interval)
    }
}
