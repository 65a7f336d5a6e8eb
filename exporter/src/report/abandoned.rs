//! Reports whose client has left.

use std::sync::{Arc, Weak};

/// The number of samples between two looks at whether the client has left.
const STEP: u64 = 1024;

/// Whether the client that waits for a report has left.
#[derive(Debug)]
pub(super) struct Abandoned(Weak<()>);

// === impl Abandoned ===

impl Abandoned {
    /// The client leaves when `client` is dropped.
    pub(super) fn by(client: &Arc<()>) -> Self {
        Self(Arc::downgrade(client))
    }

    /// Whether to stop after this many samples.
    pub(super) fn at(&self, samples: u64) -> bool {
        samples.is_multiple_of(STEP) && self.0.strong_count() == 0
    }
}
