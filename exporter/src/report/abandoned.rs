//! Stops reports whose client has disconnected.

use std::sync::{Arc, Weak};

/// The number of samples after which a report checks again whether its client is still connected.
const STEP: u64 = 1024;

/// Detects that the client of a report has disconnected.
#[derive(Debug)]
pub(super) struct Abandoned(Weak<()>);

// === impl Abandoned ===

impl Abandoned {
    /// Creates a check for a report. `client` stands for the client of the report: the caller must drop it when the
    /// client disconnects.
    pub(super) fn by(client: &Arc<()>) -> Self {
        Self(Arc::downgrade(client))
    }

    /// Whether the report must stop now. `samples` is the number of samples that it has read so far.
    pub(super) fn at(&self, samples: u64) -> bool {
        samples.is_multiple_of(STEP) && self.0.strong_count() == 0
    }
}
