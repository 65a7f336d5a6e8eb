//! [`ManifestSource`]: the files and directories to read.

use std::path::PathBuf;

#[cfg(feature = "custom-resources")]
use super::documents::{self, Syntax};
use super::feed::ManifestFeed;
#[cfg(feature = "custom-resources")]
use super::paths::{files, is_stdin};
#[cfg(feature = "custom-resources")]
use super::progress::ReadingProgress;
#[cfg(feature = "custom-resources")]
use super::read;
#[cfg(feature = "custom-resources")]
use super::report::{FileProblems, ManifestProblem, Place};
#[cfg(feature = "custom-resources")]
use crate::errors::shortened;
use crate::registry::StateMetrics;

/// The files and directories from which objects are read.
///
/// ```
/// use kube_state_metrics::source::manifests::ManifestSource;
/// use kube_state_metrics::exposition::{Format, ExpositionFilter};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let report = feed.reload();
/// assert!(report.objects > 100);
/// let text = metrics.exposition(Format::Text, ExpositionFilter::default()).to_string();
/// assert!(text.contains("kube_pod_info{namespace=\"shop\""));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManifestSource {
    paths: Vec<PathBuf>,
}

// === impl ManifestSource ===

impl ManifestSource {
    /// Creates a source from paths of files and directories.
    ///
    /// In a directory, the files with the extensions `.yaml`, `.yml`, `.json` and `.jsonl` are read.
    /// If links lead to the same directory below it on several paths, the directory is read once: on its path without
    /// links if it is below the directory of the source, otherwise on the first path.
    ///
    /// The path `-` means standard input, which is read only once. When the files are read again, the objects of
    /// standard input stay. If a file and standard input contain the same object, the object of the file is used.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
        }
    }

    /// The files and directories.
    ///
    /// ```
    /// use kube_state_metrics::source::manifests::ManifestSource;
    ///
    /// let source = ManifestSource::new(["examples/cluster"]);
    /// assert_eq!(source.paths().len(), 1);
    /// # #[cfg(feature = "custom-resources")]
    /// assert!(source.objects().0.len() > 100);
    /// ```
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads all objects and returns them, without feeding stores.
    ///
    /// The report names the skipped files, documents and objects.
    ///
    /// [`KnownKind::of_objects`](crate::custom_resources::KnownKind::of_objects) returns the kinds of these objects,
    /// for a configuration of custom resources.
    #[cfg(feature = "custom-resources")]
    #[must_use]
    pub fn objects(&self) -> (Vec<serde_json::Value>, Vec<ManifestProblem>) {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for path in &self.paths {
            let files = if is_stdin(path) {
                vec![path.clone()]
            } else {
                files(path, &ReadingProgress::default(), &mut problems)
            };
            for file in files {
                read_objects(file, &mut objects, &mut problems);
            }
        }
        (objects, problems)
    }

    /// Creates a feed of all resources of `metrics`.
    ///
    /// The manifests are not read yet.
    #[must_use]
    pub fn open(&self, metrics: &StateMetrics) -> ManifestFeed {
        ManifestFeed::new(self.paths.clone(), metrics)
    }
}

#[cfg(feature = "custom-resources")]
fn read_objects(
    file: PathBuf,
    objects: &mut Vec<serde_json::Value>,
    problems: &mut Vec<ManifestProblem>,
) {
    let text = if is_stdin(&file) {
        read::stdin()
    } else {
        read::file(&file)
    };
    let text = match text {
        Ok(text) => text,
        Err(source) => return problems.push(ManifestProblem::Read { path: file, source }),
    };
    let mut skipped = FileProblems::default();
    documents::each(&text, &mut |document| match document
        .and_then(|document| documents::whole(&document))
    {
        Ok(object) => objects.push(object),
        Err(Syntax { line, problem }) => {
            let place = Place {
                path: file.clone(),
                line,
                item: None,
            };
            let problem = shortened(problem);
            skipped.add(ManifestProblem::Syntax { place, problem }, problems);
        }
    });
    skipped.end(&file, problems);
}
