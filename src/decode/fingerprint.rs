//! [`Fingerprints`]: hashes of groups of fields. If the hash of a group has not changed, the fields of the group have
//! not changed.

use std::array;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// Maximum number of groups of a resource, so that the fingerprints of a row need at most 48 bytes.
pub(crate) const MAX_GROUPS: usize = 6;

/// A set of groups, with a bit for each group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupSet(u8);

/// A hash of the bytes of each group of fields; 0 means that the hash is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprints([u64; MAX_GROUPS]);

/// Computes the fingerprints of one object.
pub(super) struct GroupHashers([FoldHasher<'static>; MAX_GROUPS]);

/// The random key of the process.
///
/// The hash function is foldhash, as for the cells of columns. SipHash would need about 1 µs per pod, which is a tenth
/// of the time of an update. The key is random, because it is easy to find two texts with the same hash if the key is
/// known. With such texts, a changed object would keep its old samples.
static KEY: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));

/// Returns a random number, for the key of a hash function.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

// === impl GroupSet ===

impl GroupSet {
    pub(crate) const EMPTY: Self = Self(0);

    /// Returns the set that contains only `group`.
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

    /// Returns a number below `1 << MAX_GROUPS` that identifies the set.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    fn has(self, group: usize) -> bool {
        self.overlaps(Self::of(group))
    }
}

// === impl Fingerprints ===

impl Fingerprints {
    /// The fingerprints of the first `count` groups.
    pub(crate) fn first(&self, count: usize) -> &[u64] {
        self.0.get(..count).unwrap_or(&self.0)
    }

    /// Converts the stored fingerprints of a row.
    pub(crate) fn of_row(stored: &[u64]) -> Self {
        let mut hashes = [0; MAX_GROUPS];
        for (hash, stored) in hashes.iter_mut().zip(stored) {
            *hash = *stored;
        }
        Self(hashes)
    }

    /// Whether the fingerprints are known.
    pub(crate) fn are_known(&self) -> bool {
        self.0.iter().any(|&hash| hash != 0)
    }

    /// The groups whose stored fingerprint differs; `None` if the stored fingerprints are unknown.
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
    /// Creates a hasher for each group. `seed` is the random key of the store.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = |group: usize| FoldHasher::with_seed(seed.wrapping_add(group as u64), &KEY);
        Self(array::from_fn(hasher))
    }

    /// Adds a number to the hashes of groups.
    pub(super) fn add_number(&mut self, groups: GroupSet, number: u64) {
        for (group, hasher) in self.0.iter_mut().enumerate() {
            if groups.has(group) {
                hasher.write_u64(number);
            }
        }
    }

    /// Adds bytes to the hashes of groups. `place` identifies the fields that the bytes contain.
    pub(super) fn add(&mut self, groups: GroupSet, place: u32, bytes: &[u8]) {
        for (group, hasher) in self.0.iter_mut().enumerate() {
            if groups.has(group) {
                // The length separates these bytes from the next ones.
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
