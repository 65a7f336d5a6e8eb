//! [`RowCells`]: the cells of one object, in the order of a page's columns.

#[cfg(feature = "testing")]
use crate::family::referenced_labels::{DICTIONARY_COLUMNS, column_of, value_in};

/// The cells of one object. There are cells for the base labels and the families, for the references to sources of
/// labels, and for the dictionary.
#[derive(Debug, Default)]
pub(crate) struct RowCells {
    pub(super) text: Vec<u8>,
    pub(super) ends: Vec<usize>,
    /// For each cell, the index of its column. Empty if every column has a cell.
    columns: Vec<usize>,
}

// === impl RowCells ===

impl RowCells {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.columns.clear();
    }

    /// Removes all cells. `columns` contains indexes of columns. The caller then pushes one cell per index, in the same
    /// order.
    pub(super) fn begin_columns(&mut self, columns: &[usize]) {
        self.clear();
        self.columns.extend_from_slice(columns);
    }

    /// The cells, each with the index of its column.
    pub(super) fn of_columns(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let column_of = |at: usize| self.columns.get(at).copied().unwrap_or(at);
        self.iter()
            .enumerate()
            .map(move |(at, cell)| (column_of(at), cell))
    }

    pub(crate) fn push(&mut self, cell: &[u8]) {
        self.text.extend_from_slice(cell);
        self.ends.push(self.text.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The length of a cell.
    pub(super) fn len_of(&self, at: usize) -> usize {
        let end_of = |at: usize| self.ends.get(at).copied().unwrap_or_default();
        let start = at.checked_sub(1).map_or(0, end_of);
        end_of(at).saturating_sub(start)
    }

    /// Returns the value of `code`, a byte in a cell, from the dictionary.
    #[cfg(feature = "testing")]
    pub(crate) fn dictionary_value(&self, code: u8) -> &[u8] {
        let at = self.ends.len().saturating_sub(DICTIONARY_COLUMNS) + column_of(code);
        self.iter().nth(at).map_or(&[], |list| value_in(list, code))
    }

    /// The cells, in the order of a page's columns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.text.get(start..end).unwrap_or(&[]);
            start = end;
            cell
        })
    }
}
