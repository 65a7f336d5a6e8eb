//! [`OutcomeLog`]: logs when reviews of a kind begin to fail, and when they succeed again.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::review::ReviewError;

/// A log of the failures of one kind of review: it logs the first failure after a success, and the first success after
/// a failure.
pub(super) struct OutcomeLog {
    /// What is reviewed, such as `token`.
    what: &'static str,
    /// The time since which reviews have failed; `None` if the last review succeeded.
    failing_since: Mutex<Option<Instant>>,
}

// === impl OutcomeLog ===

impl OutcomeLog {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            failing_since: Mutex::default(),
        }
    }

    pub(super) fn record(&self, error: Option<&ReviewError>) {
        let what = self.what;
        let mut failing = self.failing_since.lock();
        match error {
            None => {
                if let Some(since) = failing.take() {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!(
                        seconds,
                        "--auth-filter: the API server reviews {what}s again"
                    );
                }
            }
            Some(error) if failing.is_some() => {
                tracing::debug!("--auth-filter: the API server could not review a {what}: {error}");
            }
            Some(error) => {
                *failing = Some(Instant::now());
                tracing::warn!(
                    "--auth-filter: the API server could not review a {what}: {error}; until the \
                     API server recovers, requests without a cached result are refused"
                );
            }
        }
    }
}
