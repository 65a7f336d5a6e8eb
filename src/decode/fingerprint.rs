//! [`Fingerprints`]: hashes of groups of fields. If the hash of a group has not changed, the fields of the group have
//! not changed.

use std::array;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// Maximum number of groups of a resource. With this limit, the fingerprints of an object take at most 48 bytes.
pub(crate) const MAX_GROUPS: usize = 6;

/// A set of groups. Each group has one bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupSet(u8);

/// A hash for each group of fields. A hash of 0 means that the hash is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprints([u64; MAX_GROUPS]);

/// Computes the hashes of all groups for one object.
pub(super) struct GroupHashers([FoldHasher<'static>; MAX_GROUPS]);

/// The random key of the process for the hash function.
///
/// The hash function is foldhash. SipHash would need about 1 µs for a pod, which is a tenth of the time of an update.
/// The key is random: with a known key, it is easy to find two texts with the same hash. An object that changes from
/// one of these texts to the other would keep its old samples.
static KEY: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));

/// Returns a random number, which becomes the key of a hash function.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

// === impl GroupSet ===

impl GroupSet {
    pub(crate) const EMPTY: Self = Self(0);

    /// Returns a set with `group` as its only member.
    pub(super) fn of(group: usize) -> Self {
        Self(1 << (group % MAX_GROUPS))
    }

    #[cfg(any(test, feature = "protobuf"))]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub(crate) fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns a number that is different for each set. The number is below `1 << MAX_GROUPS`, so it can be an index in
    /// a list of all possible sets.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    fn has(self, group: usize) -> bool {
        self.overlaps(Self::of(group))
    }
}

// === impl Fingerprints ===

impl Fingerprints {
    /// Returns the hashes of the first `count` groups.
    pub(crate) fn first(&self, count: usize) -> &[u64] {
        self.0.get(..count).unwrap_or(&self.0)
    }

    /// Converts the hashes that a store keeps for an object to `Fingerprints`.
    pub(crate) fn of_row(stored: &[u64]) -> Self {
        let mut hashes = [0; MAX_GROUPS];
        for (hash, stored) in hashes.iter_mut().zip(stored) {
            *hash = *stored;
        }
        Self(hashes)
    }

    /// Whether the hashes are known.
    pub(crate) fn are_known(&self) -> bool {
        self.0.iter().any(|&hash| hash != 0)
    }

    /// Returns the groups whose hash differs from the stored hash; `None` if the stored hashes are unknown.
    pub(crate) fn changed_since(&self, stored: &[u64]) -> Option<GroupSet> {
        if stored.is_empty() || stored.contains(&0) {
            return None;
        }
        let pairs = self.0.iter().zip(stored).enumerate();
        let changed = pairs.filter(|(_, (new, old))| new != old);
        Some(changed.fold(GroupSet::EMPTY, |set, (group, _)| {
            set.with(GroupSet::of(group))
        }))
    }
}

// === impl GroupHashers ===

impl GroupHashers {
    /// Creates one hasher for each group. `seed` is the random key of the store.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = |group: usize| FoldHasher::with_seed(seed.wrapping_add(group as u64), &KEY);
        Self(array::from_fn(hasher))
    }

    /// Adds a number to the hash of each of these groups.
    pub(super) fn add_number(&mut self, groups: GroupSet, number: u64) {
        for (group, hasher) in self.0.iter_mut().enumerate() {
            if groups.has(group) {
                hasher.write_u64(number);
            }
        }
    }

    /// Adds bytes to the hash of each of these groups. `place` is a number that identifies the fields in these bytes.
    pub(super) fn add(&mut self, groups: GroupSet, place: u32, bytes: &[u8]) {
        for (group, hasher) in self.0.iter_mut().enumerate() {
            if groups.has(group) {
                // The length is added too, so that the end of these bytes is unambiguous.
                hasher.write_u32(place);
                hasher.write_usize(bytes.len());
                hasher.write(bytes);
            }
        }
    }

    pub(super) fn finish(&self) -> Fingerprints {
        Fingerprints(array::from_fn(|group| {
            let hash = self.0.get(group).map_or(0, Hasher::finish);
            hash.max(1)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints(seed: u64, parts: &[(usize, u32, &str)]) -> Fingerprints {
        let mut hashers = GroupHashers::new(seed);
        for (group, place, text) in parts {
            hashers.add(GroupSet::of(*group), *place, text.as_bytes());
        }
        hashers.finish()
    }

    #[test]
    fn a_fingerprint_depends_on_the_bytes_of_its_group_their_places_and_the_key() {
        let before = fingerprints(1, &[(0, 1, "ab"), (1, 2, "c")]);
        let changed = |seed, parts: &[_]| {
            let stored = before.first(2);
            fingerprints(seed, parts).changed_since(stored).unwrap()
        };
        assert!(changed(1, &[(0, 1, "ab"), (1, 2, "c")]).is_empty());
        assert_eq!(changed(1, &[(0, 1, "ab"), (1, 2, "d")]), GroupSet::of(1));
        assert_eq!(changed(1, &[(0, 2, "ab"), (1, 2, "c")]), GroupSet::of(0));
        assert_eq!(
            changed(1, &[(0, 1, "a"), (0, 1, "b"), (1, 2, "c")]),
            GroupSet::of(0)
        );
        let both = GroupSet::of(0).with(GroupSet::of(1));
        assert_eq!(changed(2, &[(0, 1, "ab"), (1, 2, "c")]), both);
        assert_eq!(before.changed_since(&[]), None);
        assert_eq!(before.changed_since(Fingerprints::default().first(2)), None);
    }
}
