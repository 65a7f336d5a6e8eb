//! [`Work`]: limits the work of one step of a search.

/// The work that a step may still do. A unit is about the time to render and hash one byte, which is about 1 ns.
#[derive(Debug)]
pub(super) struct Work(usize);

// === impl Work ===

impl Work {
    /// The work of one step.
    pub(super) const STEP: usize = 64 * 1024;
    /// The work for a row or a page, in addition to its samples.
    pub(super) const ROW: usize = 16;
    /// The work for a sample, in addition to its text.
    pub(super) const SAMPLE: usize = 64;
    /// The work to sort one hash.
    pub(super) const SORTED_HASH: usize = 16;

    pub(super) fn of_step() -> Self {
        Self(Self::STEP)
    }

    pub(super) fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(units);
    }

    /// Whether the step must end.
    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
