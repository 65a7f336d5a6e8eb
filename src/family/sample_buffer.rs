//! [`SampleBuffer`]: collects the tails of one object's samples while generators write them. A tail is the part of a
//! sample line after the base labels. If several samples have the same label value, their tails contain only a
//! reference to the value, which is in the dictionary of the object.
//!
//! The sample policy (`sample_policy.rs`) accepts or drops each sample, for example because of a limit. The *exposed*
//! samples are the accepted samples, with the text that they have in an exposition.

use super::referenced_labels::ObjectDictionary;
use super::sample_policy::{DropCounts, DropReason, Written};
use super::series_set::{CurrentSample, SeriesSet};
use super::text_set::TextSet;
use super::values::LabelValue;
use super::work;
use crate::limits::Limit;

/// Maximum memory, in bytes, that a buffer keeps when it is cleared for the next object.
const MAX_KEPT: usize = 1 << 20;

/// The buffer for the tails of one object. The store reuses the memory of the buffer for the next object.
#[derive(Debug, Default)]
pub(crate) struct SampleBuffer {
    pub(super) text: Vec<u8>,
    /// The numbers of samples and bytes that the generators have written.
    written: Written,
    /// The number of samples of the object that the policy has accepted so far.
    exposed_samples: usize,
    /// The value of `exposed_samples` at the start of the current family.
    exposed_before_family: usize,
    /// The total length of those label values to which the current sample has only references.
    referenced: usize,
    /// The series of the samples of the current family.
    series: SeriesSet,
    /// The names of the labels of the current sample.
    names: TextSet,
    /// Whether a label of the current sample has an empty value.
    has_empty: bool,
    /// The label values that several samples of the object have.
    pub(super) dictionary: ObjectDictionary,
    /// The limits that the current family has exceeded.
    exceeded: Vec<Limit>,
    dropped: DropCounts,
    /// Whether the families must be generated for each event of the object, because a generator has counted an error.
    counts_events: bool,
}

/// A position in the current sample. The sample can later be truncated to this position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    text: usize,
    names: usize,
}

// === impl SampleBuffer ===

impl SampleBuffer {
    /// Begins the next object.
    pub(crate) fn clear(&mut self) {
        self.clear_samples();
        self.dictionary.clear();
    }

    /// Begins the next object, whose row the store already has. `dictionary` contains the stored label values of this
    /// row, so that codes in unchanged cells stay valid.
    pub(crate) fn begin_update<'d>(&mut self, dictionary: impl Iterator<Item = &'d [u8]>) {
        self.clear_samples();
        self.dictionary.load(dictionary);
    }

    fn clear_samples(&mut self) {
        self.text.clear();
        self.text.shrink_to(MAX_KEPT);
        self.written = Written::default();
        (self.exposed_samples, self.exposed_before_family) = (0, 0);
        self.dropped = DropCounts::default();
        self.counts_events = false;
    }

    /// Whether the store may keep the samples of the object until an event changes a field that the families read. If
    /// the policy dropped something, or if a generator counted an error, the result is false, because each event must
    /// increase these counts.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.dropped == DropCounts::default() && !self.counts_events
    }

    /// The length of the exposition text of all samples of the object, in bytes.
    pub(crate) fn exposed_text(&self) -> usize {
        self.written.text
    }

    /// The number of samples of the object in the exposition.
    pub(crate) fn exposed_samples(&self) -> usize {
        self.exposed_samples
    }

    /// Records that a generator has counted an error. Each event of the object must increase this count, so each event
    /// must generate the families again.
    #[cfg(feature = "custom-resources")]
    pub(super) fn count_events(&mut self) {
        self.counts_events = true;
    }

    /// The label values that several samples of the object have.
    pub(crate) fn dictionary(&self) -> &ObjectDictionary {
        &self.dictionary
    }

    /// Returns all tails of the object, one after another.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The number of dropped samples of the object.
    pub(crate) fn dropped(&self) -> DropCounts {
        self.dropped
    }

    /// Removes the samples of a generator that has panicked, and counts the panic. `start` is the length of the text
    /// before the generator was called.
    pub(crate) fn discard_after_panic(&mut self, start: usize) {
        self.text.truncate(start);
        let lost = std::mem::take(&mut self.written.family_text);
        self.written.text = self.written.text.saturating_sub(lost);
        self.exposed_samples = self.exposed_before_family;
        self.count_dropped(DropReason::Panic);
    }

    /// Begins the next family of the object.
    pub(super) fn begin_family(&mut self) {
        self.written.samples = 0;
        self.written.family_text = 0;
        self.exposed_before_family = self.exposed_samples;
        self.series.clear();
        self.exceeded.clear();
    }

    /// The units of work that the samples of the current family cost (see `family::work`).
    pub(crate) fn work_of_family(&self) -> u64 {
        work::of_samples(self.written.samples, self.written.family_text)
    }

    /// Begins the next sample and returns the start of its tail.
    pub(super) fn begin_sample(&mut self) -> usize {
        self.names.clear();
        self.has_empty = false;
        self.referenced = 0;
        self.text.len()
    }

    /// The number of samples of the object in the current family.
    pub(super) fn sample_count(&self) -> usize {
        self.series.len()
    }

    /// The numbers of samples and bytes that the generators have written.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    pub(super) fn count_written(&mut self) {
        self.written.samples += 1;
    }

    /// Counts the length of a label value that the current sample contains as a reference.
    pub(super) fn note_referenced(&mut self, value: &str) {
        self.referenced += value.len();
        self.has_empty |= value.is_empty();
    }

    /// The length of the current sample in the exposition. It is the sum of three lengths: the base labels, the tail
    /// (from `start` on), and the label values to which the tail refers.
    pub(super) fn exposed_len(&self, start: usize, base_len: usize) -> usize {
        let tail = self.text.len().saturating_sub(start);
        tail.saturating_add(base_len)
            .saturating_add(self.referenced)
    }

    /// Counts a sample that the policy has accepted, and the length of its text.
    pub(super) fn count_text(&mut self, exposed_len: usize) {
        self.exposed_samples += 1;
        self.written.family_text = self.written.family_text.saturating_add(exposed_len);
        self.written.text = self.written.text.saturating_add(exposed_len);
    }

    pub(super) fn count_dropped(&mut self, reason: DropReason) {
        self.dropped.add(reason);
    }

    /// Counts that the current family exceeds a limit. The same limit is counted at most once per object and family.
    pub(super) fn count_exceeded(&mut self, limit: Limit) {
        if !self.exceeded.contains(&limit) {
            self.exceeded.push(limit);
            self.count_dropped(DropReason::Limit(limit));
        }
    }

    /// Appends the value of a label.
    pub(super) fn write_value(&mut self, value: impl LabelValue) {
        self.text.extend_from_slice(b"=\"");
        let start = self.text.len();
        value.write_to(&mut self.text);
        self.has_empty |= self.text.len() == start;
        self.text.push(b'"');
    }

    /// Appends a label: the complete text `name="value"`, with an escaped value.
    #[cfg(feature = "custom-resources")]
    pub(super) fn write_label(&mut self, label: &[u8]) {
        // A quote in a value is escaped, so only a label with an empty value ends with these bytes.
        self.has_empty |= label.ends_with(b"=\"\"");
        self.text.extend_from_slice(label);
    }

    /// Remembers the name of a label. The name begins at `start` in the text.
    pub(super) fn note_name(&mut self, start: usize, len: usize) {
        self.names.push(start, start + len);
    }

    /// Whether the current sample has a label with this name.
    pub(super) fn has_name(&mut self, name: &[u8]) -> bool {
        self.names.contains(&self.text, name)
    }

    /// Whether the text from `start` on is the name of an earlier label of the current sample.
    pub(super) fn repeats_name(&mut self, start: usize) -> bool {
        let name = self.text.get(start..).unwrap_or_default();
        self.names.contains(&self.text, name)
    }

    /// The number of labels that the generator has written for the current sample.
    pub(super) fn label_count(&self) -> usize {
        self.names.len()
    }

    /// Declares that the labels of all samples of the family are sorted by name.
    #[cfg(feature = "custom-resources")]
    pub(super) fn sort_labels(&mut self) {
        self.series.sort();
    }

    /// The current position in the current sample.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            text: self.text.len(),
            names: self.names.len(),
        }
    }

    /// Removes the text and the labels after a mark.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.names.truncate(mark.names);
    }

    /// Whether an earlier sample of the family has the same series as the current sample. The tail of the current
    /// sample starts at `start` and has all labels, but no value yet.
    ///
    /// If `keeps` returns `true` for a name, a label with this name and an empty value differs from no label.
    pub(super) fn is_repeated(&mut self, start: usize, keeps: impl Fn(&str) -> bool) -> bool {
        let (series, sample) = self.current_sample(start, self.text.len());
        series.contains(sample, keeps)
    }

    /// Remembers the series of the current sample. Its labels are the text from `start` to `labels_end`.
    pub(super) fn note_sample(&mut self, start: usize, labels_end: usize) {
        let (series, sample) = self.current_sample(start, labels_end);
        series.push(sample);
    }

    /// Returns the series of the family, and the current sample, whose labels are the text from `start` to `end`.
    fn current_sample(&mut self, start: usize, end: usize) -> (&mut SeriesSet, CurrentSample<'_>) {
        let text = self.text.get(..end).unwrap_or_default();
        let sample = CurrentSample::new(text, start, &self.names, self.has_empty);
        (&mut self.series, sample)
    }
}
