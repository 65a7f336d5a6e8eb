//! [`SeriesSet`]: the series that an object has in one family.
//!
//! Two samples with different texts can have the same series (see [`NormalizedLabels`]). But nearly all families write
//! the same label names in the same order for each sample. Then two samples have the same series only if their texts
//! are equal. So the set normalizes labels only if the label names differ.

use super::normalized_labels::NormalizedLabels;
use super::text_set::TextSet;

/// Maximum memory, in bytes, that the text of normalized labels keeps when the set is cleared.
const MAX_KEPT: usize = 1 << 20;

/// The series of the samples that the policy has accepted for one object in one family.
#[derive(Debug, Default)]
pub(super) struct SeriesSet {
    /// The labels of each sample, as positions in the text of the buffer.
    texts: TextSet,
    first: FirstSample,
    /// Whether the labels of each sample are sorted by name.
    is_sorted: bool,
    normalized: NormalizedSeries,
}

/// The label names of the first sample.
#[derive(Debug, Default)]
struct FirstSample {
    /// The positions of the names in the text of the buffer.
    names: Vec<(usize, usize)>,
    /// Whether a label has an empty value.
    has_empty: bool,
}

/// The normalized labels of each sample. They are written when the first sample with other label names arrives.
#[derive(Debug, Default)]
struct NormalizedSeries {
    is_used: bool,
    labels: NormalizedLabels,
    text: Vec<u8>,
    /// The labels of each sample, as positions in `text`.
    series: TextSet,
    /// The length of the labels in `text` that belong to samples in the set. The labels of a sample that the policy
    /// has not accepted yet may follow.
    len: usize,
}

/// The current sample of the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct CurrentSample<'b> {
    /// The text of the buffer, which ends with the labels of the sample.
    buffer: &'b [u8],
    /// The position in `buffer` at which the labels of the sample start.
    start: usize,
    /// The positions of the label names in `buffer`.
    names: &'b [(usize, usize)],
    /// Whether a label has an empty value.
    has_empty: bool,
}

// === impl CurrentSample ===

impl<'b> CurrentSample<'b> {
    pub(super) fn new(buffer: &'b [u8], start: usize, names: &'b TextSet, has_empty: bool) -> Self {
        Self {
            buffer,
            start,
            names: names.ranges(),
            has_empty,
        }
    }
}

// === impl SeriesSet ===

impl SeriesSet {
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.is_sorted = false;
        self.normalized.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Declares that the labels of all samples are sorted by name.
    #[cfg(feature = "custom-resources")]
    pub(super) fn sort(&mut self) {
        self.is_sorted = true;
    }

    /// Whether a sample in the set has the same series as `sample`. If `keeps` returns `true` for a name, a label with
    /// this name and an empty value differs from no label.
    pub(super) fn contains(
        &mut self,
        sample: CurrentSample<'_>,
        keeps: impl Fn(&str) -> bool,
    ) -> bool {
        let labels = sample.buffer.get(sample.start..).unwrap_or_default();
        if self.texts.contains(sample.buffer, labels) {
            return true;
        }
        if self.texts.len() == 0 || !self.normalized.is_used && self.is_exact(sample) {
            return false;
        }
        if !self.normalized.is_used {
            self.normalized.is_used = true;
            for &(start, end) in self.texts.ranges() {
                let labels = sample.buffer.get(start..end).unwrap_or_default();
                self.normalized.write(labels, &keeps);
                self.normalized.push();
            }
        }
        self.normalized.contains(labels, &keeps)
    }

    /// Adds the series of `sample`. The caller must have called [`contains`](Self::contains) with this sample.
    pub(super) fn push(&mut self, sample: CurrentSample<'_>) {
        if self.texts.len() == 0 {
            self.first.has_empty = sample.has_empty;
            self.first.names.clear();
            self.first.names.extend_from_slice(sample.names);
        }
        self.texts.push(sample.start, sample.buffer.len());
        if self.normalized.is_used {
            self.normalized.push();
        }
    }

    /// Whether the samples of the set and `sample` have the same series only if their texts are equal.
    fn is_exact(&self, sample: CurrentSample<'_>) -> bool {
        let first = &self.first;
        if sample.has_empty && !first.has_empty {
            return false;
        }
        let most_labels = first.names.len().max(sample.names.len());
        let is_ordered = self.is_sorted || most_labels < 2;
        // If no sample has an empty label, and if the order of the labels is fixed, the names need no comparison.
        !first.has_empty && is_ordered || first.has_names_of(sample)
    }
}

// === impl FirstSample ===

impl FirstSample {
    fn has_names_of(&self, sample: CurrentSample<'_>) -> bool {
        let name = |&(start, end): &(usize, usize)| sample.buffer.get(start..end);
        self.names.len() == sample.names.len()
            && (self.names.iter().zip(sample.names)).all(|(own, other)| name(own) == name(other))
    }
}

// === impl NormalizedSeries ===

impl NormalizedSeries {
    fn clear(&mut self) {
        if self.is_used {
            self.is_used = false;
            self.text.clear();
            self.text.shrink_to(MAX_KEPT);
            self.series.clear();
            self.len = 0;
        }
    }

    /// Writes the normalized labels of the next sample.
    fn write(&mut self, labels: &[u8], keeps: impl Fn(&str) -> bool) {
        self.text.truncate(self.len);
        self.labels.write(labels, keeps, &mut self.text);
    }

    fn contains(&mut self, labels: &[u8], keeps: impl Fn(&str) -> bool) -> bool {
        self.write(labels, keeps);
        let normalized = self.text.get(self.len..).unwrap_or_default();
        self.series.contains(&self.text, normalized)
    }

    /// Adds the labels that [`write`](Self::write) has written.
    fn push(&mut self) {
        self.series.push(self.len, self.text.len());
        self.len = self.text.len();
    }
}
