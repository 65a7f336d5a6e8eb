//! [`Rotation`]: decides in which audit rounds a watch compares all its objects with the API server. A round is one
//! audit of one watch. In most rounds, the watch compares only the number of its objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Decides in which audit rounds a watch compares all its objects with the API server. The watches take turns, so that
/// usually at most one watch does this at a time.
#[derive(Debug, Default)]
pub(in crate::source::watch) struct Rotation {
    /// Number of watches that were ever added.
    joined: AtomicUsize,
    /// Number of watches that currently take turns.
    members: AtomicUsize,
}

/// One of the watches that take turns. When this value is dropped, the watch no longer takes part.
#[derive(Debug)]
pub(super) struct Member {
    rotation: Arc<Rotation>,
    place: usize,
}

/// If there are `n` watches, each watch compares all its objects once in every `n * ROUNDS_PER_WATCH` rounds. A
/// comparison transfers the metadata of all objects. With this number, the comparisons transfer few bytes: less than 1
/// % of the bytes that the watches of a busy cluster transfer.
const ROUNDS_PER_WATCH: usize = 3;
/// The minimum number of watches for the computation of turns. Without this minimum, a single watch with many objects
/// would compare them too often.
const MIN_WATCHES: usize = 12;

// === impl Rotation ===

impl Rotation {
    /// Adds a watch. The watch takes turns with the other watches until the returned [`Member`] is dropped.
    pub(super) fn join(self: Arc<Self>) -> Member {
        self.members.fetch_add(1, Ordering::Relaxed);
        Member {
            place: self.joined.fetch_add(1, Ordering::Relaxed),
            rotation: self,
        }
    }
}

// === impl Member ===

impl Member {
    /// Whether the watch compares all its objects in this round. `round` counts the rounds of this watch.
    pub(super) fn has_turn(&self, round: usize) -> bool {
        let members = self.rotation.members.load(Ordering::Relaxed);
        let rounds = ROUNDS_PER_WATCH * members.max(MIN_WATCHES);
        round % rounds == ROUNDS_PER_WATCH * self.place % rounds
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.rotation.members.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_watch_has_one_turn_in_three_rounds_per_watch() {
        let rotation = Arc::new(Rotation::default());
        let mut members: Vec<_> = (0..20).map(|_| Arc::clone(&rotation).join()).collect();
        let turns = |members: &[Member], round| {
            let turns = members.iter().filter(|member| member.has_turn(round));
            turns.count()
        };
        assert!((0..120).all(|round| turns(&members, round) == usize::from(round % 3 == 0)));
        for left in (1..20).rev() {
            members.remove(0);
            let rounds = ROUNDS_PER_WATCH * left.max(MIN_WATCHES);
            let rounds = (0..rounds).map(|round| turns(&members, round));
            assert_eq!(rounds.sum::<usize>(), left);
        }
    }
}
