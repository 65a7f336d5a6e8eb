//! [`Rotation`]: the order in which the watches compare all their objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The order in which the watches of a server compare all their objects, so that about one watch does so at a time.
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

/// Minimum number of rounds between two turns of a watch. With few watches, more turns would list all objects too often:
/// with 12 rounds of 5 minutes, a watch lists all its objects once an hour.
const MIN_ROUNDS: usize = 12;

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
    /// Whether the watch compares all its objects in a round. The rounds of a watch are numbered.
    pub(super) fn has_turn(&self, round: usize) -> bool {
        let members = self.rotation.members.load(Ordering::Relaxed);
        let rounds = members.max(MIN_ROUNDS);
        round % rounds == self.place % rounds
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
    fn each_watch_has_one_turn_in_as_many_rounds_as_there_are_watches() {
        let rotation = Arc::new(Rotation::default());
        let mut members: Vec<_> = (0..20).map(|_| Arc::clone(&rotation).join()).collect();
        let turns = |members: &[Member], round| {
            let turns = members.iter().filter(|member| member.has_turn(round));
            turns.count()
        };
        assert!((0..60).all(|round| turns(&members, round) == 1));
        for left in (1..20).rev() {
            members.remove(0);
            let rounds = (0..left.max(MIN_ROUNDS)).map(|round| turns(&members, round));
            assert_eq!(rounds.sum::<usize>(), left);
        }
    }
}
