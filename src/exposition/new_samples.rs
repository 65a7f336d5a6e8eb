//! [`NewSamples`]: the samples of a run that do not repeat an earlier series.
//!
//! A sample repeats an earlier series if an earlier sample of the family has the same labels. A label with an empty
//! value is the same as no label, and the order of labels has no meaning.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;

use super::family_rows::FamilyRows;
use super::repeats::RepeatedSamples;
use super::row_part::RowPart;

/// The samples of a run, without those that repeat an earlier series. A run consists of consecutive rows of one family.
#[derive(Clone, Debug)]
pub(super) struct NewSamples {
    repeated: Arc<RepeatedSamples>,
    /// The number of the run's first sample in [`RepeatedSamples`].
    first: usize,
}

/// Counts the samples of a family that come before a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SampleCounter {
    /// The number of samples in all pages before the current page. A page is a group of up to 255 rows.
    before_page: usize,
    /// The number of counted samples in the current page.
    counted: usize,
    row: usize,
    /// The number of bytes in the row `row` whose samples are already counted.
    tails: usize,
}

// === impl NewSamples ===

impl NewSamples {
    pub(super) fn new(repeated: Arc<RepeatedSamples>, first: usize) -> Self {
        Self { repeated, first }
    }

    /// Returns the row index and the tail of each sample of the run that does not repeat an earlier series.
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
    /// Returns the number of samples before a run that starts in the row `row`. In [`RepeatedSamples`], the first
    /// sample of the run has this number. The caller must call this method for each run, in the order of the
    /// exposition.
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

    /// Counts the samples of the current row that are not counted yet, up to the position `end`.
    fn count(&mut self, page: &FamilyRows<'_>, end: usize) {
        let cell = page.tails(self.row);
        let tails = cell.get(self.tails..end.min(cell.len()));
        self.counted += memchr_iter(b'\n', tails.unwrap_or_default()).count();
    }

    /// Counts the remaining samples of a page.
    pub(super) fn end_page(&mut self, page: &FamilyRows<'_>) {
        let lines = usize::try_from(page.samples.lines()).unwrap_or(usize::MAX);
        *self = Self {
            before_page: self.before_page.saturating_add(lines),
            ..Self::default()
        };
    }
}
