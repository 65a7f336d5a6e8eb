//! [`PlanFamily`]: one family of the exposition.

use std::sync::Arc;

use super::family_column::FamilyColumn;
use super::family_metadata::FamilyMetadata;
use super::family_rows::FamilyRows;
use super::format::Format;
use super::repeats::{ReadStep, RepeatedSamples, Repeats, RepeatsReader, Selection};
use crate::store::StoreSnapshot;

/// One family in the exposition: its header, and the columns that contain its samples.
#[derive(Debug)]
pub(crate) struct PlanFamily {
    metadata: FamilyMetadata,
    /// The header in each format, in the order of [`Format::ALL`].
    headers: Vec<Box<[u8]>>,
    columns: Vec<FamilyColumn>,
    repeats: Repeats,
    /// The searches of expositions whose filters exclude some rows.
    selected_repeats: Repeats,
}

// === impl PlanFamily ===

impl PlanFamily {
    pub(super) fn new(metadata: FamilyMetadata, columns: Vec<FamilyColumn>) -> Self {
        let headers = Format::ALL.iter().map(|format| {
            let mut header = Vec::new();
            format.spec().write_header(&metadata, &mut header);
            header.into()
        });
        Self {
            headers: headers.collect(),
            metadata,
            columns,
            repeats: Repeats::default(),
            selected_repeats: Repeats::default(),
        }
    }

    pub(crate) fn metadata(&self) -> &FamilyMetadata {
        &self.metadata
    }

    pub(super) fn columns(&self) -> &[FamilyColumn] {
        &self.columns
    }

    /// Returns the header of the family, that is the lines before its samples.
    pub(super) fn header(&self, format: Format) -> &[u8] {
        self.headers
            .get(format as usize)
            .map_or(&[], |header| header)
    }

    /// Whether the headers of two families are equal in each format.
    #[cfg(all(feature = "gzip", feature = "custom-resources"))]
    pub(crate) fn has_headers_of(&self, other: &Self) -> bool {
        self.headers == other.headers
    }

    /// Returns the samples that repeat the series of an earlier row. The method searches again only if a column with
    /// possible repeats has changed since the last search. [`step_repeats`](Self::step_repeats) describes `select`.
    ///
    /// A new search reads all series of the family without a pause. Code that must not block its thread must use
    /// [`read_repeats`](Self::read_repeats).
    pub(super) fn repeated_samples(
        &self,
        snapshots: &Arc<[StoreSnapshot]>,
        select: impl Fn() -> Option<Selection>,
    ) -> Arc<RepeatedSamples> {
        let mut reader = self.read_repeats(snapshots);
        loop {
            match self.step_repeats(&mut reader, &select) {
                ReadStep::Known(samples) | ReadStep::Found(samples) => return samples,
                ReadStep::Pause => {}
            }
        }
    }

    /// Creates a reader that searches for the repeated samples in steps.
    pub(super) fn read_repeats(&self, snapshots: &Arc<[StoreSnapshot]>) -> RepeatsReader {
        let searched = self.columns.iter().filter(|column| column.may_repeat);
        let all_rows = searched.flat_map(|column| FamilyRows::all(column, snapshots));
        let revisions = all_rows.flat_map(|rows| {
            [
                rows.base_labels.version(),
                rows.samples.version(),
                rows.joined_version(),
                rows.page.shared_version(),
            ]
        });
        RepeatsReader::new(revisions.collect(), snapshots)
    }

    /// Lets `reader` do one step of its search for repeated samples. The reader must belong to this family.
    ///
    /// `select` returns the rows that the exposition includes, or `None` if it includes all rows. Without repeated
    /// samples in all rows, the included rows have no repeated samples either. So the reader first searches in all
    /// rows, and only if it finds repeated samples, it searches in the included rows.
    pub(super) fn step_repeats(
        &self,
        reader: &mut RepeatsReader,
        select: impl Fn() -> Option<Selection>,
    ) -> ReadStep {
        if !self.columns.iter().any(|column| column.may_repeat) {
            return ReadStep::Known(Arc::default());
        }
        if !reader.has_selection() {
            let step = self.repeats.step(reader, &self.columns);
            let (is_known, samples) = match &step {
                ReadStep::Known(samples) => (true, samples),
                ReadStep::Found(samples) => (false, samples),
                ReadStep::Pause => return ReadStep::Pause,
            };
            let selection = (!samples.is_empty()).then(select).flatten();
            let Some(selection) = selection else {
                return step;
            };
            reader.select(selection);
            if !is_known {
                return ReadStep::Pause;
            }
        }
        self.selected_repeats.step(reader, &self.columns)
    }

    /// Returns the number of repeated samples that the last search in all rows found. This method does not start a new
    /// search.
    #[cfg(feature = "prometheus")]
    pub(crate) fn last_repeats(&self) -> usize {
        self.repeats.last_len()
    }
}
