//! Pages: rows with adjacent keys, and a column per family. Snapshots share pages and columns with the store until the
//! store changes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::column::{Column, MAX_ROWS};
use super::joined_state::JoinedState;
use super::row_cells::RowCells;
use super::row_fingerprints::RowFingerprints;
use super::uid::Uid;
use crate::decode::Fingerprints;
use crate::family::referenced_labels::{DICTIONARY_COLUMNS, column_of, value_in};

/// Up to [`MAX_ROWS`] rows of objects with adjacent keys.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// A number that identifies the page in the process. The number stays the same when rows of the page change.
    number: u64,
    rows: Arc<Rows>,
    /// `metadata.resourceVersion` per row; 0 if the version is not a decimal integer.
    versions: Vec<u64>,
    /// For each row, its fingerprints: hashes of the fields from which the row was rendered.
    fingerprints: RowFingerprints,
    /// The columns, in this order: base labels, families, references to the objects from which labels are joined, and
    /// the dictionary. The column with the references exists only if the store has joined labels.
    columns: Vec<Arc<Column>>,
    joined: JoinedState,
}

/// The number of columns and the number of fingerprints per row, which are the same in all pages of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageLayout {
    pub(crate) columns: usize,
    /// The number of fingerprints per row.
    pub(crate) groups: usize,
}

/// The identities of the rows of a page.
#[derive(Clone, Debug, Default)]
struct Rows {
    keys: Vec<Box<str>>,
    uids: Vec<Uid>,
}

/// The identity of an object: its key, uid and version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) key: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) version: u64,
}

/// The position of a row at the time when the row was read. The row may have moved since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPlace {
    /// The index of the page in the table.
    pub(crate) page: usize,
    /// The index of the row in the page.
    pub(crate) row: usize,
}

impl Page {
    pub(crate) fn new(layout: PageLayout) -> Self {
        let columns = (0..layout.columns).map(|_| Column::new(0));
        Self::without_columns(layout).with_columns(columns)
    }

    /// Creates a page without columns. Its rows get their cells only in [`with_columns`](Self::with_columns).
    pub(super) fn without_columns(layout: PageLayout) -> Self {
        Self {
            number: next_number(),
            rows: Arc::default(),
            versions: Vec::new(),
            fingerprints: RowFingerprints::new(layout.groups),
            columns: Vec::new(),
            joined: JoinedState::default(),
        }
    }

    /// Sets the columns, which have a cell for each row. Also releases spare memory of the fingerprints.
    pub(super) fn with_columns(mut self, columns: impl Iterator<Item = Column>) -> Self {
        self.columns = columns.map(Arc::new).collect();
        self.fingerprints.shrink();
        self
    }

    /// A number that identifies the page in the process. The number stays the same when rows of the page change.
    #[cfg(feature = "gzip")]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn len(&self) -> usize {
        self.versions.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX_ROWS
    }

    pub(crate) fn key(&self, row: usize) -> &str {
        self.rows.keys.get(row).map_or("", |key| key)
    }

    pub(crate) fn first_key(&self) -> &str {
        self.key(0)
    }

    pub(crate) fn last_key(&self) -> &str {
        self.key(self.len().saturating_sub(1))
    }

    pub(crate) fn find(&self, key: &str) -> Result<usize, usize> {
        self.rows
            .keys
            .binary_search_by(|stored| (**stored).cmp(key))
    }

    pub(crate) fn uid(&self, row: usize) -> Option<&Uid> {
        self.rows.uids.get(row)
    }

    pub(crate) fn version(&self, row: usize) -> u64 {
        self.versions.get(row).copied().unwrap_or(0)
    }

    /// The fingerprints of a row. If they are unknown, the slice is empty or contains zeros.
    pub(crate) fn fingerprints(&self, row: usize) -> &[u64] {
        self.fingerprints.get(row)
    }

    /// Whether the stored fingerprints of a row differ from `fingerprints`.
    pub(crate) fn has_other_fingerprints(&self, row: usize, fingerprints: &Fingerprints) -> bool {
        self.fingerprints.differ(row, fingerprints)
    }

    /// The columns, in this order: base labels, families, references to the objects from which labels are joined, and
    /// the dictionary. The column with the references exists only if the store has joined labels.
    pub(crate) fn columns(&self) -> &[Arc<Column>] {
        &self.columns
    }

    /// The columns of the dictionary, which has the values that several samples of a row share.
    pub(crate) fn shared(&self) -> &[Arc<Column>] {
        let first = self.columns.len().saturating_sub(DICTIONARY_COLUMNS);
        self.columns.get(first..).unwrap_or_default()
    }

    /// The column with the references of the rows to other objects. Only call this method if the store has joined
    /// labels, because pages of other stores lack this column.
    pub(super) fn links(&self) -> Option<&Arc<Column>> {
        let at = self.columns.len().checked_sub(DICTIONARY_COLUMNS + 1)?;
        self.columns.get(at)
    }

    pub(super) fn joined(&self) -> &JoinedState {
        &self.joined
    }

    /// Looks up the value of a code in the dictionary of `row`. `code` is a byte in a cell of this row.
    pub(crate) fn shared_value(&self, row: usize, code: u8) -> &[u8] {
        let column = self.shared().get(column_of(code));
        column.map_or(&[], |column| value_in(column.cell(row), code))
    }

    /// Returns a number that identifies the state of all dictionaries of the page. Each change of a value changes the
    /// number.
    pub(crate) fn shared_version(&self) -> u64 {
        // Each change of a column gets a higher version than all earlier changes, so the highest version identifies the
        // state of all columns.
        let versions = self.shared().iter().map(|column| column.version());
        versions.max().unwrap_or(0)
    }

    /// Calls `read` for each row.
    pub(super) fn for_each_row(
        &self,
        mut read: impl FnMut(Identity<'_>, &RowCells, &Fingerprints),
    ) {
        let mut cells = RowCells::default();
        for row in 0..self.len() {
            cells.clear();
            for column in self.columns() {
                cells.push(column.cell(row));
            }
            let uid = self.uid(row).map(ToString::to_string).unwrap_or_default();
            let identity = Identity {
                key: self.key(row),
                uid: &uid,
                version: self.version(row),
            };
            let fingerprints = Fingerprints::of_row(self.fingerprints(row));
            read(identity, &cells, &fingerprints);
        }
    }

    /// Inserts a row. `cells` has a cell for each column.
    pub(crate) fn insert(
        &mut self,
        row: usize,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) {
        let count = self.len();
        self.fingerprints.insert(row, count, fingerprints);
        let rows = Arc::make_mut(&mut self.rows);
        rows.keys.insert(row, identity.key.into());
        rows.uids.insert(row, Uid::new(identity.uid));
        self.versions.insert(row, identity.version);
        for (column, cell) in self.columns.iter_mut().zip(cells.iter()) {
            Arc::make_mut(column).insert(row, count, cell);
        }
    }

    /// Compares `cells` with the cells of `row`, and returns the position of the first difference in `cells`.
    pub(crate) fn first_difference(&self, row: usize, cells: &RowCells) -> Option<usize> {
        cells.of_columns().position(|(column, cell)| {
            let column = self.columns.get(column);
            column.is_some_and(|column| column.cell(row) != cell)
        })
    }

    /// Replaces the cells of `row` that differ from `cells`. `first` is the position of the first cell that differs, or
    /// `None` if no cell differs. `identity` must have the key of the row.
    pub(crate) fn update(
        &mut self,
        row: usize,
        identity: Identity<'_>,
        cells: &RowCells,
        first: Option<usize>,
        fingerprints: &Fingerprints,
    ) {
        let count = self.len();
        if let Some(version) = self.versions.get_mut(row) {
            *version = identity.version;
        }
        if self.uid(row).is_some_and(|uid| !uid.is(identity.uid))
            && let Some(uid) = Arc::make_mut(&mut self.rows).uids.get_mut(row)
        {
            *uid = Uid::new(identity.uid);
        }
        self.fingerprints.set(row, count, fingerprints);
        let Some(first) = first else {
            return;
        };
        for (column, cell) in cells.of_columns().skip(first) {
            if let Some(column) = self.columns.get_mut(column)
                && column.cell(row) != cell
            {
                Arc::make_mut(column).set(row, count, cell);
            }
        }
    }

    pub(crate) fn remove(&mut self, row: usize) {
        if row >= self.len() {
            return;
        }
        let rows = Arc::make_mut(&mut self.rows);
        rows.keys.remove(row);
        rows.uids.remove(row);
        self.versions.remove(row);
        self.fingerprints.remove(row);
        for column in &mut self.columns {
            Arc::make_mut(column).remove(row);
        }
    }

    /// Returns a page with the rows before the index `end`.
    pub(crate) fn truncated(&self, end: usize) -> Self {
        Self {
            number: self.number,
            ..self.slice(0..end)
        }
    }

    /// Returns a new page with the rows in `range`.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let rows = Rows {
            keys: self
                .rows
                .keys
                .get(range.clone())
                .unwrap_or_default()
                .to_vec(),
            uids: self
                .rows
                .uids
                .get(range.clone())
                .unwrap_or_default()
                .to_vec(),
        };
        Self {
            number: next_number(),
            rows: Arc::new(rows),
            versions: self
                .versions
                .get(range.clone())
                .unwrap_or_default()
                .to_vec(),
            fingerprints: self.fingerprints.slice(range.clone()),
            columns: (self.columns.iter())
                .map(|column| Arc::new(column.slice(range.clone())))
                .collect(),
            joined: JoinedState::default(),
        }
    }

    /// Releases spare memory if a large part of the memory is spare.
    pub(crate) fn compact(&mut self) {
        let count = self.len();
        self.fingerprints.shrink();
        for column in &mut self.columns {
            if column.is_loose() {
                *column = Arc::new(column.slice(0..count));
            }
        }
    }

    pub(crate) fn is_loose(&self) -> bool {
        self.columns.iter().any(|column| column.is_loose())
    }

    /// Returns the memory of the page, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        // An `Arc` begins with two counters, which need 16 bytes. Allocators round sizes up to multiples of 16 bytes.
        let columns = (self.columns.iter())
            .map(|column| column.heap_bytes() + size_of::<Column>() + 16 + size_of::<usize>());
        let uids = self
            .rows
            .uids
            .iter()
            .map(|uid| uid.heap_bytes() + size_of::<Uid>());
        let keys = (self.rows.keys.iter()).map(|key| key.len().next_multiple_of(16) + 16);
        columns.sum::<usize>()
            + uids.sum::<usize>()
            + keys.sum::<usize>()
            + self.versions.capacity() * size_of::<u64>()
            + self.fingerprints.heap_bytes()
            + self.joined.heap_bytes()
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
