//! [`FamilyRows`]: reads the samples of one family from the rows of one page.

use bytes::BytesMut;

use super::family_column::FamilyColumn;
use crate::store::{Column, JoinedRows, Page, RowLabels, SampleLine, StoreSnapshot};

/// The rows of one page, with the samples of one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamilyRows<'a> {
    pub(super) family_column: &'a FamilyColumn,
    pub(super) page: &'a Page,
    pub(super) base_labels: &'a Column,
    pub(super) samples: &'a Column,
    /// The joined labels of the rows; `None` if the store has none.
    pub(super) joined: Option<JoinedRows<'a>>,
}

// === impl FamilyRows ===

impl<'a> FamilyRows<'a> {
    /// Returns the rows of the page with the index `page`; `None` if the store has fewer pages.
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

    /// The number of rows, including rows without a sample.
    pub(super) fn len(&self) -> usize {
        self.page.len()
    }

    /// Returns the index of each row, with a copy of `self`.
    pub(super) fn rows(self) -> impl Iterator<Item = (Self, usize)> {
        (0..self.len()).map(move |row| (self, row))
    }

    /// The tails of a row's samples. A tail is the part of a sample line after the base labels.
    pub(super) fn tails(&self, row: usize) -> &'a [u8] {
        self.samples.cell(row)
    }

    /// The labels of a row that precede the tails.
    fn labels(&self, row: usize) -> RowLabels<'a> {
        RowLabels {
            base: self.base_labels.cell(row),
            joined: (self.joined.as_ref()).map_or(&[], |joined| joined.labels(row)),
            own_wins: self.family_column.own_wins,
        }
    }

    /// Whether each line of a row begins with the same labels.
    pub(super) fn copies_joined(&self) -> bool {
        let column = self.family_column;
        self.joined.is_none() || column.prefix.copies_joined(column.own_wins)
    }

    /// A number that changes whenever the joined labels of a row change; 0 if the store has no joined labels.
    pub(super) fn joined_version(&self) -> u64 {
        self.joined.as_ref().map_or(0, JoinedRows::version)
    }

    /// The approximate length of the joined labels of a row, in bytes.
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

    /// Appends the samples of a row that have these `tails`.
    pub(super) fn write_lines(&self, row: usize, tails: &[u8], out: &mut BytesMut) {
        let shared = |code| self.page.shared_value(row, code);
        let prefix = &self.family_column.prefix;
        prefix.write_row(out, self.labels(row), tails, shared);
    }
}
