//! [`JoinedRows`]: the joined labels of the rows of a page. Joined labels are labels that an exposition adds to the
//! samples of an object. They come from the metadata of the object or from other objects, such as the node of a pod.
//! All joined labels in a snapshot belong to the same state of these objects.

use std::sync::{Arc, OnceLock};

use super::joined_state::JoinInputs;
use super::page::Page;
use crate::joins::{JoinedText, RowJoins, RowKey, SourceTable};

/// The joined labels of a store in one snapshot.
#[derive(Debug)]
pub(super) struct SnapshotJoins {
    joins: Arc<RowJoins>,
    table: Arc<SourceTable>,
    /// For each page, the joined labels of its rows. These labels are computed when an exposition needs them for the
    /// first time.
    texts: Box<[OnceLock<Arc<JoinedText>>]>,
}

/// The joined labels of the rows of one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinedRows<'a> {
    snapshot: &'a SnapshotJoins,
    page: &'a Page,
    /// The index of the page in the snapshot.
    at: usize,
}

// === impl SnapshotJoins ===

impl SnapshotJoins {
    pub(super) fn new(joins: Arc<RowJoins>, table: Arc<SourceTable>, pages: usize) -> Self {
        Self {
            joins,
            table,
            texts: (0..pages).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn rows<'a>(&'a self, page: &'a Page, at: usize) -> JoinedRows<'a> {
        let snapshot = self;
        JoinedRows { snapshot, page, at }
    }
}

// === impl JoinedRows ===

impl<'a> JoinedRows<'a> {
    /// A number that changes whenever the joined labels of a row change.
    pub(crate) fn version(&self) -> u64 {
        let SnapshotJoins { joins, table, .. } = self.snapshot;
        self.page.joined_version(joins, table)
    }

    /// The joined labels of a row, each with a leading comma.
    pub(crate) fn labels(&self, row: usize) -> &'a [u8] {
        self.text().map_or(&[], |text| text.row(row))
    }

    /// Computes the joined labels of all rows if no exposition has done so. Returns the work, in units that are about as
    /// long as the time to copy a byte; 0 if the labels are already known.
    pub(crate) fn prepare(&self) -> usize {
        let own = self.snapshot.texts.get(self.at);
        if own.is_none_or(|own| own.get().is_some()) {
            return 0;
        }
        let read = self.page.len() * self.snapshot.joins.len();
        self.text().map_or(0, |text| text.len()) + read
    }

    fn text(&self) -> Option<&'a JoinedText> {
        let SnapshotJoins {
            joins,
            table,
            texts,
        } = self.snapshot;
        let text = || self.page.joined_text(joins, table);
        texts.get(self.at).map(|own| &**own.get_or_init(text))
    }

    /// The approximate length of the joined labels of a row, in bytes.
    pub(crate) fn approximate_len(&self) -> usize {
        self.snapshot.joins.approximate_len()
    }
}

// === impl Page ===

impl Page {
    /// For each row, the key and the references to other objects. They determine the joined labels of the row. Only
    /// call this method if the samples of the store have joined labels.
    pub(super) fn row_keys(&self) -> impl Iterator<Item = RowKey<'_>> {
        (0..self.len()).map(|row| RowKey {
            key: self.key(row),
            links: self.links().map_or(&[], |column| column.cell(row)),
        })
    }

    fn joined_version(&self, joins: &RowJoins, table: &SourceTable) -> u64 {
        let inputs = self.join_inputs(joins, table);
        let fingerprint = || joins.fingerprint(table, self.row_keys());
        self.joined().version(inputs, fingerprint)
    }

    fn joined_text(&self, joins: &RowJoins, table: &SourceTable) -> Arc<JoinedText> {
        let inputs = self.join_inputs(joins, table);
        let fingerprint = || joins.fingerprint(table, self.row_keys());
        let text = || joins.text(table, self.row_keys());
        self.joined().text(inputs, fingerprint, text)
    }

    fn join_inputs(&self, joins: &RowJoins, table: &SourceTable) -> JoinInputs {
        JoinInputs {
            links: self.links().map_or(0, |column| column.version()),
            generation: joins.generation(table),
        }
    }
}
