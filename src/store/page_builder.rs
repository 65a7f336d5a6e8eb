//! [`PageBuilder`]: collects rows in the order of their keys, and builds one page from these rows.

use super::column::ColumnBuilder;
use super::page::{Identity, Page, PageLayout};
use super::row_cells::RowCells;
use crate::decode::Fingerprints;

/// A page with at least this many bytes of text gets no more rows. This limit is needed, because the text uses
/// additional memory until the page is built.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Rows that will become a page.
#[derive(Clone, Debug)]
pub(super) struct PageBuilder {
    layout: PageLayout,
    /// A page with the identities and fingerprints of the rows, but without columns.
    rows: Page,
    /// The text of all cells: first the cells of the first row, then the cells of the second row, and so on.
    text: Vec<u8>,
    /// For each cell, the offset in `text` at which the cell ends.
    ends: Vec<usize>,
    column: ColumnBuilder,
}

// === impl PageBuilder ===

impl PageBuilder {
    pub(super) fn new(layout: PageLayout) -> Self {
        Self {
            layout,
            rows: Page::without_columns(layout),
            text: Vec::new(),
            ends: Vec::new(),
            column: ColumnBuilder::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.is_full() || self.text.len() >= MAX_TEXT
    }

    pub(super) fn first_key(&self) -> &str {
        self.rows.first_key()
    }

    pub(super) fn last_key(&self) -> &str {
        self.rows.last_key()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.rows.find(key).is_ok()
    }

    /// Adds a row, whose key must be greater than the last key. The builder must not be full.
    pub(super) fn push(
        &mut self,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) {
        self.rows
            .insert(self.rows.len(), identity, cells, fingerprints);
        let start = self.text.len();
        self.text.extend_from_slice(&cells.text);
        self.ends.extend(cells.ends.iter().map(|end| start + end));
    }

    /// Builds the page, and removes its rows from the builder.
    pub(super) fn build(&mut self) -> Page {
        let empty = Page::without_columns(self.layout);
        let page = std::mem::replace(&mut self.rows, empty);
        let (rows, per_row) = (page.len(), self.layout.columns);
        let (text, ends, builder) = (&self.text, &self.ends, &mut self.column);
        let end_of = |cell: usize| ends.get(cell).copied().unwrap_or_default();
        let columns = (0..per_row).map(|column| {
            builder.build((0..rows).map(|row| {
                let cell = row * per_row + column;
                let start = cell.checked_sub(1).map_or(0, end_of);
                text.get(start..end_of(cell)).unwrap_or_default()
            }))
        });
        let page = page.with_columns(columns);
        self.text.clear();
        self.ends.clear();
        page
    }
}
