//! [`PlanFamily`]: one family of the exposition.

use std::sync::Arc;

use super::family_column::FamilyColumn;
use super::family_metadata::FamilyMetadata;
use super::family_rows::FamilyRows;
use super::format::Format;
use super::repeats::{ReadStep, RepeatedSamples, Repeats, RepeatsReader};
use crate::store::StoreSnapshot;

/// One family of the exposition: a header, and samples from one or more columns.
#[derive(Debug)]
pub(crate) struct PlanFamily {
    metadata: FamilyMetadata,
    /// One header per format, in the order of [`Format::ALL`].
    headers: Vec<Box<[u8]>>,
    columns: Vec<FamilyColumn>,
    repeats: Repeats,
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
        }
    }

    pub(crate) fn metadata(&self) -> &FamilyMetadata {
        &self.metadata
    }

    pub(super) fn columns(&self) -> &[FamilyColumn] {
        &self.columns
    }

    /// The header: the lines before the samples.
    pub(super) fn header(&self, format: Format) -> &[u8] {
        self.headers
            .get(format as usize)
            .map_or(&[], |header| header)
    }

    /// Whether two families have equal headers in all formats.
    #[cfg(all(feature = "gzip", feature = "custom-resources"))]
    pub(crate) fn has_headers_of(&self, other: &Self) -> bool {
        self.headers == other.headers
    }

    /// Returns the samples that repeat the series of an earlier row. The method searches again only if a column in
    /// which repeats are possible has changed.
    ///
    /// A search reads all series of the family at once. Code that must not block its thread uses
    /// [`read_repeats`](Self::read_repeats).
    pub(super) fn repeated_samples(
        &self,
        snapshots: &Arc<[StoreSnapshot]>,
    ) -> Arc<RepeatedSamples> {
        let mut reader = self.read_repeats(snapshots);
        loop {
            match self.step_repeats(&mut reader) {
                ReadStep::Known(samples) | ReadStep::Found(samples) => return samples,
                ReadStep::Pause => {}
            }
        }
    }

    /// Begins to read the repeated samples in steps.
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

    /// Does one step of the search for a reader of this family.
    pub(super) fn step_repeats(&self, reader: &mut RepeatsReader) -> ReadStep {
        if self.columns.iter().any(|column| column.may_repeat) {
            self.repeats.step(reader, &self.columns)
        } else {
            ReadStep::Known(Arc::default())
        }
    }

    /// The number of repeated samples in the last search. The method does not start a search.
    #[cfg(feature = "prometheus")]
    pub(crate) fn last_repeats(&self) -> usize {
        self.repeats.last_len()
    }
}
