//! [`FamilyRows`]: reads the samples of one family from the rows of one page.
//!
//! Joined labels are labels that an exposition adds to the samples of an object, such as labels of its namespace.

use bytes::BytesMut;

use super::family_column::FamilyColumn;
use crate::store::{Column, JoinedRows, Page, RowLabels, SampleLine, StoreSnapshot};

/// The rows of one page of a store, with the samples of one family. A page has up to 255 rows, and a row has the
/// samples of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamilyRows<'a> {
    pub(super) family_column: &'a FamilyColumn,
    pub(super) page: &'a Page,
    pub(super) base_labels: &'a Column,
    pub(super) samples: &'a Column,
    /// The labels that are joined to these rows; `None` if the store has no joined labels.
    pub(super) joined: Option<JoinedRows<'a>>,
}

// === impl FamilyRows ===

impl<'a> FamilyRows<'a> {
    /// Returns the rows of the page with the index `page`; `None` if the store has no such page.
    pub(super) fn at(
        family_column: &'a FamilyColumn,
        snapshots: &'a [StoreSnapshot],
        page: usize,
    ) -> Option<Self> {
        let (snapshot, at) = (snapshots.get(family_column.store)?, page);
        let page = snapshot.page(at)?;
        Some(Self {
            family_column,
            page,
            base_labels: page.columns().get(family_column.base_labels)?,
            samples: page.columns().get(family_column.samples)?,
            joined: snapshot.joined_rows(page, at),
        })
    }

    /// The rows of all pages.
    pub(super) fn all(
        family_column: &'a FamilyColumn,
        snapshots: &'a [StoreSnapshot],
    ) -> impl Iterator<Item = Self> {
        (0..).map_while(|page| Self::at(family_column, snapshots, page))
    }

    /// The number of rows. Rows without a sample are included.
    pub(super) fn len(&self) -> usize {
        self.page.len()
    }

    /// Returns each row as a pair: a copy of `self`, and the index of the row.
    pub(super) fn rows(self) -> impl Iterator<Item = (Self, usize)> {
        (0..self.len()).map(move |row| (self, row))
    }

    /// Returns the tails of all samples in a row. A tail is the end of a sample line, after the base labels.
    pub(super) fn tails(&self, row: usize) -> &'a [u8] {
        self.samples.cell(row)
    }

    /// Returns the labels that come before the tail in each line of a row.
    fn labels(&self, row: usize) -> RowLabels<'a> {
        RowLabels {
            base: self.base_labels.cell(row),
            joined: (self.joined.as_ref()).map_or(&[], |joined| joined.labels(row)),
            own_wins: self.family_column.own_wins,
        }
    }

    /// Whether all lines of a row start with the same labels.
    pub(super) fn copies_joined(&self) -> bool {
        let column = self.family_column;
        self.joined.is_none() || column.prefix.copies_joined(column.own_wins)
    }

    /// Returns a number that changes if the joined labels of any of these rows change; 0 if the store has no joined
    /// labels.
    pub(super) fn joined_version(&self) -> u64 {
        self.joined.as_ref().map_or(0, JoinedRows::version)
    }

    /// Computes the joined labels of all rows. Returns the work; 0 if the labels are already known.
    pub(super) fn prepare_joined(&self) -> usize {
        self.joined.as_ref().map_or(0, JoinedRows::prepare)
    }

    /// Returns the approximate length of the joined labels of one row, in bytes.
    pub(super) fn joined_len(&self) -> usize {
        self.joined.as_ref().map_or(0, JoinedRows::approximate_len)
    }

    /// The samples of a row.
    pub(super) fn sample_lines(self, row: usize) -> impl Iterator<Item = SampleLine<'a>> {
        let tails = self.tails(row).split_inclusive(|&byte| byte == b'\n');
        tails.map(move |tail| SampleLine {
            prefix: &self.family_column.prefix,
            labels: self.labels(row),
            tail,
            page: self.page,
            row,
        })
    }

    /// Appends the sample lines of a row. `tails` contains the ends of these lines.
    pub(super) fn write_lines(&self, row: usize, tails: &[u8], out: &mut BytesMut) {
        let shared = |code| self.page.shared_value(row, code);
        let prefix = &self.family_column.prefix;
        prefix.write_row(out, self.labels(row), tails, shared);
    }
}
