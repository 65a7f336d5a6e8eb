//! [`RunCursor`]: an exposition as runs of rows, in the order in which they are written.
//!
//! The header of a family is the text before its samples: `# HELP` and `# TYPE`. A sample *repeats* an earlier series
//! if an earlier sample of the family has the same labels, and the filter includes both; a repeated sample is not
//! written.
//!
//! The cursor works in steps: a step is a limited amount of work, after which the caller can let other tasks run.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

use super::family_column::FamilyColumn;
use super::family_rows::FamilyRows;
#[cfg(feature = "gzip")]
use super::gzip::{RunKey, RunRevision};
use super::new_samples::{NewSamples, SampleCounter};
use super::plan_family::PlanFamily;
use super::repeats::{ReadStep, RepeatedSamples, RepeatsReader};
use super::row_part::RowPart;
use super::samples::FamilySamples;
use super::snapshot::Exposition;
use super::step::Step;

/// The approximate maximum size of the text of a run, in bytes; with joined labels, the maximum is twice as large.
const RUN_BYTES: usize = 96 * 1024;

/// A step ends after about this many rows. The limit is necessary because a filter by namespace can exclude all rows.
/// Without the limit, a step that finds no included row would take long.
const ROWS_PER_STEP: usize = 4096;

/// A step ends after about this much work to compute joined labels, in bytes of text. The limit is necessary because
/// the joined labels of a page are computed for all its rows, even if only one of these rows is written.
const JOINED_PER_STEP: usize = 256 * 1024;

/// Iterates over the runs of an exposition. A run consists of consecutive rows of one page in one family; a page is a
/// group of up to 255 rows of a store.
#[derive(Debug)]
pub(super) struct RunCursor {
    exposition: Exposition,
    /// The index of the next run's family in the plan.
    family: usize,
    /// The index of the next run's column in the family.
    column: usize,
    /// The index of the next run's page in the store.
    page: usize,
    /// The index of the next run's first row in the page.
    row: usize,
    /// A long row is written in several parts. If some parts of the next row have already been written, this is the
    /// latest of these parts; otherwise `None`.
    part: Option<RowPart>,
    /// Whether a run of the current family already contains the header of the family.
    has_header: bool,
    /// The state of the search for the repeated samples of the current family; `None` if no search is in progress.
    search: Option<RepeatsReader>,
    /// The samples of the current family that repeat an earlier series; `None` until the search has ended.
    repeated: Option<Arc<RepeatedSamples>>,
    /// Counts the samples of the current family if this family has repeated samples.
    counter: SampleCounter,
    /// The number of rows that the current step has examined.
    examined: usize,
    /// The work to compute joined labels since the last pause for this reason.
    joined: usize,
}

/// Consecutive rows of one family. Their text is written together.
#[derive(Clone, Debug)]
pub(super) struct RowRun {
    /// The index of the family in the plan.
    family: usize,
    extent: Extent,
    /// The approximate length of the text of these rows, in bytes.
    #[cfg_attr(not(feature = "gzip"), expect(dead_code, reason = "sizes blocks"))]
    pub(super) size: usize,
}

/// The rows of a run.
#[derive(Clone, Debug)]
enum Extent {
    /// Rows of one page. Their stored lines are copied.
    Rows {
        /// The index of the column in the family.
        column: usize,
        /// The index of the page in the store.
        page: usize,
        rows: Range<usize>,
        /// The part of the row that the run contains; `None` if the run contains whole rows.
        part: Option<RowPart>,
        /// Whether the run starts with the header of the family.
        has_header: bool,
        /// The samples of these rows to write: those that do not repeat an earlier series. `None` if all samples are
        /// written.
        new: Option<NewSamples>,
    },
    /// The whole family. Its stored lines cannot be copied, because the format of the exposition needs different lines.
    /// Samples that repeat an earlier series are not written.
    Family { repeated: Arc<RepeatedSamples> },
}

// === impl RunCursor ===

impl RunCursor {
    pub(super) fn new(exposition: Exposition) -> Self {
        Self {
            exposition,
            family: 0,
            column: 0,
            page: 0,
            row: 0,
            part: None,
            has_header: false,
            search: None,
            repeated: None,
            counter: SampleCounter::default(),
            examined: 0,
            joined: 0,
        }
    }

    /// Moves a new cursor to the family at the middle of the exposition, so that only the second half is compressed.
    #[cfg(feature = "gzip")]
    pub(super) fn skip_first_half(&mut self) {
        let plan = Arc::clone(self.exposition.plan());
        let families = plan.families().iter();
        let sizes: Vec<_> = families.map(|family| self.text_size(family)).collect();
        let half = sizes.iter().sum::<u64>() / 2;
        let ends = sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        });
        self.family = ends.take_while(|end| *end <= half).count();
    }

    pub(super) fn exposition(&self) -> &Exposition {
        &self.exposition
    }

    /// Finds the next run. A run of rows contains at least one sample. A run that consists of a whole family may
    /// contain no samples.
    pub(super) fn next_run(&mut self) -> Step<RowRun> {
        let plan = Arc::clone(self.exposition.plan());
        let snapshots = Arc::clone(self.exposition.snapshots());
        while let Some(family) = plan.families().get(self.family) {
            let filter = self.exposition.filter();
            if !filter.includes_family(family.metadata().name()) {
                self.next_family();
                continue;
            }
            let Some(repeated) = self.find_repeated(family) else {
                return Step::Pause;
            };
            let copies_rows = self.exposition.format().spec().has_stored_lines();
            if !copies_rows {
                let run = self.whole_family(family, repeated);
                self.next_family();
                return Step::Item(run);
            }
            while let Some(column) = family.columns().get(self.column) {
                let has_repeats = column.may_repeat && !repeated.is_empty();
                if !self.exposition.includes_column(column) {
                    if has_repeats {
                        let mut pages = FamilyRows::all(column, &snapshots);
                        pages.by_ref().for_each(|page| self.counter.end_page(&page));
                    }
                    self.next_column();
                    continue;
                }
                while let Some(rows) = FamilyRows::at(column, &snapshots, self.page) {
                    if self.examined >= ROWS_PER_STEP {
                        self.examined = 0;
                        return Step::Pause;
                    }
                    self.examined += rows.len();
                    if let Some((mut run, end, part)) = self.next_rows(&rows) {
                        let has_sample = !has_repeats || self.leave_out(&repeated, &rows, &mut run);
                        self.row = end;
                        self.part = part;
                        if !has_sample {
                            continue;
                        }
                        self.has_header = true;
                        return Step::Item(run);
                    }
                    if has_repeats {
                        self.counter.end_page(&rows);
                    }
                    self.page += 1;
                    self.row = 0;
                }
                self.next_column();
            }
            self.next_family();
        }
        Step::End
    }

    /// Appends the text of a run.
    pub(super) fn write(&self, run: &RowRun, out: &mut BytesMut) {
        let Some(family) = self.exposition.plan().families().get(run.family) else {
            return;
        };
        let header = family.header(self.exposition.format());
        match &run.extent {
            Extent::Rows {
                column,
                page,
                rows,
                part,
                has_header,
                new,
            } => {
                if *has_header {
                    out.extend_from_slice(header);
                }
                let column = family.columns().get(*column);
                if let Some(page) = column.and_then(|column| self.rows(column, *page)) {
                    match (new, part) {
                        (Some(new), part) => {
                            let tails = new.tails(page, rows.clone(), part.as_ref());
                            tails
                                .filter(|(row, _)| self.includes(&page, *row))
                                .for_each(|(row, tail)| page.write_lines(row, tail, out));
                        }
                        (None, Some(part)) => {
                            let tails = page.tails(rows.start).get(part.tails.clone());
                            page.write_lines(rows.start, tails.unwrap_or_default(), out);
                        }
                        (None, None) => self.write_rows(&page, rows.clone(), out),
                    }
                }
            }
            Extent::Family { repeated } => {
                let samples = FamilySamples::new(&self.exposition, family, Arc::clone(repeated));
                let mut samples = samples.samples().peekable();
                if samples.peek().is_some() {
                    out.extend_from_slice(header);
                    let spec = self.exposition.format().spec();
                    spec.write_samples(family.metadata(), &mut samples, out);
                }
            }
        }
    }

    /// Computes the joined labels of all rows in the page of a run. Returns whether the computations since the last
    /// `true` took so long that the caller must pause.
    pub(super) fn prepare_joined(&mut self, run: &RowRun) -> bool {
        let Extent::Rows { column, page, .. } = run.extent else {
            return false;
        };
        let family = self.exposition.plan().families().get(run.family);
        let column = family.and_then(|family| family.columns().get(column));
        let rows = column.and_then(|column| self.rows(column, page));
        let work = rows.map_or(0, |rows| rows.prepare_joined());
        self.joined = self.joined.saturating_add(work);
        let is_long = self.joined >= JOINED_PER_STEP;
        if is_long {
            self.joined = 0;
        }
        is_long
    }

    /// Appends runs until the text has at least `size` bytes.
    pub(super) fn write_until(&mut self, size: usize, out: &mut BytesMut) -> Step<()> {
        while out.len() < size {
            match self.next_run() {
                Step::Item(run) => {
                    let is_long = self.prepare_joined(&run);
                    self.write(&run, out);
                    if is_long {
                        return Step::Pause;
                    }
                }
                Step::Pause => return Step::Pause,
                Step::End => return Step::End,
            }
        }
        Step::Item(())
    }

    /// Returns the key and the revision of a run, for the cache of compressed text. Returns `None` if the text also
    /// depends on data outside the run, because the cache does not detect changes of such data.
    #[cfg(feature = "gzip")]
    pub(super) fn identify(&self, run: &RowRun) -> Option<(RunKey, RunRevision)> {
        let Extent::Rows {
            column,
            page,
            rows,
            part,
            has_header,
            new: None,
        } = &run.extent
        else {
            return None;
        };
        if self.exposition.filter().has_namespaces() {
            return None;
        }
        let family = self.exposition.plan().families().get(run.family)?;
        let column = family.columns().get(*column)?;
        let family_rows = self.rows(column, *page)?;
        let FamilyRows {
            page,
            base_labels,
            samples,
            ..
        } = family_rows;
        let key = RunKey {
            page: page.number(),
            column: u32::try_from(column.samples).ok()?,
            first_row: u8::try_from(rows.start).ok()?,
            part: part.as_ref().map_or(0, |part| part.number),
            header: has_header.then_some(self.exposition.format()),
        };
        let revision = RunRevision {
            base_labels: base_labels.version(),
            samples: samples.version(),
            joined: family_rows.joined_version(),
            dictionary: match samples.is_coded() {
                true => page.shared_version(),
                false => 0,
            },
            end_row: u8::try_from(rows.end).ok()?,
        };
        Some((key, revision))
    }

    /// Returns the next run of this page that has a sample, and the start of the run after it. The start consists of
    /// the index of a row, and of the part of this row that was written last (`None` if no part is written).
    fn next_rows(&self, page: &FamilyRows<'_>) -> Option<(RowRun, usize, Option<RowPart>)> {
        if page.samples.bytes() == 0 {
            return None;
        }
        let count = page.len();
        let per_line = page.family_column.prefix.len() + page.base_labels.average();
        let lines = usize::try_from(page.samples.lines()).unwrap_or(usize::MAX);
        let bytes = usize::try_from(page.samples.bytes()).unwrap_or(usize::MAX);
        let own = bytes.saturating_add(lines.saturating_mul(per_line));
        let joined = lines.saturating_mul(page.joined_len());
        // Joined labels may make a run up to twice as long. If the text is even longer, the page is divided into more
        // runs. Fewer runs are better, because each run and its compressed block take time in each scrape.
        let size = own.max(own.saturating_add(joined) / 2);
        // All runs of a page have the same number of rows. So if a column does not change, its runs stay the same, and
        // their compressed text stays in the cache.
        let step = count.div_ceil(size.div_ceil(RUN_BYTES).max(1)).max(1);
        // The first run of a family contains the header of the family. A family without samples must have no header, so
        // each run must have a sample.
        let has_sample = |rows: &Range<usize>| rows.clone().any(|row| self.has_sample(page, row));
        let mut ranges = (self.row..count)
            .step_by(step)
            .map(|from| from..(from + step).min(count));
        let mut rows = ranges.find(has_sample)?;
        let mut size = size / count.div_ceil(step).max(1);
        let (mut part, mut is_last) = (None, true);
        let includes = |row| self.includes(page, row);
        if let Some(row) = RowPart::first_needed(page, rows.clone(), includes) {
            if has_sample(&(rows.start..row)) {
                rows.end = row;
            } else {
                let next = RowPart::next(page, row, self.part.as_ref(), RUN_BYTES);
                is_last = next.is_last(page, row);
                rows = row..row + 1;
                size = RUN_BYTES;
                part = Some(next);
            }
        }
        let end = if is_last { rows.end } else { rows.start };
        let written = part.clone().filter(|_| !is_last);
        let run = RowRun {
            family: self.family,
            extent: Extent::Rows {
                column: self.column,
                page: self.page,
                rows,
                part,
                has_header: !self.has_header,
                new: None,
            },
            size,
        };
        Some((run, end, written))
    }

    /// Returns the repeated samples of the current family if they are already known. Otherwise, makes one step of the
    /// search for them and returns `None`, even if this was the last step. The caller then pauses. Without this pause,
    /// the searches of many small families would together become one long step.
    fn find_repeated(&mut self, family: &PlanFamily) -> Option<Arc<RepeatedSamples>> {
        if let Some(repeated) = &self.repeated {
            return Some(Arc::clone(repeated));
        }
        let snapshots = self.exposition.snapshots();
        let reader = (self.search).get_or_insert_with(|| family.read_repeats(snapshots));
        let exposition = &self.exposition;
        let step = family.step_repeats(reader, || exposition.selection(family));
        let (repeated, is_known) = match step {
            ReadStep::Known(repeated) => (repeated, true),
            ReadStep::Found(repeated) => (repeated, false),
            ReadStep::Pause => return None,
        };
        self.search = None;
        self.repeated = Some(Arc::clone(&repeated));
        is_known.then_some(repeated)
    }

    /// Excludes the samples of a run that repeat an earlier series. Returns whether the run still has a sample.
    fn leave_out(
        &mut self,
        repeated: &Arc<RepeatedSamples>,
        page: &FamilyRows<'_>,
        run: &mut RowRun,
    ) -> bool {
        let Extent::Rows {
            rows, part, new, ..
        } = &mut run.extent
        else {
            return true;
        };
        let first = self.counter.count_to(page, rows.start, part.as_ref());
        let samples = new.insert(NewSamples::new(Arc::clone(repeated), first));
        let mut tails = samples.tails(*page, rows.clone(), part.as_ref());
        tails.any(|(row, _)| self.exposition.includes_row(page, row))
    }

    /// Returns a run that consists of the whole current family, without repeated samples.
    fn whole_family(&self, family: &PlanFamily, repeated: Arc<RepeatedSamples>) -> RowRun {
        RowRun {
            family: self.family,
            extent: Extent::Family { repeated },
            size: usize::try_from(self.text_size(family)).unwrap_or(usize::MAX),
        }
    }

    /// Returns the approximate length of the text of a family, in bytes.
    fn text_size(&self, family: &PlanFamily) -> u64 {
        /// The approximate length of the family name and the base labels in each line.
        const PER_LINE: u64 = 128;
        let pages = (family.columns().iter())
            .flat_map(|column| FamilyRows::all(column, self.exposition.snapshots()));
        let sizes = pages.map(|page| page.samples.bytes() + page.samples.lines() * PER_LINE);
        sizes.sum()
    }

    /// Whether a row has a sample and the filter includes the object of this row.
    fn has_sample(&self, page: &FamilyRows<'_>, row: usize) -> bool {
        !page.tails(row).is_empty() && self.includes(page, row)
    }

    fn includes(&self, page: &FamilyRows<'_>, row: usize) -> bool {
        self.exposition.includes_row(page, row)
    }

    fn write_rows(&self, page: &FamilyRows<'_>, rows: Range<usize>, out: &mut BytesMut) {
        for row in rows {
            // The loop reads the samples of each row only once, because it runs for each row in every scrape.
            let tails = page.tails(row);
            if !tails.is_empty() && self.exposition.includes_row(page, row) {
                page.write_lines(row, tails, out);
            }
        }
    }

    fn rows<'a>(&'a self, column: &'a FamilyColumn, page: usize) -> Option<FamilyRows<'a>> {
        FamilyRows::at(column, self.exposition.snapshots(), page)
    }

    fn next_column(&mut self) {
        self.column += 1;
        self.page = 0;
        self.row = 0;
    }

    fn next_family(&mut self) {
        self.family += 1;
        self.column = 0;
        self.page = 0;
        self.row = 0;
        self.has_header = false;
        self.search = None;
        self.repeated = None;
        self.counter = SampleCounter::default();
    }
}
