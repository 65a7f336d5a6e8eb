//! [`ProblemLog`]: decides which problems of repeated attempts are logged.

use std::time::Duration;

use tokio::time::Instant;

/// The last problem that was logged.
#[derive(Default)]
pub(super) struct ProblemLog(Option<(String, Instant)>);

/// The minimum time between two messages about different problems. The text of a credential plugin may contain the
/// time, and would differ at each attempt.
const INTERVAL: Duration = Duration::from_secs(60);

// === impl ProblemLog ===

impl ProblemLog {
    /// Records the problem of an attempt, and returns whether to log it: it is the first problem after a success, or it
    /// differs from the last logged problem, and that problem was logged at least a minute ago.
    pub(super) fn is_new(&mut self, problem: &str) -> bool {
        if let Some((last, logged)) = &self.0
            && (last == problem || logged.elapsed() < INTERVAL)
        {
            return false;
        }
        self.0 = Some((problem.to_owned(), Instant::now()));
        true
    }

    /// Records a success.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_different_problem_is_logged_but_not_every_time() {
        let mut log = ProblemLog::default();
        assert!(log.is_new("a"));
        assert!(!log.is_new("b"), "a message of this minute is enough");
        advance(INTERVAL).await;
        assert!(!log.is_new("a"));
        assert!(log.is_new("b"));
        assert!(!log.is_new("b"));
        log.reset();
        assert!(log.is_new("b"));
    }
}
