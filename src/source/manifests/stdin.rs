//! Standard input as a manifest.

use std::io;
use std::path::{Path, PathBuf};

use super::paths::STDIN;
use super::read;
use super::report::{LoadReport, ManifestProblem};
use super::writers::ManifestWriters;

/// Standard input, which can be read only once. The text is not kept in memory, because it may contain Secrets.
/// Standard input has separate writers, so that its objects stay when files are read again.
#[derive(Debug, Default)]
pub(super) struct Stdin {
    pub(super) writers: ManifestWriters,
    /// The numbers of objects and problems in standard input; `None` before standard input has been read.
    loaded: Option<Counts>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    objects: usize,
    not_registered: usize,
}

// === impl Stdin ===

impl Stdin {
    /// Reads standard input on the first call. Returns `None` on later calls.
    pub(super) fn read(&self) -> Option<io::Result<String>> {
        let is_read = self.loaded.is_some();
        (!is_read).then(read::stdin)
    }

    /// If `text` is not `None`, applies its objects. Adds the numbers of objects and problems in standard input to the
    /// report.
    pub(super) fn load(&mut self, text: Option<io::Result<String>>, report: &mut LoadReport) {
        if let Some(text) = text {
            self.loaded = Some(self.apply(text, report));
        }
        if let Some(loaded) = self.loaded {
            report.objects += loaded.objects;
            report.not_registered += loaded.not_registered;
        }
    }

    fn apply(&mut self, text: io::Result<String>, report: &mut LoadReport) -> Counts {
        let mut own = LoadReport {
            #[cfg(feature = "custom-resources")]
            definitions: report.definitions,
            ..LoadReport::default()
        };
        self.writers.begin_list();
        match text {
            Ok(text) => drop(self.writers.load(Path::new(STDIN), &text, &mut own)),
            Err(source) => own.problems.push(ManifestProblem::Read {
                path: PathBuf::from(STDIN),
                source,
            }),
        }
        self.writers.end_list();
        report.problems.append(&mut own.problems);
        Counts {
            objects: own.objects,
            not_registered: own.not_registered,
        }
    }
}
