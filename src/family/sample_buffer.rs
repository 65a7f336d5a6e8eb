//! [`SampleBuffer`]: the tails of one object's samples, while generators write them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::referenced_labels::ObjectDictionary;
use super::sample_policy::{DropCounts, DropReason};
use super::values::LabelValue;

/// From this number of samples of one object in one family, repeated series are found by hash.
const HASHED_FROM: usize = 32;

/// The reusable memory behind [`Samples`](super::Samples): tails of one object, one cell per family.
#[derive(Debug, Default)]
pub(crate) struct SampleBuffer {
    pub(super) text: Vec<u8>,
    /// Per sample of the current family: where its tail starts and where its labels end.
    series: Vec<(usize, usize)>,
    /// Label names of the current sample, as ranges of `text`.
    names: Vec<(usize, usize)>,
    /// Values that samples of the object repeat.
    pub(super) dictionary: ObjectDictionary,
    /// The first series with each hash.
    hashes: HashMap<u64, usize>,
    hasher: RandomState,
    dropped: DropCounts,
}

// === impl SampleBuffer ===

impl SampleBuffer {
    /// Begins another object.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.dictionary.clear();
        self.dropped = DropCounts::default();
    }

    /// The repeated values of the object.
    pub(crate) fn dictionary(&self) -> &ObjectDictionary {
        &self.dictionary
    }

    /// All tails of the object, one after another.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The number of dropped samples of the object.
    pub(crate) fn dropped(&self) -> DropCounts {
        self.dropped
    }

    /// Removes what a closure wrote after `start` before it panicked.
    pub(crate) fn discard_after_panic(&mut self, start: usize) {
        self.text.truncate(start);
        self.count_dropped(DropReason::Panic);
    }

    /// Begins another family of the object.
    pub(super) fn begin_family(&mut self) {
        self.series.clear();
        self.hashes.clear();
    }

    /// Begins another sample and returns the start of its tail.
    pub(super) fn begin_sample(&mut self) -> usize {
        self.names.clear();
        self.text.len()
    }

    /// The number of samples of the object in the current family.
    pub(super) fn sample_count(&self) -> usize {
        self.series.len()
    }

    pub(super) fn count_dropped(&mut self, reason: DropReason) {
        self.dropped.add(reason);
    }

    /// Appends the value of a label.
    pub(super) fn write_value(&mut self, value: impl LabelValue) {
        self.text.extend_from_slice(b"=\"");
        value.write_to(&mut self.text);
        self.text.push(b'"');
    }

    /// Notes that the current sample has a label whose name ends the text.
    pub(super) fn note_name(&mut self, start: usize) {
        self.names.push((start, self.text.len()));
    }

    /// The label names of the current sample.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let names = self.names.iter();
        names.map(|&(start, end)| self.text.get(start..end).unwrap_or_default())
    }

    /// The length of the current sample.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.text.len(), self.names.len())
    }

    /// Removes what was written since a mark.
    pub(super) fn truncate(&mut self, (text, names): (usize, usize)) {
        self.text.truncate(text);
        self.names.truncate(names);
    }

    /// Whether an earlier sample in the family has the labels that end the text.
    pub(super) fn is_repeated(&self, start: usize) -> bool {
        let labels = self.text.get(start..).unwrap_or_default();
        let equals =
            |&(a, b): &(usize, usize)| b - a == labels.len() && self.text.get(a..b) == Some(labels);
        if self.series.len() < HASHED_FROM {
            return self.series.iter().any(equals);
        }
        match self.hashes.get(&self.hasher.hash_one(labels)) {
            None => false,
            // Different labels can have equal hashes, so compare all: no series may be lost.
            Some(&first) => {
                self.series.get(first).is_some_and(equals) || self.series.iter().any(equals)
            }
        }
    }

    /// Notes a sample whose tail starts at `start` and whose labels end at `labels_end`.
    pub(super) fn note_sample(&mut self, start: usize, labels_end: usize) {
        self.series.push((start, labels_end));
        let from = match self.series.len() {
            n if n < HASHED_FROM => return,
            HASHED_FROM => 0,
            n => n - 1,
        };
        for (index, &(a, b)) in self.series.iter().enumerate().skip(from) {
            let hash = self
                .hasher
                .hash_one(self.text.get(a..b).unwrap_or_default());
            self.hashes.entry(hash).or_insert(index);
        }
    }
}
