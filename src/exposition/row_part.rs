//! [`RowPart`]: some samples of a row that is too large for one chunk.

use std::ops::Range;

use memchr::memchr2;

use super::family_rows::FamilyRows;
use crate::family::referenced_labels::REFERENCE_MARK;

/// If the samples of a row take at least this much memory, the row is written in several parts. So all chunks have
/// similar sizes. A large chunk would delay other tasks, because no other task runs on the thread while a chunk is
/// written. A large chunk would also need much memory, because each connection holds one chunk.
const LARGE_CELL: usize = 32 * 1024;

/// Some of the samples in a large row, which are written together.
#[derive(Clone, Debug)]
pub(super) struct RowPart {
    /// The number of this part; the first part of a row has the number 1.
    pub(super) number: u16,
    /// The byte range of these samples in the samples of the row.
    pub(super) tails: Range<usize>,
}

// === impl RowPart ===

impl RowPart {
    /// Returns the first row that must be written in several parts. Only rows that `includes` selects are searched.
    pub(super) fn first_needed(
        page: &FamilyRows<'_>,
        mut rows: Range<usize>,
        includes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // Few pages contain such a large row. For all other pages, this check makes the search unnecessary.
        if page.samples.longest() < LARGE_CELL {
            return None;
        }
        rows.find(|row| Self::is_needed(page, *row) && includes(*row))
    }

    /// Whether a row must be written in several parts.
    fn is_needed(rows: &FamilyRows<'_>, row: usize) -> bool {
        rows.tails(row).len() >= LARGE_CELL
    }

    /// Returns the part of a row that follows the part `before`. It has about `bytes` of text, and at least one sample.
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

    /// Whether this part is the last part of the row.
    pub(super) fn is_last(&self, rows: &FamilyRows<'_>, row: usize) -> bool {
        self.tails.end >= rows.tails(row).len()
    }
}
