//! [`ColumnBuilder`]: builds a column from the cells of all its rows.

use std::sync::atomic::AtomicUsize;

use super::{Column, Entry, Index, MAX_ROWS, count_lines, hash_of, next_version, number_of};
use crate::family::referenced_labels::REFERENCE_MARK;

/// The number of slots of the hash table. At most half of the slots are in use.
const SLOTS: usize = 2 * (MAX_ROWS + 1);

/// Builds columns, each from the cells of all its rows.
///
/// For a new page, a builder is faster than [`Column::insert`] for each cell. The builder allocates the memory of the
/// column once, in the needed size, and finds equal cells with a hash table. The builder reuses its own memory for the
/// next column.
#[derive(Clone, Debug)]
pub(in crate::store) struct ColumnBuilder {
    /// A hash table of the distinct cells. A slot has the number of a cell, or 0 if the slot is free.
    slots: [u8; SLOTS],
    entries: Vec<Entry>,
    text: Vec<u8>,
    /// For each row, the number of its cell in `entries`.
    index: Vec<u8>,
}

// === impl ColumnBuilder ===

impl ColumnBuilder {
    pub(in crate::store) fn new() -> Self {
        Self {
            slots: [0; SLOTS],
            entries: Vec::new(),
            text: Vec::new(),
            index: Vec::new(),
        }
    }

    /// Builds the column with these cells, one for each row. There may be at most [`MAX_ROWS`] cells.
    pub(in crate::store) fn build<'c>(&mut self, cells: impl Iterator<Item = &'c [u8]>) -> Column {
        self.slots.fill(0);
        self.entries.clear();
        self.entries.push(Entry::EMPTY);
        self.text.clear();
        self.index.clear();
        // Compare each cell first with the cell of the previous row, because adjacent rows often have the same cell.
        let (mut last, mut number): (&[u8], u8) = (&[], 0);
        for cell in cells {
            if cell != last {
                (last, number) = (cell, self.number_of(cell));
            }
            if let Some(entry) = self.entries.get_mut(usize::from(number)) {
                entry.rows += 1;
            }
            self.index.push(number);
        }
        self.column()
    }

    /// Returns the number of the entry for a cell. Creates the entry if it is missing.
    fn number_of(&mut self, cell: &[u8]) -> u8 {
        let place = (u32::try_from(self.text.len()).ok()).zip(u32::try_from(cell.len()).ok());
        // The text of a column cannot be longer than 4 GiB. A cell that does not fit becomes an empty cell, as in
        // [`Column::insert`].
        let Some((start, len)) = place.filter(|(start, len)| start.checked_add(*len).is_some())
        else {
            return 0;
        };
        if len == 0 {
            return 0;
        }
        let hash = hash_of(cell);
        let mut slot = hash as usize % SLOTS;
        while let Some(&number) = self.slots.get(slot).filter(|&&number| number != 0) {
            if let Some(entry) = self.entries.get(usize::from(number))
                && entry.hash == hash
                && entry.text_in(&self.text) == cell
            {
                return number;
            }
            slot = (slot + 1) % SLOTS;
        }
        let number = number_of(self.entries.len());
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = number;
        }
        self.text.extend_from_slice(cell);
        let rows = 0;
        self.entries.push(Entry {
            start,
            len,
            hash,
            rows,
        });
        number
    }

    /// The column of all rows so far, without spare memory.
    fn column(&self) -> Column {
        let (mut bytes, mut lines) = (0, 0);
        for entry in &self.entries {
            let rows = u64::from(entry.rows);
            bytes += u64::from(entry.len) * rows;
            lines += count_lines(entry.text_in(&self.text)) * rows;
        }
        let first = self.index.first().copied().unwrap_or(0);
        let is_uniform = self.index.iter().all(|&number| number == first);
        Column {
            version: next_version(),
            text: self.text.clone(),
            entries: self.entries.clone(),
            index: match is_uniform {
                true => Index::Uniform(first),
                false => Index::Each(self.index.clone()),
            },
            coded: memchr::memchr(REFERENCE_MARK, &self.text).is_some(),
            unused: 0,
            bytes,
            lines,
            replaced: AtomicUsize::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_equals_a_column_of_inserted_cells(
            columns in prop::collection::vec(prop::collection::vec("[ab\n]{0,3}", 0..MAX_ROWS), 1..4)
        ) {
            let mut builder = ColumnBuilder::new();
            for cells in columns {
                let built = builder.build(cells.iter().map(String::as_bytes));
                let mut inserted = Column::new(0);
                for (row, cell) in cells.iter().enumerate() {
                    inserted.insert(row, row, cell.as_bytes());
                }
                for (row, cell) in cells.iter().enumerate() {
                    prop_assert_eq!(built.cell(row), cell.as_bytes());
                    prop_assert_eq!(built.cell_number(row), inserted.cell_number(row));
                }
                prop_assert_eq!(built.cells().collect::<Vec<_>>(), inserted.cells().collect::<Vec<_>>());
                prop_assert_eq!((built.bytes(), built.lines()), (inserted.bytes(), inserted.lines()));
                prop_assert!(!built.is_loose());
            }
        }
    }

    #[test]
    fn a_column_of_only_different_cells_is_built() {
        let cells: Vec<_> = (0..MAX_ROWS).map(|row| format!("{row}\n")).collect();
        let mut column = ColumnBuilder::new().build(cells.iter().map(String::as_bytes));
        column.set(3, MAX_ROWS, b"other\n");
        assert_eq!(
            (column.cell(3), column.cell(254)),
            (&b"other\n"[..], &b"254\n"[..])
        );
        assert_eq!(column.lines(), MAX_ROWS as u64);
    }
}
