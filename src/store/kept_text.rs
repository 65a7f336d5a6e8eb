//! Applies the limit on the text of an object. This module decides for which rows an event may render only some
//! families. It also limits the length of the joined labels of a row.
//!
//! An event that renders only some families is an *update* of the row. For each update, the store compares the
//! *fingerprints* of the row, which are hashes of the object's fields. So a row without fingerprints is never updated.

use super::page::Page;
use super::schema::Schema;
use crate::family::SampleBuffer;
use crate::joins::RowJoins;
use crate::resource::CollectedResource;

// === impl Schema ===

impl<K: CollectedResource> Schema<K> {
    /// Whether a row is so small that later events may render only some of its families. `rendered` has all samples of
    /// the row.
    pub(super) fn is_small_row(&self, rendered: &SampleBuffer) -> bool {
        let max = self.max_kept_text();
        rendered.exposed_text() <= max && self.longest_joined(rendered.exposed_samples()) <= max
    }

    /// Whether an update certainly keeps the row within the limit on the text of an object. The limit applies to all
    /// cells of the row together, but an update renders only some cells. `samples` is the number of samples that the
    /// row had before the update.
    ///
    /// A row gets fingerprints only if its text is at most half of the limit. The other half is for updates: an update
    /// is small if its text is at most this half divided by `n + 1`. `n` is the number of families of the store.
    /// Therefore, the row does not exceed the limit, even if later updates replace each cell.
    ///
    /// If the store has joined labels, these two rules use a third of the limit instead of a half. The remaining third
    /// is for the joined labels. It must be enough even if each value of a joined label has the maximum length.
    pub(super) fn is_small_update(&self, rendered: &SampleBuffer, samples: usize) -> bool {
        let max = self.max_kept_text();
        let samples = samples.saturating_add(rendered.exposed_samples());
        rendered.exposed_text() <= max / (self.families().len() + 1)
            && self.longest_joined(samples) <= max
    }

    /// The number of samples of a row. The result is 0 if the store has no joined labels, because then the caller does
    /// not need the number.
    pub(super) fn samples_for_joins(&self, page: &Page, row: usize) -> usize {
        if self.joins().is_none() {
            return 0;
        }
        let columns = page.columns().iter().skip(self.column(0));
        let cells = columns.take(self.families().len());
        let lines = cells.map(|column| memchr::memchr_iter(b'\n', column.cell(row)).count());
        lines.sum()
    }

    /// The maximum length of the joined labels in each sample of an object, in bytes. `None` if the joined labels
    /// cannot make the text of the object exceed its limit.
    pub(super) fn max_joined_len(
        &self,
        joins: &RowJoins,
        rendered: &SampleBuffer,
    ) -> Option<usize> {
        let limit = self.limits().text_per_object;
        let (samples, text) = (rendered.exposed_samples(), rendered.exposed_text());
        let longest = text.saturating_add(samples.saturating_mul(joins.max_len()));
        if limit == 0 || longest <= limit {
            return None;
        }
        limit.saturating_sub(text).checked_div(samples)
    }

    /// The maximum length of the text of a row with fingerprints, in bytes.
    fn max_kept_text(&self) -> usize {
        match (self.limits().text_per_object, self.joins()) {
            (0, _) => usize::MAX,
            (limit, None) => limit / 2,
            (limit, Some(_)) => limit / 3,
        }
    }

    /// The maximum length, in bytes, of the joined labels of `samples` samples together.
    fn longest_joined(&self, samples: usize) -> usize {
        let joins = self.joins();
        joins.map_or(0, |joins| samples.saturating_mul(joins.max_len()))
    }
}
