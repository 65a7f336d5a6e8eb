//! [`Turn`]: yields to other tasks of the runtime while a task reads a response with many objects.

use std::time::{Duration, Instant};

/// Maximum time for which a task handles objects before it yields to other tasks.
const MAX_TURN: Duration = Duration::from_millis(1);

/// The maximum number of bytes that a task handles without a check whether to yield. Larger chunks of a response are
/// handled in several parts.
pub(super) const MAX_PART: usize = 32 << 10;

/// The clock is read each time the task has handled this many bytes. Therefore, a watch with few events does not read
/// the clock or yield for each event.
const CLOCK_BYTES: usize = 8 << 10;

/// The time since a task last yielded.
#[derive(Debug)]
pub(super) struct Turn {
    began: Instant,
    /// Number of bytes that were handled since the clock was last read.
    bytes: usize,
}

// === impl Turn ===

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            bytes: 0,
        }
    }

    /// Whether the task should yield, after it has handled `bytes` of a response.
    pub(super) fn is_over(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes < CLOCK_BYTES {
            return false;
        }
        self.bytes = 0;
        self.began.elapsed() >= MAX_TURN
    }

    /// Yields to other tasks.
    pub(super) async fn pause(&mut self) {
        tokio::task::yield_now().await;
        *self = Self::new();
    }
}
