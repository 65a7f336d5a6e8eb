//! [`Skips`]: the number of audit rounds that ignore a suspicion or a difference.
//!
//! A round is one audit of one watch. A *suspicion* is a sign that the watch has missed changes: the number of objects
//! is wrong, or the watch does not reach the version of a response in time. A *difference* is an object whose row in
//! the store does not match the API server.

/// Counts the audit rounds that ignore a suspicion or a difference. If a comparison of all objects finds no difference
/// after a suspicion, the next rounds ignore a suspicion. If a new list of all objects does not remove a difference,
/// the next rounds ignore a difference.
#[derive(Debug, Default)]
pub(super) struct Skips {
    /// The number of rounds that ignore a suspicion or a difference after the last call of [`grow`](Self::grow).
    rounds: u32,
    left: u32,
}

/// Maximum number of consecutive rounds that ignore a suspicion or a difference. With the default interval, 11 rounds
/// take about an hour.
const MAX_ROUNDS: u32 = 11;

// === impl Skips ===

impl Skips {
    /// Makes the next rounds ignore a suspicion or a difference. The number of these rounds grows with each call: 1
    /// round, then 3, then 7, then always 11.
    pub(super) fn grow(&mut self) {
        self.rounds = (self.rounds * 2 + 1).min(MAX_ROUNDS);
        self.left = self.rounds;
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether the next round ignores the suspicion or the difference.
    pub(super) fn is_active(&self) -> bool {
        self.left > 0
    }

    /// Returns whether this round ignores the suspicion or the difference, and counts the round.
    pub(super) fn skip(&mut self) -> bool {
        let skips = self.is_active();
        self.left = self.left.saturating_sub(1);
        skips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useless_comparisons_become_rare_up_to_one_an_hour() {
        let mut skips = Skips::default();
        let mut rounds = Vec::new();
        for _ in 0..6 {
            let mut round = 0;
            while skips.skip() {
                round += 1;
            }
            rounds.push(round);
            skips.grow();
        }
        assert_eq!(rounds, [0, 1, 3, 7, 11, 11]);
        skips.reset();
        assert!(!skips.is_active() && !skips.skip());
    }
}
