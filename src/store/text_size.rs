//! [`TextSize`]: the length of the sample lines of a page, counted without writing the lines.

use super::column::Column;
use super::joined_rows::JoinedRows;
use super::page::Page;
use crate::family::referenced_labels::{REFERENCE_MARK, column_of, index_of, values_of};

/// Counts the bytes of the lines of a page. If several rows have the same cell, this cell is read once.
pub(crate) struct TextSize<'a> {
    page: &'a Page,
    /// For each column of the dictionary, and for each distinct cell of this column: the lengths of the values in the
    /// cell.
    shared: Vec<Vec<Vec<u64>>>,
}

/// The parts of a cell that determine the length of its lines.
#[derive(Default)]
struct CellContent {
    lines: u64,
    /// The code of each reference to a value in the dictionary.
    codes: Vec<u8>,
}

/// The length of a reference in a cell: the mark and the code.
const REFERENCE_LEN: u64 = 2;

// === impl TextSize ===

impl<'a> TextSize<'a> {
    pub(crate) fn new(page: &'a Page) -> Self {
        let lengths = |cell: &[u8]| values_of(cell).map(|value| value.len() as u64).collect();
        let of_column = |column: &Column| column.cells().map(lengths).collect();
        let shared = page.shared().iter().map(|column| of_column(column));
        Self {
            page,
            shared: shared.collect(),
        }
    }

    /// The length of the lines of the column `samples`, in bytes. Each line begins with a prefix of `prefix` bytes, the
    /// cell of the column `base_labels`, and the joined labels.
    pub(crate) fn bytes(
        &self,
        samples: usize,
        base_labels: usize,
        prefix: u64,
        joined: Option<JoinedRows<'_>>,
    ) -> u64 {
        let columns = self.page.columns();
        let (Some(samples), Some(base_labels)) = (columns.get(samples), columns.get(base_labels))
        else {
            return 0;
        };
        if samples.lines() == 0 {
            return 0;
        }
        let cells: Vec<_> = samples.cells().map(CellContent::of).collect();
        let mut bytes = samples.bytes() + samples.lines() * prefix;
        for row in 0..self.page.len() {
            let Some(cell) = cells.get(samples.cell_number(row)) else {
                continue;
            };
            let joined = joined.map_or(0, |joined| joined.labels(row).len());
            bytes += cell.lines * (base_labels.cell(row).len() + joined) as u64;
            let values = cell.codes.iter().map(|&code| self.value_len(row, code));
            // The number of bytes of the cell includes its references, so the difference is never negative.
            bytes = (bytes + values.sum::<u64>())
                .saturating_sub(cell.codes.len() as u64 * REFERENCE_LEN);
        }
        bytes
    }

    /// Returns the length of a value in the dictionary of `row`. A cell of this row refers to the value by the byte
    /// `code`.
    fn value_len(&self, row: usize, code: u8) -> u64 {
        let at = column_of(code);
        let length = || {
            let number = self.page.shared().get(at)?.cell_number(row);
            self.shared.get(at)?.get(number)?.get(index_of(code))
        };
        length().copied().unwrap_or_default()
    }
}

// === impl CellContent ===

impl CellContent {
    fn of(cell: &[u8]) -> Self {
        let mut content = Self::default();
        for at in memchr::memchr2_iter(b'\n', REFERENCE_MARK, cell) {
            match cell.get(at..at + 2) {
                Some(&[REFERENCE_MARK, code]) => content.codes.push(code),
                _ => content.lines += 1,
            }
        }
        content
    }
}
