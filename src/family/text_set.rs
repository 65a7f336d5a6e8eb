//! [`TextSet`]: a set of strings. The time of a lookup does not depend on the number of strings.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// From this number of strings on, a lookup uses hashes. With fewer strings, a comparison with each string is faster.
const HASHED_FROM: usize = 32;

/// A set of strings. The caller has a buffer with the strings; the set stores only the range of each string.
///
/// The hash function has a random key. With a fixed key, the author of an object could choose many strings with the
/// same hash, and lookups would be slow.
#[derive(Debug, Default)]
pub(super) struct TextSet {
    ranges: Vec<(usize, usize)>,
    /// For each hash, the index of the first string with this hash. Empty while there are few strings.
    hashes: HashMap<u64, usize>,
    /// The number of strings whose hash is in `hashes`. A lookup adds the hashes of the other strings.
    hashed: usize,
    hasher: RandomState,
}

// === impl TextSet ===

impl TextSet {
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.hashes.clear();
        self.hashed = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges of the strings in the buffer.
    pub(super) fn ranges(&self) -> &[(usize, usize)] {
        &self.ranges
    }

    /// Whether `text` is one of the strings.
    pub(super) fn contains(&mut self, buffer: &[u8], text: &[u8]) -> bool {
        let equals =
            |&(a, b): &(usize, usize)| b - a == text.len() && buffer.get(a..b) == Some(text);
        if self.ranges.len() < HASHED_FROM {
            return self.ranges.iter().any(equals);
        }
        self.add_hashes(buffer);
        match self.hashes.get(&self.hasher.hash_one(text)) {
            None => false,
            // Different strings can have the same hash, so if the first string differs, compare all strings.
            Some(&first) => {
                self.ranges.get(first).is_some_and(equals) || self.ranges.iter().any(equals)
            }
        }
    }

    /// Adds the text between `start` and `end`. The text must not be in the set yet.
    pub(super) fn push(&mut self, start: usize, end: usize) {
        self.ranges.push((start, end));
    }

    /// Adds the hashes of the strings that were added since the last lookup.
    fn add_hashes(&mut self, buffer: &[u8]) {
        for (index, &(a, b)) in self.ranges.iter().enumerate().skip(self.hashed) {
            let text = buffer.get(a..b).unwrap_or_default();
            self.hashes
                .entry(self.hasher.hash_one(text))
                .or_insert(index);
        }
        self.hashed = self.ranges.len();
    }

    /// Keeps only the first `len` strings.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ranges.truncate(len);
        self.hashed = self.hashed.min(len);
        if len < HASHED_FROM {
            self.hashes.clear();
            self.hashed = 0;
        } else {
            self.hashes.retain(|_, index| *index < len);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_found_whatever_their_number(
            texts in prop::collection::vec("[ab]{0,7}", 0..200),
            kept in 0..100_usize,
        ) {
            let (mut set, mut buffer) = (TextSet::default(), Vec::new());
            let mut known = Vec::new();
            for (at, text) in texts.iter().enumerate() {
                if at == 100 {
                    set.truncate(kept);
                    known.truncate(kept);
                }
                prop_assert_eq!(set.contains(&buffer, text.as_bytes()), known.contains(text));
                if !known.contains(text) {
                    let start = buffer.len();
                    buffer.extend_from_slice(text.as_bytes());
                    set.push(start, buffer.len());
                    known.push(text.clone());
                }
                prop_assert_eq!(set.len(), known.len());
            }
        }
    }
}
