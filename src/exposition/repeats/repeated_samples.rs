//! [`RepeatedSamples`]: the numbers of the samples that repeat an earlier series.

/// The numbers of the samples that repeat the series of an earlier row. The numbers start at 0. Samples in columns
/// without possible repeats have no number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::exposition) struct RepeatedSamples {
    /// One bit for each sample, up to the last repeated sample. If no sample is repeated, this list is empty.
    words: Vec<u64>,
    len: usize,
}

// === impl RepeatedSamples ===

impl RepeatedSamples {
    /// Creates an empty set, with memory for all numbers below `numbers`.
    pub(super) fn with_capacity(numbers: usize) -> Self {
        Self {
            words: vec![0; numbers.div_ceil(64)],
            len: 0,
        }
    }

    pub(in crate::exposition) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::exposition) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(in crate::exposition) fn contains(&self, number: usize) -> bool {
        let word = self.words.get(number / 64).copied().unwrap_or_default();
        word & Self::bit(number) != 0
    }

    /// Adds a number, which the set must not contain yet.
    pub(super) fn insert(&mut self, number: usize) {
        if self.words.len() <= number / 64 {
            self.words.resize(number / 64 + 1, 0);
        }
        if let Some(word) = self.words.get_mut(number / 64) {
            *word |= Self::bit(number);
            self.len += 1;
        }
    }

    fn bit(number: usize) -> u64 {
        1 << (number % 64)
    }
}
