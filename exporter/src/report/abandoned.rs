//! Reports whose client has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of samples between two looks at whether the client has left.
const STEP: u64 = 1024;

/// Whether the client that waits for a report has left.
#[derive(Clone, Debug, Default)]
pub(super) struct Abandoned(Arc<AtomicBool>);

// === impl Abandoned ===

impl Abandoned {
    /// Whether to stop after this many samples.
    pub(super) fn at(&self, samples: u64) -> bool {
        samples.is_multiple_of(STEP) && self.0.load(Ordering::Relaxed)
    }

    /// Records that the client has left.
    pub(super) fn abandon(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
