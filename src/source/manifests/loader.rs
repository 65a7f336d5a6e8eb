//! [`Loader`]: applies the objects of files to the stores, and records which objects each file has.
//!
//! If a file cannot be read completely, the loader keeps the objects that the file had at the previous reading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::documents::ObjectKeys;
use super::reading::{Content, FileSink};
use super::report::{LoadReport, ManifestProblem};
use super::writers::ManifestWriters;

/// The keys of the objects of each file. The objects themselves are not stored, because they may contain secrets.
pub(super) type FileObjects = BTreeMap<PathBuf, ObjectKeys>;

/// Applies the objects of files.
pub(super) struct Loader<'a> {
    writers: &'a mut ManifestWriters,
    report: &'a mut LoadReport,
    before: &'a FileObjects,
    now: FileObjects,
}

// === impl Loader ===

impl<'a> Loader<'a> {
    /// Creates a loader. `before` contains the objects of the previous reading. The caller must have called
    /// `begin_list` of the writers.
    pub(super) fn new(
        writers: &'a mut ManifestWriters,
        before: &'a FileObjects,
        report: &'a mut LoadReport,
    ) -> Self {
        Self {
            writers,
            report,
            before,
            now: FileObjects::new(),
        }
    }

    /// Returns the objects of this reading, including the objects that stay from the previous reading.
    pub(super) fn into_objects(self) -> FileObjects {
        self.now
    }
}

impl FileSink for Loader<'_> {
    fn text(&mut self, file: &Path, text: &str) -> Content {
        let (content, objects) = self.writers.load(file, text, self.report);
        self.now.insert(file.to_owned(), objects);
        content
    }

    fn keep(&mut self, file: &Path) -> usize {
        let Some(before) = self.before.get(file) else {
            return 0;
        };
        let now = self.now.entry(file.to_owned()).or_default();
        let mut kept = 0;
        for (kind, names) in before {
            let loaded = now.entry(kind.clone()).or_default();
            loaded.sort_unstable();
            let missing = names
                .iter()
                .filter(|name| loaded.binary_search(name).is_err());
            let mut missing: Vec<_> = missing.cloned().collect();
            // A file can contain the same object several times.
            missing.sort_unstable();
            missing.dedup();
            kept += self.writers.keep(kind, &missing);
            loaded.extend(missing);
        }
        self.report.kept += kept;
        kept
    }

    fn problem(&mut self, problem: ManifestProblem) {
        self.report.problems.push(problem);
    }
}
