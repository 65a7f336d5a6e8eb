//! [`JoinedText`]: the text of the joined labels of the rows of a page. Joined labels are labels that samples get from
//! other objects, such as the namespace.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use crate::decode;

/// The hash function has a random key, so that nobody can create objects whose hashes are equal.
pub(super) static HASHER: LazyLock<FixedState> =
    LazyLock::new(|| FixedState::with_seed(decode::random()));

/// The joined labels of the rows of a page. A comma precedes each label. If several rows have the same labels, the text
/// of the labels is stored once.
#[derive(Debug, Default)]
pub(crate) struct JoinedText {
    text: Vec<u8>,
    /// For each different text of labels, the position at which it ends in `text`.
    ends: Vec<u32>,
    /// For each row, the index in `ends` of its text.
    rows: Vec<u16>,
}

/// Builds a [`JoinedText`].
#[derive(Debug, Default)]
pub(super) struct JoinedTextBuilder {
    joined: JoinedText,
    /// The hash of each different text. Long texts can have long common prefixes, so the builder compares the hashes
    /// first.
    hashes: Vec<u64>,
}

// === impl JoinedTextBuilder ===

impl JoinedTextBuilder {
    /// Adds the next row. `labels` are its joined labels.
    pub(super) fn push(&mut self, labels: &[u8]) {
        let Self { joined, hashes } = self;
        let hash = HASHER.hash_one(labels);
        // Adjacent rows often have the same labels, such as pods of one workload. So search from the end.
        let known = hashes.iter().enumerate().rev();
        let known = known.filter(|(_, known)| **known == hash);
        let mut equal = known.filter(|(number, _)| joined.distinct(*number) == labels);
        let number = equal.next().map(|(number, _)| number);
        let number = number.unwrap_or_else(|| {
            joined.text.extend_from_slice(labels);
            // A page has at most 255 rows with a few hundred labels each, so the labels are far shorter than 4 GiB.
            let end = u32::try_from(joined.text.len()).unwrap_or(u32::MAX);
            joined.ends.push(end);
            hashes.push(hash);
            joined.ends.len() - 1
        });
        joined.rows.push(u16::try_from(number).unwrap_or(u16::MAX));
    }

    /// Returns the text without spare memory.
    pub(super) fn build(self) -> JoinedText {
        let Self { mut joined, .. } = self;
        joined.text.shrink_to_fit();
        joined.ends.shrink_to_fit();
        joined.rows.shrink_to_fit();
        joined
    }
}

// === impl JoinedText ===

impl JoinedText {
    /// The joined labels of a row. A comma precedes each label.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let number = self.rows.get(row);
        number.map_or(&[], |&number| self.distinct(usize::from(number)))
    }

    /// The length of the joined labels of all rows, in bytes.
    pub(crate) fn len(&self) -> usize {
        (0..self.rows.len()).map(|row| self.row(row).len()).sum()
    }

    /// Returns the memory that the labels need, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.rows.capacity() * size_of::<u16>()
    }

    /// The text with this number, which is its index in `ends`.
    fn distinct(&self, number: usize) -> &[u8] {
        let end_of = |number: usize| self.ends.get(number).map_or(0, |&end| end as usize);
        let start = number.checked_sub(1).map_or(0, end_of);
        self.text.get(start..end_of(number)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_equal_labels_share_them() {
        let mut joined = JoinedTextBuilder::default();
        let rows = [&b",a=\"1\""[..], b"", b",a=\"2\"", b",a=\"1\"", b""];
        rows.iter().for_each(|labels| joined.push(labels));
        let joined = joined.build();
        assert_eq!(joined.len(), 18);
        for (row, labels) in rows.iter().enumerate() {
            assert_eq!(joined.row(row), *labels);
        }
        assert_eq!(joined.row(5), b"");
        assert_eq!(joined.text.len(), 12, "two labels");
        assert_eq!(joined.heap_bytes(), 12 + 3 * 4 + 5 * 2);
    }
}
