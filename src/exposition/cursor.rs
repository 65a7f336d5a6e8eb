//! The way through a plan: parts of families, in the order they are written.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

#[cfg(feature = "gzip")]
use super::Format;
use super::plan::SourceColumn;
use super::{Exposition, PlanFamily};
use crate::store::{Column, Page};

/// A part is at most about this large as text, unless a single row is larger.
const PART: usize = 96 * 1024;

/// The parts of an exposition, one after another.
#[derive(Debug)]
pub(super) struct PartCursor {
    exposition: Exposition,
    family: usize,
    source: usize,
    page: usize,
    row: usize,
    /// The header of the current family has been written.
    headed: bool,
    /// SampleBuffer of the current family that repeat earlier series, once they have been looked for.
    repeated: Option<Arc<[usize]>>,
}

/// Some rows of a page in one family, or a whole family where some lines are left out.
#[derive(Clone, Debug)]
pub(super) struct Part {
    family: usize,
    source: usize,
    page: usize,
    rows: Range<usize>,
    /// The family's header comes first.
    head: bool,
    /// SampleBuffer to leave out, where there are any; the part is the whole family then.
    repeated: Option<Arc<[usize]>>,
    /// About how many bytes of text.
    #[cfg_attr(not(feature = "gzip"), expect(dead_code, reason = "for blocks"))]
    pub(super) size: usize,
}

/// Where a part is: a part that is there later, or was before, is another state of it.
#[cfg(feature = "gzip")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockKey {
    page: u64,
    column: u32,
    /// The first of its rows.
    row: u8,
    /// The format of the header in front, where there is one.
    header: Option<Format>,
}

/// The state of a part: at one place and with one version there is only ever one text.
#[cfg(feature = "gzip")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockRevision {
    base: u64,
    column: u64,
    /// Of the values that rows share, where the column refers to them.
    shared: u64,
    /// Behind the last of its rows.
    end: u8,
}

/// The columns of a part.
struct Columns<'a> {
    source: &'a SourceColumn,
    page: &'a Page,
    base: &'a Column,
    column: &'a Column,
}

impl PartCursor {
    pub(super) fn new(exposition: Exposition) -> Self {
        Self {
            exposition,
            family: 0,
            source: 0,
            page: 0,
            row: 0,
            headed: false,
            repeated: None,
        }
    }

    pub(super) fn exposition(&self) -> &Exposition {
        &self.exposition
    }

    /// The next part that has a line.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        let plan = Arc::clone(&self.exposition.plan);
        while let Some(family) = plan.families().get(self.family) {
            if !self.exposition.selection.has_family(family.name()) {
                self.next_family();
                continue;
            }
            let snapshots = &self.exposition.snapshots;
            let repeated = (self.repeated).get_or_insert_with(|| family.repeated_lines(snapshots));
            if !repeated.is_empty() {
                let part = self.whole(family);
                self.next_family();
                return Some(part);
            }
            while let Some(source) = family.sources.get(self.source) {
                if !self.is_selected(source) {
                    self.next_source();
                    continue;
                }
                while let Some(columns) = self.columns(source, self.page) {
                    if let Some(part) = self.rows(&columns) {
                        self.row = part.rows.end;
                        self.headed = true;
                        return Some(part);
                    }
                    self.page += 1;
                    self.row = 0;
                }
                self.next_source();
            }
            self.next_family();
        }
        None
    }

    /// Appends the text of a part.
    pub(super) fn write(&self, part: &Part, out: &mut BytesMut) {
        let Some(family) = self.exposition.plan.families().get(part.family) else {
            return;
        };
        let start = out.len();
        if part.head {
            out.extend_from_slice(family.header(self.exposition.format));
        }
        match &part.repeated {
            None => {
                if let Some(columns) =
                    (family.sources.get(part.source)).and_then(|own| self.columns(own, part.page))
                {
                    self.write_rows(&columns, part.rows.clone(), out);
                }
            }
            Some(repeated) => {
                let headed = out.len();
                self.write_unrepeated(family, repeated, out);
                if out.len() == headed {
                    out.truncate(start);
                }
            }
        }
    }

    /// Where a part is and in which state; none where the text depends on more than columns.
    #[cfg(feature = "gzip")]
    pub(super) fn identify(&self, part: &Part) -> Option<(BlockKey, BlockRevision)> {
        if part.repeated.is_some() || self.exposition.selection.namespaces.is_some() {
            return None;
        }
        let family = self.exposition.plan.families().get(part.family)?;
        let source = family.sources.get(part.source)?;
        let columns = self.columns(source, part.page)?;
        let place = BlockKey {
            page: columns.page.number(),
            column: u32::try_from(source.column).ok()?,
            row: u8::try_from(part.rows.start).ok()?,
            header: part.head.then_some(self.exposition.format),
        };
        let version = BlockRevision {
            base: columns.base.version(),
            column: columns.column.version(),
            shared: match columns.column.is_coded() {
                true => columns.page.shared_version(),
                false => 0,
            },
            end: u8::try_from(part.rows.end).ok()?,
        };
        Some((place, version))
    }

    /// The next rows of a page that have a line to show.
    fn rows(&self, columns: &Columns<'_>) -> Option<Part> {
        let rows = columns.page.len();
        if columns.column.bytes() == 0 {
            return None;
        }
        let per_line = columns.source.prefix.len() + columns.base.average();
        let lines = usize::try_from(columns.column.lines()).unwrap_or(usize::MAX);
        let bytes = usize::try_from(columns.column.bytes()).unwrap_or(usize::MAX);
        let size = bytes.saturating_add(lines.saturating_mul(per_line));
        // Equal runs of rows, so that the same column is always cut in the same places.
        let step = rows.div_ceil(size.div_ceil(PART).max(1)).max(1);
        // A header is promised to the first part, so what is promised has to come.
        let has_line =
            |rows: &Range<usize>| rows.clone().any(|row| self.shown(columns, row).is_some());
        let mut ranges = (self.row..rows)
            .step_by(step)
            .map(|from| from..(from + step).min(rows));
        Some(Part {
            family: self.family,
            source: self.source,
            page: self.page,
            rows: ranges.find(has_line)?,
            head: !self.headed,
            repeated: None,
            size: size / rows.div_ceil(step).max(1),
        })
    }

    /// The whole current family, some lines of which are left out.
    fn whole(&self, family: &PlanFamily) -> Part {
        let sizes = family.sources.iter().map(|source| {
            let pages = (0..).map_while(|page| self.columns(source, page));
            let lines = pages.map(|columns| columns.column.bytes() + columns.column.lines() * 128);
            lines.sum::<u64>()
        });
        Part {
            family: self.family,
            source: 0,
            page: 0,
            rows: 0..0,
            head: true,
            repeated: self.repeated.clone(),
            size: usize::try_from(sizes.sum::<u64>()).unwrap_or(usize::MAX),
        }
    }

    /// The cell of a row that has lines and is selected.
    fn shown<'a>(&self, columns: &Columns<'a>, row: usize) -> Option<&'a [u8]> {
        let selection = &self.exposition.selection;
        let cell = columns.column.cell(row);
        let shown = !cell.is_empty()
            && (selection.namespaces.is_none() || selection.has_key(columns.page.key(row)));
        shown.then_some(cell)
    }

    fn write_rows(&self, columns: &Columns<'_>, rows: Range<usize>, out: &mut BytesMut) {
        for row in rows {
            if let Some(cell) = self.shown(columns, row) {
                columns.write_row(row, cell, out);
            }
        }
    }

    /// SampleBuffer are numbered over the whole family, selected or not.
    fn write_unrepeated(&self, family: &PlanFamily, repeated: &[usize], out: &mut BytesMut) {
        let mut line = 0;
        for source in &family.sources {
            let selected = self.is_selected(source);
            for columns in (0..).map_while(|page| self.columns(source, page)) {
                for row in 0..columns.page.len() {
                    let cell = columns.column.cell(row);
                    let selected =
                        selected && self.exposition.selection.has_key(columns.page.key(row));
                    for tail in cell.split_inclusive(|&byte| byte == b'\n') {
                        if selected && repeated.binary_search(&line).is_err() {
                            columns.write_row(row, tail, out);
                        }
                        line += 1;
                    }
                }
            }
        }
    }

    fn is_selected(&self, source: &SourceColumn) -> bool {
        let store = self.exposition.plan.stores().get(source.store);
        store.is_some_and(|store| self.exposition.selection.has_resource(store.resource()))
    }

    fn columns<'a>(&'a self, source: &'a SourceColumn, page: usize) -> Option<Columns<'a>> {
        let page = self.exposition.snapshots.get(source.store)?.page(page)?;
        Some(Columns {
            source,
            page,
            base: page.columns().get(source.base)?,
            column: page.columns().get(source.column)?,
        })
    }

    fn next_source(&mut self) {
        self.source += 1;
        self.page = 0;
        self.row = 0;
    }

    fn next_family(&mut self) {
        self.family += 1;
        self.source = 0;
        self.page = 0;
        self.row = 0;
        self.headed = false;
        self.repeated = None;
    }
}

// === impl Columns ===

impl Columns<'_> {
    /// Appends the lines of a row, or some of them.
    fn write_row(&self, row: usize, tails: &[u8], out: &mut BytesMut) {
        let shared = |code| self.page.shared_value(row, code);
        (self.source.prefix).write_row(out, self.base.cell(row), tails, shared);
    }
}

#[cfg(all(test, feature = "gzip"))]
impl BlockKey {
    pub(super) fn of(page: u64) -> Self {
        Self {
            page,
            column: 0,
            row: 0,
            header: None,
        }
    }

    pub(super) fn page(&self) -> u64 {
        self.page
    }
}

#[cfg(all(test, feature = "gzip"))]
impl BlockRevision {
    pub(super) fn of(column: u64) -> Self {
        Self {
            base: 0,
            column,
            shared: 0,
            end: 1,
        }
    }
}
