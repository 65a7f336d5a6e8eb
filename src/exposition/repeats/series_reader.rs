//! [`SeriesReader`]: reads the series of single samples.

use bytes::BytesMut;
use memchr::memmem::Finder;

use super::work::Work;
use crate::exposition::family_rows::FamilyRows;
use crate::family::normalized_labels::NormalizedLabels;

/// Reads the labels of samples in a form in which equal series have equal texts. All samples must be of one family, so
/// this form contains neither the name of the family nor the constant labels, which are the same for all samples.
#[derive(Debug)]
pub(super) struct SeriesReader {
    /// Whether the labels of each sample are sorted by name.
    is_sorted: bool,
    line: BytesMut,
    labels: NormalizedLabels,
    normalized: Vec<u8>,
    /// Finds the end of a label with an empty value. The text of other labels never contains these bytes, because each
    /// quote in a value follows a backslash.
    empty_label: Finder<'static>,
}

// === impl SeriesReader ===

impl SeriesReader {
    pub(super) fn new(is_sorted: bool) -> Self {
        Self {
            is_sorted,
            line: BytesMut::new(),
            labels: NormalizedLabels::default(),
            normalized: Vec::new(),
            empty_label: Finder::new("=\"\""),
        }
    }

    /// Returns the series of a sample. `tail` is its tail in the row `row`.
    pub(super) fn read(
        &mut self,
        rows: &FamilyRows<'_>,
        row: usize,
        tail: &[u8],
        work: &mut Work,
    ) -> &[u8] {
        work.spend(rows.prepare_joined());
        self.line.clear();
        rows.write_lines(row, tail, &mut self.line);
        work.spend(Work::SAMPLE + self.line.len());
        let prefix = &rows.family_column.prefix;
        let labels = labels(self.line.get(prefix.len()..).unwrap_or_default());
        if self.is_sorted && self.empty_label.find(labels).is_none() {
            return labels;
        }
        self.normalized.clear();
        let count = self.labels.write(labels, |_| false, &mut self.normalized);
        work.spend(Work::SORTED_LABEL * count);
        &self.normalized
    }
}

/// Returns the labels at the start of `text`, which is the end of a sample line. The result contains no braces and no
/// comma before the first label.
fn labels(text: &[u8]) -> &[u8] {
    let start = usize::from(matches!(text, [b'{' | b',', ..]));
    // A line without labels has no braces.
    let end = memchr::memrchr(b'}', text).unwrap_or(start);
    text.get(start..end).unwrap_or_default()
}
