//! [`FeederTable`]: the rows of one feeder of a store.

use std::sync::Arc;

use super::page::{Identity, PageLayout};
use super::table::Table;

/// The rows of one feeder.
///
/// Each feeder has a separate table. Therefore, a list replaces only the rows of the feeder that lists. Readers still
/// see the rows of other feeders during a list.
pub(super) struct FeederTable {
    pub(super) feeder: usize,
    /// The rows that readers see.
    pub(super) published: Arc<Table>,
    /// The rows of a list in progress. At the end of the list, these rows replace the published rows.
    pub(super) staging: Option<Arc<Table>>,
}

// === impl FeederTable ===

impl FeederTable {
    /// Creates a table without rows.
    pub(super) fn new(feeder: usize, layout: PageLayout) -> Self {
        Self {
            feeder,
            published: Arc::new(Table::new(layout)),
            staging: None,
        }
    }

    /// Whether a list is in progress.
    pub(super) fn is_listing(&self) -> bool {
        self.staging.is_some()
    }

    /// The table to which changes are applied: the staging table if a list is in progress, otherwise the published
    /// table.
    pub(super) fn current(&mut self) -> &mut Arc<Table> {
        self.staging.as_mut().unwrap_or(&mut self.published)
    }

    /// The published table and, if a list is in progress, the staging table.
    pub(super) fn tables(&mut self) -> impl Iterator<Item = &mut Arc<Table>> {
        [Some(&mut self.published), self.staging.as_mut()]
            .into_iter()
            .flatten()
    }

    /// Starts a list: the staging table is a copy of the published table, but no row of the copy is marked as listed.
    pub(super) fn begin_list(&mut self) {
        let mut table = Table::clone(&self.published);
        table.begin_list();
        self.staging = Some(Arc::new(table));
    }

    /// Publishes the rows that the list contains, and removes all other rows. Returns the number of removed rows.
    ///
    /// Returns `None` if no list is in progress.
    pub(super) fn end_list(&mut self) -> Option<usize> {
        let mut staging = self.staging.take()?;
        let table = Arc::make_mut(&mut staging);
        let swept = table.end_list();
        table.compact();
        self.published = staging;
        Some(swept)
    }

    /// Removes the row with this key, because another feeder has applied an object with the key.
    pub(super) fn forget(&mut self, key: &str) {
        let any = Identity {
            key,
            uid: "",
            version: 0,
        };
        for table in self.tables() {
            if table.contains(key) {
                Arc::make_mut(table).delete(any, false);
            }
        }
    }

    /// Removes the rows with keys that the table of another feeder (`other`) also contains.
    pub(super) fn forget_all(&mut self, other: &Table) {
        let (Some(first), Some(last)) = (other.first_key(), other.last_key()) else {
            return;
        };
        let overlaps = |table: &Table| {
            table.first_key().is_some_and(|key| key <= last)
                && table.last_key().is_some_and(|key| key >= first)
        };
        if !self.tables().any(|table| overlaps(table)) {
            return;
        }
        for page in other.pages() {
            for row in 0..page.len() {
                self.forget(page.key(row));
            }
        }
    }
}
