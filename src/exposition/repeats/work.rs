//! [`Work`]: limits the work of one step of a search for repeated series, so that other tasks can run between the
//! steps.

/// How much work a step may still do. One unit is the time to render and hash one byte, which is about 1 ns.
#[derive(Debug)]
pub(super) struct Work(usize);

// === impl Work ===

impl Work {
    /// The work of one step.
    pub(super) const STEP: usize = 64 * 1024;
    /// The cost of a row or a page, without its samples.
    pub(super) const ROW: usize = 16;
    /// The cost to skip a row that is not selected, without its text.
    pub(super) const SKIPPED_ROW: usize = 128;
    /// The number of bytes of skipped text that cost one unit.
    pub(super) const SKIPPED_BYTES: usize = 8;
    /// The cost of a sample, without its text.
    pub(super) const SAMPLE: usize = 64;
    /// The cost to normalize one label, without its text.
    pub(super) const SORTED_LABEL: usize = 32;
    /// The cost to sort one hash.
    pub(super) const SORTED_HASH: usize = 16;

    pub(super) fn of_step() -> Self {
        Self(Self::STEP)
    }

    pub(super) fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(units);
    }

    /// Whether this step has done its maximum amount of work, and must end.
    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
