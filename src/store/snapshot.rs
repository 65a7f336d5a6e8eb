//! Snapshots: the rows of all feeders of a store at one moment.

use std::sync::Arc;

use super::page::Page;
use super::table::Table;

/// The rows of a store at one moment, in key order where feeders have disjoint ranges of keys.
#[derive(Clone, Debug)]
pub(crate) struct StoreSnapshot {
    tables: Vec<Arc<Table>>,
    pages: Vec<Arc<Page>>,
}

impl StoreSnapshot {
    pub(crate) fn new(mut tables: Vec<Arc<Table>>) -> Self {
        tables.retain(|table| table.len() > 0);
        // Feeders of one namespace each then come out in the order of all keys.
        tables.sort_by(|a, b| a.first_key().cmp(&b.first_key()));
        let pages = tables
            .iter()
            .flat_map(|table| table.pages())
            .cloned()
            .collect();
        Self { tables, pages }
    }

    pub(crate) fn pages(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.pages.iter()
    }

    pub(crate) fn page(&self, at: usize) -> Option<&Page> {
        self.pages.get(at).map(|page| &**page)
    }

    /// The page and row of a key.
    pub(crate) fn find(&self, key: &str) -> Option<(&Page, usize)> {
        self.tables.iter().find_map(|table| table.find(key))
    }

    pub(crate) fn objects(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// Lines of all columns from `first` on.
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
