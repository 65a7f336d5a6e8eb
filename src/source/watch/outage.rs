//! [`Outage`]: logs that the API server does not answer, once for all resources together. An outage begins with a
//! request that gets no response, and ends with the next response.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether the API server answers requests for any resource.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    answered: Option<Instant>,
}

/// The minimum time between a response and the start of an outage. A request that fails earlier may have been sent
/// during the previous outage.
const SETTLING: Duration = Duration::from_secs(2);

impl Outage {
    /// Records that a request got no response. Calls `log` if an outage begins.
    pub(super) fn no_answer(&self, log: impl FnOnce()) {
        let mut state = self.state.lock();
        let settling = |at: Instant| at.elapsed() < SETTLING;
        if state.since.is_none() && !state.answered.is_some_and(settling) {
            state.since = Some(Instant::now());
            log();
        }
    }

    /// Records that a request got a response. If the response ends an outage, calls `log` with the duration of the
    /// outage.
    pub(super) fn answer(&self, log: impl FnOnce(Duration)) {
        let mut state = self.state.lock();
        state.answered = Some(Instant::now());
        if let Some(since) = state.since.take() {
            log(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_begins_once_and_ends_with_the_first_answer() {
        let (outage, said) = (Outage::default(), Mutex::new(Vec::new()));
        let no_answer = || outage.no_answer(|| said.lock().push(0));
        let answer = || outage.answer(|time| said.lock().push(time.as_secs()));
        answer();
        tokio::time::advance(SETTLING).await;
        no_answer();
        no_answer();
        assert_eq!(*said.lock(), [0]);
        tokio::time::advance(Duration::from_secs(7)).await;
        answer();
        answer();
        assert_eq!(*said.lock(), [0, 7]);
        no_answer();
        assert_eq!(*said.lock(), [0, 7], "it was sent before");
        tokio::time::advance(SETTLING).await;
        no_answer();
        assert_eq!(*said.lock(), [0, 7, 0]);
    }
}
