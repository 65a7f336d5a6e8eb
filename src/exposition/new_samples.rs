//! [`NewSamples`]: the samples of a run that do not repeat an earlier series.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;

use super::family_rows::FamilyRows;
use super::repeats::RepeatedSamples;
use super::row_part::RowPart;

/// The samples of a run that do not repeat an earlier series.
#[derive(Clone, Debug)]
pub(super) struct NewSamples {
    repeated: Arc<RepeatedSamples>,
    /// The number of the first sample of the run, as [`RepeatedSamples`] counts.
    first: usize,
}

/// Counts the samples of a family up to a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SampleCounter {
    /// The number of samples before the current page.
    before_page: usize,
    /// The number of samples before `row` and `tails`.
    counted: usize,
    row: usize,
    /// The length of the counted samples in the cell of `row`.
    tails: usize,
}

// === impl NewSamples ===

impl NewSamples {
    pub(super) fn new(repeated: Arc<RepeatedSamples>, first: usize) -> Self {
        Self { repeated, first }
    }

    /// The row and the tail of each new sample of the run.
    pub(super) fn tails<'a>(
        &self,
        page: FamilyRows<'a>,
        rows: Range<usize>,
        part: Option<&RowPart>,
    ) -> impl Iterator<Item = (usize, &'a [u8])> {
        let part = part.map(|part| part.tails.clone());
        let tails = rows.flat_map(move |row| {
            let cell = page.tails(row);
            let tails = part.clone().map_or(Some(cell), |part| cell.get(part));
            let tails = tails
                .unwrap_or_default()
                .split_inclusive(|&byte| byte == b'\n');
            tails.map(move |tail| (row, tail))
        });
        (self.first..).zip(tails).filter_map(|(number, sample)| {
            let is_repeated = self.repeated.contains(number);
            (!is_repeated).then_some(sample)
        })
    }
}

// === impl SampleCounter ===

impl SampleCounter {
    /// Counts the samples up to a run, which begins with the row `row`. Returns the number of the first sample of the
    /// run. Runs are counted in the order in which they are written.
    pub(super) fn count_to(
        &mut self,
        page: &FamilyRows<'_>,
        row: usize,
        part: Option<&RowPart>,
    ) -> usize {
        let tails = part.map_or(0, |part| part.tails.start);
        while self.row < row {
            self.count(page, usize::MAX);
            self.row += 1;
            self.tails = 0;
        }
        self.count(page, tails);
        self.tails = tails;
        self.before_page + self.counted
    }

    /// Counts the samples of the current row from the counted samples to the position `end` of the cell.
    fn count(&mut self, page: &FamilyRows<'_>, end: usize) {
        let cell = page.tails(self.row);
        let tails = cell.get(self.tails..end.min(cell.len()));
        self.counted += memchr_iter(b'\n', tails.unwrap_or_default()).count();
    }

    /// Counts the rest of a page.
    pub(super) fn end_page(&mut self, page: &FamilyRows<'_>) {
        let lines = usize::try_from(page.samples.lines()).unwrap_or(usize::MAX);
        *self = Self {
            before_page: self.before_page.saturating_add(lines),
            ..Self::default()
        };
    }
}
