//! Snapshots: the rows of all feeders of a store at one moment.

use std::sync::Arc;

use super::joined_rows::{JoinedRows, SnapshotJoins};
use super::page::Page;
use super::table::Table;
use crate::joins::{RowJoins, SourceTable};

/// The rows of a store at one moment. The rows are in key order if the key ranges of the feeders do not overlap.
#[derive(Clone, Debug)]
pub(crate) struct StoreSnapshot {
    tables: Vec<Arc<Table>>,
    /// For each table, the number of pages in this table and in all earlier tables.
    ends: Vec<usize>,
    joined: Option<Arc<SnapshotJoins>>,
}

impl StoreSnapshot {
    /// Creates a snapshot of tables without reading each page. A store can have thousands of pages, so reading each
    /// page would delay the first byte of a response.
    pub(crate) fn new(mut tables: Vec<Arc<Table>>) -> Self {
        tables.retain(|table| !table.is_empty());
        // The tables are sorted by their first keys. If each feeder has one namespace, all rows of the store are then
        // in key order.
        tables.sort_by(|a, b| a.first_key().cmp(&b.first_key()));
        let ends = tables.iter().scan(0, |end, table| {
            *end += table.pages().len();
            Some(*end)
        });
        let ends = ends.collect();
        Self {
            tables,
            ends,
            joined: None,
        }
    }

    /// Adds the joined labels of the store. `table` contains the objects from which the labels come.
    pub(crate) fn with_joins(mut self, joins: &Arc<RowJoins>, table: &Arc<SourceTable>) -> Self {
        let pages = self.ends.last().copied().unwrap_or_default();
        let joined = SnapshotJoins::new(Arc::clone(joins), Arc::clone(table), pages);
        self.joined = Some(Arc::new(joined));
        self
    }

    /// The joined labels of the page with the index `at`; `None` if the store has no joined labels.
    pub(crate) fn joined_rows<'a>(&'a self, page: &'a Page, at: usize) -> Option<JoinedRows<'a>> {
        let joined = self.joined.as_deref()?;
        Some(joined.rows(page, at))
    }

    pub(crate) fn pages(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.tables.iter().flat_map(|table| table.pages())
    }

    pub(crate) fn page(&self, at: usize) -> Option<&Page> {
        let table = self.ends.partition_point(|&end| end <= at);
        let start = match table.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.tables.get(table)?.page(at - start)
    }

    /// The page and the index of the row with this key.
    pub(crate) fn find(&self, key: &str) -> Option<(&Page, usize)> {
        self.tables.iter().find_map(|table| table.find(key))
    }

    pub(crate) fn objects(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// The number of lines in the column `first` and all later columns.
    pub(crate) fn lines(&self, first: usize) -> u64 {
        let columns = self
            .pages()
            .flat_map(|page| page.columns().iter().skip(first));
        columns.map(|column| column.lines()).sum()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.heap_bytes()).sum()
    }
}
