//! A limit on log messages about events that clients can cause as often as they want.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The minimum time between two log messages.
const INTERVAL: Duration = Duration::from_secs(60);

/// Allows one log message per minute, and counts the events.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Events>);

#[derive(Debug, Default)]
struct Events {
    last: Option<Instant>,
    /// Number of events since the last log message.
    unreported: u64,
}

// === impl Throttle ===

impl Throttle {
    /// Counts an event. If a message is allowed, returns the number of events since the last message.
    pub(super) fn record(&self) -> Option<u64> {
        let mut events = self.0.lock();
        events.unreported += 1;
        if events.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            return None;
        }
        events.last = Some(Instant::now());
        Some(std::mem::take(&mut events.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_message_in_a_minute_has_the_number_of_events() {
        let throttle = Throttle::default();
        assert_eq!(throttle.record(), Some(1));
        for _ in 0..393 {
            assert_eq!(throttle.record(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.record(), Some(394));
        assert_eq!(throttle.record(), None);
    }
}
