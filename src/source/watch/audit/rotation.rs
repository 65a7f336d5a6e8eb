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
        let members = self.rotation.members.load(Ordering::Relaxed).max(1);
        round % members == self.place % members
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
        let mut members: Vec<_> = (0..5).map(|_| Arc::clone(&rotation).join()).collect();
        let turns = |members: &[Member], round| {
            let turns = members.iter().filter(|member| member.has_turn(round));
            turns.count()
        };
        assert!((0..20).all(|round| turns(&members, round) == 1));
        for left in (1..5).rev() {
            members.remove(0);
            let rounds = (0..left).map(|round| turns(&members, round));
            assert_eq!(rounds.sum::<usize>(), left);
        }
    }
}
