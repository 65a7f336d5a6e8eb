//! [`Rotation`]: the order in which the watches compare all their objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The order in which the watches of a server compare all their objects. At most about one watch makes this comparison
/// at a time.
#[derive(Debug, Default)]
pub(in crate::source::watch) struct Rotation {
    /// Number of watches that have ever joined.
    joined: AtomicUsize,
    /// Number of watches that take part now.
    members: AtomicUsize,
}

/// The place of one watch in a rotation.
#[derive(Debug)]
pub(super) struct Member {
    rotation: Arc<Rotation>,
    place: usize,
}

/// Number of rounds per watch. A comparison of all objects transfers the metadata of all objects. With three rounds per
/// watch, all comparisons together transfer less than a hundredth of the bytes that the watches of a busy cluster
/// transfer.
const ROUNDS_PER_WATCH: usize = 3;
/// With fewer watches, there are as many rounds as with this number of watches, because a single watch may have most of
/// the objects.
const MIN_WATCHES: usize = 12;

// === impl Rotation ===

impl Rotation {
    /// Adds a watch. The watch takes part until the returned [`Member`] is dropped.
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
    /// Whether the watch compares all its objects in a round. `round` is the number of the round of this watch.
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
