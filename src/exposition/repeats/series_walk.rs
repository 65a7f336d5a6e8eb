//! [`SeriesWalk`]: reads the series of a family in steps, in the order in which the samples are written.

use super::selection::Selection;
use super::series_reader::SeriesReader;
use super::work::Work;
use crate::exposition::family_column::FamilyColumn;
use crate::exposition::family_rows::FamilyRows;
use crate::store::StoreSnapshot;

/// The columns of a family, the snapshots that contain its rows, and the selected rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) columns: &'a [FamilyColumn],
    pub(super) snapshots: &'a [StoreSnapshot],
    /// `None` if all rows are selected.
    pub(super) selection: Option<&'a Selection>,
}

/// The place of a sample. The indexes have only 32 bits each, because a search can store millions of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    column: u32,
    page: u32,
    row: u32,
    /// The offset of the sample in the samples of its row, in bytes.
    start: u32,
}

/// A series at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'a> {
    /// The number of the sample. The numbers start at 0. Samples in columns without possible repeats have no number.
    /// Samples that are not selected have numbers, but no walk visits them.
    pub(super) number: usize,
    /// The place of the sample; `None` if one of the indexes does not fit into 32 bits.
    pub(super) place: Option<Place>,
    /// The labels. Two samples of the family have the same series if these texts are equal.
    pub(super) labels: &'a [u8],
}

/// A walk over the series of a family, in steps. The walk skips the columns in which repeats are impossible, and the
/// rows that are not selected.
#[derive(Debug)]
pub(super) struct SeriesWalk {
    column: usize,
    page: usize,
    row: usize,
    /// The offset of the next sample in the samples of its row, in bytes.
    start: usize,
    number: usize,
    reader: SeriesReader,
}

// === impl Source ===

impl<'a> Source<'a> {
    /// Returns the rows of a page. Returns `None` if the column has no such page, or if no sample of the column can
    /// repeat a series.
    fn rows(self, column: &'a FamilyColumn, page: usize) -> Option<FamilyRows<'a>> {
        let rows = FamilyRows::at(column, self.snapshots, page);
        rows.filter(|_| column.may_repeat)
    }

    fn includes_column(self, column: usize) -> bool {
        (self.selection).is_none_or(|selection| selection.includes_column(column))
    }

    fn includes_row(self, rows: &FamilyRows<'_>, row: usize) -> bool {
        (self.selection).is_none_or(|selection| selection.includes_row(rows, row))
    }

    /// Returns the number of samples in the columns in which repeats are possible. Samples that are not selected are
    /// included.
    pub(super) fn samples(self) -> usize {
        let columns = self.columns.iter().filter(|column| column.may_repeat);
        let rows = columns.flat_map(|column| FamilyRows::all(column, self.snapshots));
        let samples = rows.map(|rows| rows.samples.lines()).sum::<u64>();
        usize::try_from(samples).unwrap_or(usize::MAX)
    }

    /// Creates a reader for the series of the columns in which repeats are possible.
    pub(super) fn reader(self) -> SeriesReader {
        let mut columns = self.columns.iter().filter(|column| column.may_repeat);
        SeriesReader::new(columns.all(|column| column.sorts_labels))
    }

    /// Whether the sample at `place` has the series with these labels.
    pub(super) fn has_series(
        self,
        place: Place,
        labels: &[u8],
        reader: &mut SeriesReader,
        work: &mut Work,
    ) -> bool {
        let column = self.columns.get(index(place.column));
        let rows = column.and_then(|column| self.rows(column, index(place.page)));
        rows.is_some_and(|rows| {
            let row = index(place.row);
            let tail = tail_at(rows.tails(row), index(place.start)).unwrap_or_default();
            reader.read(&rows, row, tail, work) == labels
        })
    }
}

// === impl SeriesWalk ===

impl SeriesWalk {
    pub(super) fn new(reader: SeriesReader) -> Self {
        Self {
            column: 0,
            page: 0,
            row: 0,
            start: 0,
            number: 0,
            reader,
        }
    }

    /// Calls `visit` for each series, and stops when `work` is used up. Returns whether all series have been visited.
    pub(super) fn advance(
        &mut self,
        source: Source<'_>,
        work: &mut Work,
        mut visit: impl FnMut(Series<'_>, &mut Work),
    ) -> bool {
        while let Some(column) = source.columns.get(self.column) {
            let Some(rows) = source.rows(column, self.page) else {
                self.column += 1;
                self.page = 0;
                continue;
            };
            let is_included = source.includes_column(self.column);
            if !is_included {
                let lines = usize::try_from(rows.samples.lines()).unwrap_or(usize::MAX);
                self.number = self.number.saturating_add(lines);
            }
            let has_samples = is_included && rows.samples.bytes() > 0;
            while has_samples && self.row < rows.len() {
                if work.is_spent() {
                    return false;
                }
                if self.start == 0 && !source.includes_row(&rows, self.row) {
                    self.skip_row(&rows, work);
                    continue;
                }
                let Some(tail) = tail_at(rows.tails(self.row), self.start) else {
                    self.row += 1;
                    self.start = 0;
                    work.spend(Work::ROW);
                    continue;
                };
                let series = Series {
                    number: self.number,
                    place: self.place(),
                    labels: self.reader.read(&rows, self.row, tail, work),
                };
                visit(series, work);
                self.start += tail.len();
                self.number += 1;
            }
            self.page += 1;
            self.row = 0;
            work.spend(Work::ROW);
            if work.is_spent() {
                return false;
            }
        }
        true
    }

    /// Skips a row whose samples are not selected, and counts these samples.
    fn skip_row(&mut self, rows: &FamilyRows<'_>, work: &mut Work) {
        let tails = rows.tails(self.row);
        self.number += memchr::memchr_iter(b'\n', tails).count();
        self.row += 1;
        work.spend(Work::SKIPPED_ROW + tails.len() / Work::SKIPPED_BYTES);
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            column: self.column.try_into().ok()?,
            page: self.page.try_into().ok()?,
            row: self.row.try_into().ok()?,
            start: self.start.try_into().ok()?,
        })
    }
}

/// Returns the tail that starts at the offset `start` of a cell; `None` at the end of the cell.
fn tail_at(cell: &[u8], start: usize) -> Option<&[u8]> {
    // Each newline ends a sample, because newlines in label values are escaped.
    let rest = cell.get(start..).filter(|rest| !rest.is_empty())?;
    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
    rest.get(..end)
}

fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
