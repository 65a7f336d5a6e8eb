//! [`RowFingerprints`]: the fingerprints of the rows of a page.

use std::ops::Range;

use crate::decode::Fingerprints;

/// The fingerprints of the rows of a page. A fingerprint is a hash of a group of fields of an object.
///
/// The memory for fingerprints is allocated when the first row of the page gets fingerprints. An object that the host
/// passes as a Rust value has no fingerprints. So a store that receives only such objects never allocates this memory.
#[derive(Clone, Debug)]
pub(super) struct RowFingerprints {
    /// The number of groups of fields. Each row has one hash per group.
    groups: usize,
    /// The hashes of all rows, or empty if no row has fingerprints. The hashes of a row without fingerprints are 0.
    hashes: Vec<u64>,
}

// === impl RowFingerprints ===

impl RowFingerprints {
    pub(super) fn new(groups: usize) -> Self {
        Self {
            groups,
            hashes: Vec::new(),
        }
    }

    /// The fingerprints of a row. If they are unknown, the slice is empty or contains zeros.
    pub(super) fn get(&self, row: usize) -> &[u64] {
        self.hashes.get(self.range(row)).unwrap_or_default()
    }

    /// Whether the stored fingerprints of a row differ from `fingerprints`.
    pub(super) fn differ(&self, row: usize, fingerprints: &Fingerprints) -> bool {
        match self.get(row) {
            [] => fingerprints.are_known(),
            stored => stored != fingerprints.first(self.groups),
        }
    }

    /// Sets the fingerprints of a row in a page with `rows` rows.
    pub(super) fn set(&mut self, row: usize, rows: usize, fingerprints: &Fingerprints) {
        self.allocate(rows, fingerprints);
        let range = self.range(row);
        if let Some(hashes) = self.hashes.get_mut(range) {
            hashes.copy_from_slice(fingerprints.first(self.groups));
        }
    }

    /// Inserts the fingerprints of a new row before `row`, into a page with `rows` rows.
    pub(super) fn insert(&mut self, row: usize, rows: usize, fingerprints: &Fingerprints) {
        self.allocate(rows, fingerprints);
        if self.hashes.is_empty() && !fingerprints.are_known() {
            return;
        }
        // The memory grows by one eighth and does not double, because there are thousands of pages.
        if self.hashes.capacity() - self.hashes.len() < self.groups {
            let spare = self.groups * (rows / 8).max(8);
            self.hashes.reserve_exact(spare);
        }
        let at = self.range(row).start.min(self.hashes.len());
        let new = fingerprints.first(self.groups).iter().copied();
        self.hashes.splice(at..at, new);
    }

    pub(super) fn remove(&mut self, row: usize) {
        let range = self.range(row);
        if range.end <= self.hashes.len() {
            self.hashes.drain(range);
        }
    }

    /// Returns the fingerprints of the rows in the range `rows`, without spare memory.
    pub(super) fn slice(&self, rows: Range<usize>) -> Self {
        let hashes = self.range(rows.start).start..self.range(rows.end).start;
        Self {
            groups: self.groups,
            hashes: self.hashes.get(hashes).unwrap_or_default().to_vec(),
        }
    }

    pub(super) fn shrink(&mut self) {
        self.hashes.shrink_to_fit();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// Allocates memory for all rows of the page when the first row of the page gets fingerprints.
    fn allocate(&mut self, rows: usize, fingerprints: &Fingerprints) {
        if self.hashes.is_empty() && fingerprints.are_known() {
            self.hashes = vec![0; rows * self.groups];
        }
    }

    fn range(&self, row: usize) -> Range<usize> {
        let start = row * self.groups;
        start..start + self.groups
    }
}
