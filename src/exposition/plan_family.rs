//! [`PlanFamily`]: one family of the exposition.

use std::sync::Arc;

use parking_lot::Mutex;

use super::family_column::FamilyColumn;
use super::family_metadata::FamilyMetadata;
use super::family_rows::FamilyRows;
use super::format::Format;
use super::repeats::repeated_samples;
use crate::store::StoreSnapshot;

/// One family of the exposition: a header, and samples from one or more columns.
#[derive(Debug)]
pub(crate) struct PlanFamily {
    metadata: FamilyMetadata,
    /// One header per format, in the order of [`Format::ALL`].
    headers: Vec<Box<[u8]>>,
    columns: Vec<FamilyColumn>,
    /// The result of the last search for repeated series.
    repeats: Mutex<Repeats>,
}

/// The repeated samples for one state of the columns.
#[derive(Debug, Default)]
struct Repeats {
    revisions: Vec<u64>,
    samples: Arc<[usize]>,
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
            repeats: Mutex::default(),
        }
    }

    pub(crate) fn metadata(&self) -> &FamilyMetadata {
        &self.metadata
    }

    pub(super) fn columns(&self) -> &[FamilyColumn] {
        &self.columns
    }

    /// The lines before the samples.
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

    /// The numbers of the samples that repeat the series of an earlier row. The numbers count, from 0, the samples of
    /// all columns in which repeats are possible.
    ///
    /// The method searches again only if one of these columns has changed.
    pub(super) fn repeated_samples(&self, snapshots: &[StoreSnapshot]) -> Arc<[usize]> {
        let searched = || self.columns.iter().filter(|column| column.may_repeat);
        if searched().next().is_none() {
            return Arc::default();
        }
        let all_rows = searched().flat_map(|column| FamilyRows::all(column, snapshots));
        let revisions = all_rows.flat_map(|rows| {
            [
                rows.base_labels.version(),
                rows.samples.version(),
                rows.joined_version(),
                rows.page.shared_version(),
            ]
        });
        let revisions: Vec<_> = revisions.collect();
        let mut repeats = self.repeats.lock();
        if repeats.revisions != revisions {
            repeats.samples = repeated_samples(searched(), snapshots).into();
            repeats.revisions = revisions;
        }
        Arc::clone(&repeats.samples)
    }

    /// The number of repeated samples in the last search. The method does not search.
    #[cfg(feature = "prometheus")]
    pub(crate) fn last_repeats(&self) -> usize {
        self.repeats.lock().samples.len()
    }
}
