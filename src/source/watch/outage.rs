//! Outages: where the API server cannot be reached, the log says so once, not per resource.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether requests get answers, whatever they are for.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    answered: Option<Instant>,
}

/// Requests that were on their way when the server came back may fail for so long.
const SETTLING: Duration = Duration::from_secs(2);

impl Outage {
    /// A request got no answer; `tell` says so where that is news, before anything else is said.
    pub(super) fn no_answer(&self, tell: impl FnOnce()) {
        let mut state = self.state.lock();
        let settling = |at: Instant| at.elapsed() < SETTLING;
        if state.since.is_none() && !state.answered.is_some_and(settling) {
            state.since = Some(Instant::now());
            tell();
        }
    }

    /// A request got an answer; `tell` is given how long there was none, where there was none.
    pub(super) fn answer(&self, tell: impl FnOnce(Duration)) {
        let mut state = self.state.lock();
        state.answered = Some(Instant::now());
        if let Some(since) = state.since.take() {
            tell(since.elapsed());
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
