//! Stops reports whose client has disconnected.

use std::sync::{Arc, Weak};

/// The number of samples that a report reads between two checks whether its client has disconnected.
const STEP: u64 = 1024;

/// Detects that the client of a report has disconnected.
#[derive(Debug)]
pub(super) struct Abandoned(Weak<()>);

// === impl Abandoned ===

impl Abandoned {
    /// Creates a check for a report. The caller must drop `client` when the client of the report disconnects.
    pub(super) fn by(client: &Arc<()>) -> Self {
        Self(Arc::downgrade(client))
    }

    /// Whether a report that has read `samples` samples must stop.
    pub(super) fn at(&self, samples: u64) -> bool {
        samples.is_multiple_of(STEP) && self.0.strong_count() == 0
    }
}
