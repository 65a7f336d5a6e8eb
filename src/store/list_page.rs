//! [`ListPage`]: rows of a list that a helper thread of the writer collects.

use std::sync::Arc;

use super::page::{Identity, Page};
use super::page_builder::PageBuilder;
use super::row_cells::RowCells;
use crate::decode::Fingerprints;
use crate::scope::ObjectFilter;

/// Rows of a list that no table contains yet.
///
/// A thread that helps the writer of a list collects rows here, and adds the rows to the table as a whole page.
/// Therefore, the two threads rarely wait for the lock of the tables.
pub(super) struct ListPage {
    builder: PageBuilder,
    /// The filter that has accepted the objects of all rows.
    filter: Arc<ObjectFilter>,
}

// === impl ListPage ===

impl ListPage {
    #[cfg(feature = "watch")]
    pub(super) fn new(layout: super::page::PageLayout, filter: Arc<ObjectFilter>) -> Self {
        let builder = PageBuilder::new(layout);
        Self { builder, filter }
    }

    /// Whether the page has a row with the key.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.builder.contains(key)
    }

    /// Whether a row with this key can be added after the other rows. `filter` must have accepted the object of the
    /// row.
    pub(super) fn takes(&self, key: &str, filter: &Arc<ObjectFilter>) -> bool {
        let is_last = self.builder.is_empty() || key > self.builder.last_key();
        is_last && !self.builder.is_full() && Arc::ptr_eq(filter, &self.filter)
    }

    /// Adds a row that the page [`takes`](Self::takes).
    pub(super) fn push(
        &mut self,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) {
        self.builder.push(identity, cells, fingerprints);
    }

    /// Removes and returns all rows, with the filter that has accepted their objects. Returns `None` if there are no
    /// rows. `filter` is the filter for the next rows.
    pub(super) fn take(&mut self, filter: &Arc<ObjectFilter>) -> Option<(Page, Arc<ObjectFilter>)> {
        let before = std::mem::replace(&mut self.filter, Arc::clone(filter));
        (!self.builder.is_empty()).then(|| (self.builder.build(), before))
    }
}
