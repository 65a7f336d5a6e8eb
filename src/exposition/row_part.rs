//! [`RowPart`]: some samples of a row that is too large for one chunk.

use std::ops::Range;

use memchr::memchr2;

use super::family_rows::FamilyRows;
use crate::family::referenced_labels::REFERENCE_MARK;

/// A row with this much text in its cell is written in parts, so that chunks have similar sizes. A large chunk would
/// delay other tasks, because no other task runs on the thread while a chunk is written. A large chunk would also need
/// much memory, because each connection holds one chunk.
const LARGE_CELL: usize = 32 * 1024;

/// Samples of a row that are written together.
#[derive(Clone, Debug)]
pub(super) struct RowPart {
    /// The number of the part, counted from 1.
    pub(super) number: u16,
    /// The range of the samples in the cell.
    pub(super) tails: Range<usize>,
}

// === impl RowPart ===

impl RowPart {
    /// The first row that is written in parts, among the rows that `includes` selects.
    pub(super) fn first_needed(
        page: &FamilyRows<'_>,
        mut rows: Range<usize>,
        includes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // Few pages have a large cell. For all other pages, this check avoids reading the rows.
        if page.samples.longest() < LARGE_CELL {
            return None;
        }
        rows.find(|row| Self::is_needed(page, *row) && includes(*row))
    }

    /// Whether a row is written in parts.
    fn is_needed(rows: &FamilyRows<'_>, row: usize) -> bool {
        rows.tails(row).len() >= LARGE_CELL
    }

    /// The part of a row after the part `before`, with about `bytes` of text and at least one sample.
    pub(super) fn next(
        rows: &FamilyRows<'_>,
        row: usize,
        before: Option<&Self>,
        bytes: usize,
    ) -> Self {
        let start = before.map_or(0, |part| part.tails.end);
        let cell = rows.tails(row);
        let labels = rows.base_labels.cell(row).len() + rows.joined_len();
        let per_line = rows.family_column.prefix.len() + labels;
        let (mut end, mut text) = (start, 0);
        while let Some(found) = memchr2(b'\n', REFERENCE_MARK, cell.get(end..).unwrap_or_default())
        {
            let at = end + found;
            text += found;
            if cell.get(at) == Some(&REFERENCE_MARK) {
                let code = cell.get(at + 1).copied().unwrap_or_default();
                text += rows.page.shared_value(row, code).len();
                end = at + 2;
                continue;
            }
            end = at + 1;
            text += per_line + 1;
            if text >= bytes {
                break;
            }
        }
        Self {
            number: before.map_or(1, |part| part.number.saturating_add(1)),
            tails: start..end.max(start + 1),
        }
    }

    /// Whether the row has no samples after the part.
    pub(super) fn is_last(&self, rows: &FamilyRows<'_>, row: usize) -> bool {
        self.tails.end >= rows.tails(row).len()
    }
}
