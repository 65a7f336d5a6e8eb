//! [`Retry`]: when the exporter tries a refused configuration again.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time until the first retry.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The maximum time between two retries.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// When the exporter tries a refused configuration again.
///
/// The reason of a refusal may pass although no watched file changes. For example, a credential plugin fails once, or
/// the kubeconfig names a token file that another program writes later.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    at: Option<Instant>,
    wait: Duration,
}

// === impl Retry ===

impl Retry {
    /// Plans no retry. The next retry after a refusal comes soon.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Plans a retry. Each time, the wait is twice as long, up to a maximum.
    pub(crate) fn plan(&mut self) {
        self.wait = (2 * self.wait).clamp(FIRST_WAIT, MAX_WAIT);
        self.at = Some(Instant::now() + self.wait);
    }

    /// Whether the last plan followed another one, so that the configuration was refused again.
    pub(crate) fn is_repeated(&self) -> bool {
        self.at.is_some()
    }

    /// Waits until the retry is due. If no retry is planned, the future never resolves.
    pub(crate) async fn due(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_to_a_minute_and_is_short_again_after_a_change() {
        let mut retry = Retry::default();
        let never = timeout(10 * MAX_WAIT, retry.due()).await;
        assert!(never.is_err(), "nothing is planned");
        for seconds in [5, 10, 20, 40, 60, 60] {
            let start = Instant::now();
            retry.plan();
            retry.due().await;
            assert_eq!(start.elapsed(), Duration::from_secs(seconds));
        }
        retry.reset();
        let start = Instant::now();
        retry.plan();
        retry.due().await;
        assert_eq!(start.elapsed(), FIRST_WAIT);
    }
}
