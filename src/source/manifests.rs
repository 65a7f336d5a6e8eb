//! Manifests as a source: objects from YAML, JSON and JSON lines instead of a cluster.
//!
//! Files may hold several documents, `List` objects and dumps of `kubectl get -o yaml` as they
//! come. What is broken or of an unknown kind is reported with its place and skipped.
//!
//! ```
//! use kube_state_metrics::manifests::ManifestSource;
//! use kube_state_metrics::{Format, ExpositionFilter, StateMetrics};
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let report = ManifestSource::new(["examples/cluster"]).open(&metrics).reload();
//! assert!(report.problems.is_empty());
//! metrics.exposition(Format::Text, ExpositionFilter::default()).write_to(std::io::sink())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod documents;
mod feed;
#[cfg(feature = "custom-resources")]
mod kinds;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::decode::DecodeError;
use crate::errors::debug_is_display;
use crate::registry::StateMetrics;

#[cfg(feature = "custom-resources")]
use documents::Syntax;
pub use feed::ManifestFeed;

/// The path of standard input.
const STDIN: &str = "-";

/// Files and directories to read objects from.
///
/// ```
/// use kube_state_metrics::manifests::ManifestSource;
/// use kube_state_metrics::{Format, ExpositionFilter, StateMetrics};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let report = feed.reload();
/// assert!(report.objects > 100);
/// let text = metrics.exposition(Format::Text, ExpositionFilter::default()).to_string();
/// assert!(text.contains("kube_pod_info{namespace=\"shop\""));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManifestSource {
    paths: Vec<PathBuf>,
}

/// What one reading of all manifests gave.
///
/// ```
/// use kube_state_metrics::manifests::ManifestSource;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let report = ManifestSource::new(["examples/cluster"]).open(&metrics).reload();
/// assert!(report.objects > 10 && report.not_registered > 100 && report.problems.is_empty());
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// Objects that are in the stores now.
    pub objects: usize,
    /// Objects of built-in kinds that are not registered, and objects of kinds that the host feeds.
    pub not_registered: usize,
    /// Definitions of custom resources, where a configuration is in force that may be about them.
    pub definitions: Definitions,
    /// What was skipped, and why.
    pub problems: Vec<ManifestProblem>,
}

/// The definitions of custom resources among manifests, and what a reading made of them.
///
/// ```
/// use kube_state_metrics::manifests::Definitions;
///
/// assert_eq!(Definitions::default().known, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Definitions {
    /// How many there are now.
    pub known: usize,
    /// Those that were not there before.
    pub added: usize,
    /// Those that differ from before.
    pub updated: usize,
    /// Those that are there no more.
    pub deleted: usize,
}

/// A file, a document or an object that was skipped.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::manifests::{ManifestProblem, ManifestSource};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let report = ManifestSource::new(["no/such/file.yaml"]).open(&metrics).reload();
/// assert!(matches!(&report.problems[..], [ManifestProblem::Read { path, .. }] if path.ends_with("file.yaml")));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A document that is neither YAML nor JSON.
    #[error("{place}: {problem}; the document is skipped")]
    Syntax {
        /// Where it is.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// A document that is not a Kubernetes object.
    #[error("{place}: not a Kubernetes object: {missing} is missing; the document is skipped")]
    NotAnObject {
        /// Where it is.
        place: Place,
        /// The field it lacks.
        missing: &'static str,
    },
    /// An object of a kind that no collector reads.
    #[error("{place}: no metrics for {api_version} {kind}; the object is skipped")]
    UnknownKind {
        /// Where it is.
        place: Place,
        /// Its `apiVersion`.
        api_version: String,
        /// Its `kind`.
        kind: String,
    },
    /// An object that does not decode as its kind.
    #[error("{place}: {source}")]
    Decode {
        /// Where it is.
        place: Place,
        /// Which object it is and what is wrong.
        #[source]
        source: DecodeError,
    },
}

debug_is_display!(ManifestProblem);

/// A place in a manifest: a file and the line, counted from 1, where something begins.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::manifests::{ManifestProblem, ManifestSource};
///
/// let metrics = StateMetrics::builder().resources(["nodes"]).build()?;
/// // Not a manifest: the file of a Cargo package.
/// let report = ManifestSource::new(["Cargo.toml"]).open(&metrics).reload();
/// let Some(ManifestProblem::Syntax { place, .. }) = report.problems.first() else {
///     panic!("{:?}", report.problems);
/// };
/// assert!(place.to_string().starts_with("Cargo.toml:"));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, or `-` for standard input.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The place within a list, counted from 0.
    pub item: Option<usize>,
}

// === impl ManifestSource ===

impl ManifestSource {
    /// Reads files, and all `.yaml`, `.yml`, `.json` and `.jsonl` files below directories.
    ///
    /// `-` stands for standard input, which is read once: its objects stay, unless a file has one
    /// of the same kind, namespace and name.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
        }
    }

    /// The files and directories.
    ///
    /// ```
    /// use kube_state_metrics::manifests::ManifestSource;
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

    /// Reads all objects as they are, for whoever wants them without any metrics, and what was
    /// skipped.
    ///
    /// Their kinds may then be the [known ones](crate::custom_resources::KnownKind::of_objects)
    /// of a configuration of custom resources.
    #[cfg(feature = "custom-resources")]
    #[must_use]
    pub fn objects(&self) -> (Vec<serde_json::Value>, Vec<ManifestProblem>) {
        let mut report = LoadReport::default();
        let mut objects = Vec::new();
        let mut paths = Vec::new();
        for path in &self.paths {
            if is_stdin(path) {
                paths.push(path.clone());
            } else {
                paths.extend(files(path, &mut report));
            }
        }
        for file in paths {
            let text = if is_stdin(&file) {
                io::read_to_string(io::stdin())
            } else {
                std::fs::read_to_string(&file)
            };
            let text = match text {
                Ok(text) => text,
                Err(source) => {
                    let problem = ManifestProblem::Read { path: file, source };
                    report.problems.push(problem);
                    continue;
                }
            };
            documents::each(&text, &mut |document| {
                let place = |line, item| Place {
                    path: file.clone(),
                    line,
                    item,
                };
                let object = document.and_then(|document| documents::whole(&document));
                match object {
                    Ok(object) => objects.push(object),
                    Err(Syntax { line, problem }) => {
                        report.problems.push(ManifestProblem::Syntax {
                            place: place(line, None),
                            problem,
                        })
                    }
                }
            });
        }
        (objects, report.problems)
    }

    /// Prepares to feed all resources of `metrics`; nothing is read yet.
    #[must_use]
    pub fn open(&self, metrics: &StateMetrics) -> ManifestFeed {
        ManifestFeed::new(self.paths.clone(), metrics)
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// The manifest files of a path: itself, or those below a directory, by name.
fn files(path: &Path, report: &mut LoadReport) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    // Links are followed: a mounted ConfigMap is a directory of them.
    for entry in walkdir::WalkDir::new(path)
        .follow_links(true)
        .sort_by_file_name()
    {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_manifest(entry.path()) => {
                files.push(entry.into_path());
            }
            // `..data` of a mounted ConfigMap shows every file again; see `is_manifest`.
            Ok(_) => {}
            Err(error) => report.problems.push(ManifestProblem::Read {
                path: error.path().unwrap_or(path).to_owned(),
                source: error.into(),
            }),
        }
    }
    files
}

fn is_manifest(path: &Path) -> bool {
    let hidden = path.components().any(|part| {
        part.as_os_str().as_encoded_bytes().starts_with(b"..") && part.as_os_str() != ".."
    });
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json" | "jsonl"))
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)?;
        match self.item {
            Some(item) => write!(f, " (item {item})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
