//! [`Marks`]: which rows of a page a list in progress contains.
//!
//! A row that the list contains has a mark.

use super::column::MAX_ROWS;

/// A set of rows of a page, with one bit for each row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks([u64; MAX_ROWS.div_ceil(64)]);

// === impl Marks ===

impl Marks {
    /// The set of the first `rows` rows.
    pub(super) fn first(rows: usize) -> Self {
        let mut marks = Self::default();
        (0..rows).for_each(|row| marks.set(row));
        marks
    }

    pub(super) fn get(&self, row: usize) -> bool {
        self.0
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn put(&mut self, row: usize, marked: bool) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word = *word & !(1 << (row % 64)) | u64::from(marked) << (row % 64);
        }
    }

    pub(super) fn set(&mut self, row: usize) {
        self.put(row, true);
    }

    /// Makes space for a new row: moves the mark of `row`, and each later mark, by one row. Then marks `row`.
    pub(super) fn insert(&mut self, row: usize) {
        for to in (row + 1..MAX_ROWS).rev() {
            self.put(to, self.get(to - 1));
        }
        self.set(row);
    }

    /// Removes the mark of `row`, and moves each later mark back by one row.
    pub(super) fn remove(&mut self, row: usize) {
        for to in row..MAX_ROWS {
            self.put(to, self.get(to + 1));
        }
    }

    pub(super) fn upper(&self, half: usize) -> Self {
        let mut marks = Self::default();
        for row in half..MAX_ROWS {
            marks.put(row - half, self.get(row));
        }
        marks
    }
}
