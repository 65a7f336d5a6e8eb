//! [`LoadReport`]: the result of reading manifests.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "custom-resources")]
use crate::custom_resources::DefinitionChanges;
use crate::decode::DecodeError;
use crate::errors::debug_is_display;

/// The result of reading all manifests once.
///
/// ```
/// use kube_state_metrics::source::manifests::ManifestSource;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let report = ManifestSource::new(["examples/cluster"]).open(&metrics).reload();
/// assert!(report.objects > 10 && report.not_registered > 100 && report.problems.is_empty());
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// Number of objects that were applied.
    pub objects: usize,
    /// Number of objects that were skipped because their built-in resource is not registered, or because the host feeds
    /// their resource.
    pub not_registered: usize,
    /// The number of objects of the previous reading that stay. An object stays if its file cannot be read completely,
    /// has become empty, or [may still change](Self::changing). It also stays if its file is missing and
    /// [`paths_changed`](Self::paths_changed) is true, or if the source names the path of its file or directory, but
    /// this path does not exist any more. Objects that only provide joined labels also count.
    pub kept: usize,
    /// The number of CustomResourceDefinitions and their changes; 0 if there is no configuration of custom resources.
    #[cfg(feature = "custom-resources")]
    pub definitions: DefinitionChanges,
    /// The skipped files, documents and objects.
    pub problems: Vec<ManifestProblem>,
    /// Whether the problem with a file or directory may be temporary. In this case, read the manifests again soon.
    /// Until then, the stores keep the previous objects.
    ///
    /// A problem may be temporary in the following cases:
    ///
    /// * The file or directory cannot be read because of a temporary problem, such as a lack of file descriptors or a
    ///   disk error.
    /// * The file or directory has become empty.
    /// * The source names the path, but the path does not exist any more.
    /// * [`paths_changed`](Self::paths_changed) is true.
    pub is_partial: bool,
    /// Whether files were added, renamed or deleted during the reading. In this case, read the manifests again after a
    /// short pause, such as one second. Until then, the stores keep the previous objects of missing files.
    ///
    /// If this is true for more than three readings in a row, the value becomes false until the files no longer change
    /// during a reading. So the host does not read files all the time if they change all the time.
    pub paths_changed: bool,
    /// The number of changed files that a program may still be writing, so that their previous objects stay. If this
    /// number is not 0, read the manifests again after the time `unchanged_for` of
    /// [`ManifestFeed::hold_changes`](super::ManifestFeed::hold_changes). Without this setting, the number is always 0.
    pub changing: usize,
    /// The files with objects of an earlier reading that stay, for the reasons that [`kept`](Self::kept) describes. A
    /// file occurs up to twice. After [`ManifestFeed::continue_after`](super::ManifestFeed::continue_after), the stores
    /// may not have these objects.
    pub incomplete: Vec<PathBuf>,
}

/// A skipped file, document or object, with the reason.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::source::manifests::{ManifestProblem, ManifestSource};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let report = ManifestSource::new(["no/such/file.yaml"]).open(&metrics).reload();
/// assert!(matches!(&report.problems[..], [ManifestProblem::Read { path, .. }] if path.ends_with("file.yaml")));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system, or the reason why the file is not valid text.
        #[source]
        source: io::Error,
    },
    /// A document is neither valid YAML nor valid JSON.
    #[error("{place}: {problem}; the document is skipped")]
    Syntax {
        /// The location.
        place: Place,
        /// The error of the parser.
        problem: String,
    },
    /// A document is not a Kubernetes object.
    #[error("{place}: not a Kubernetes object: {missing} is missing; the document is skipped")]
    NotAnObject {
        /// The location.
        place: Place,
        /// The missing field.
        missing: &'static str,
    },
    /// An object has no name. Without names, all such objects of a kind would be one object.
    #[error(
        "{place}: metadata.name is missing{}; write a name; the object is skipped",
        if *is_generated { ", and only the API server creates a name from generateName" } else { "" }
    )]
    Unnamed {
        /// The location.
        place: Place,
        /// Whether the object has the field `metadata.generateName`.
        is_generated: bool,
    },
    /// An object has a kind that is neither registered nor built in.
    #[error("{place}: no metrics for {api_version} {kind}; the object is skipped")]
    UnknownKind {
        /// The location.
        place: Place,
        /// The `apiVersion` of the object.
        api_version: String,
        /// The `kind` of the object.
        kind: String,
    },
    /// An object cannot be decoded, because its fields do not match its kind.
    #[error("{place}: {source}")]
    Decode {
        /// The location.
        place: Place,
        /// The error of the decoder, which names the object and the field.
        #[source]
        source: DecodeError,
    },
    /// A file or directory cannot be read, or has more broken documents than before, so its previous objects stay.
    #[error(
        "{}: it cannot be read completely, so its objects of the previous reading stay ({count}); repair it, or delete \
         a file to remove its objects", path.display()
    )]
    Kept {
        /// The file or directory.
        path: PathBuf,
        /// The number of objects.
        count: usize,
    },
    /// A file has become empty, or a directory has lost all its files. The previous objects stay until the next
    /// reading; with [`ManifestFeed::hold_changes`](super::ManifestFeed::hold_changes), until it has been empty for the
    /// time `at_most`.
    #[error(
        "{}: it has become empty; its objects stay, and a later reading removes them if it is still empty",
        path.display()
    )]
    Emptied {
        /// The file or directory.
        path: PathBuf,
    },
    /// Files were added, renamed or deleted during the reading. If a file is missing, its previous objects stay for at
    /// most three readings, because the reading may not have found the file at its new path.
    #[error(
        "files were added, renamed or deleted while the manifests were read; the previous objects of missing files \
         stay until the next reading ({count})"
    )]
    Missing {
        /// The number of objects.
        count: usize,
    },
    /// Further documents and objects of a file are skipped.
    ///
    /// A file may have millions of problems, so a report describes only the first problems of a file: five invalid
    /// documents and objects, and five objects of unknown kinds.
    #[error("{}: {count} more documents and objects are skipped; the reasons of the first ones are reported above", path.display())]
    More {
        /// The file, or `-` for standard input.
        path: PathBuf,
        /// The number of further documents and objects.
        count: usize,
    },
}

/// The location of a document or an object in a manifest.
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::source::manifests::{ManifestProblem, ManifestSource};
///
/// let metrics = StateMetrics::builder().resources(["nodes"]).build()?;
/// // Not a manifest: the file of a Cargo package.
/// let report = ManifestSource::new(["Cargo.toml"]).open(&metrics).reload();
/// let Some(ManifestProblem::Syntax { place, .. }) = report.problems.first() else {
///     panic!("{:?}", report.problems);
/// };
/// assert!(place.to_string().starts_with("Cargo.toml:"));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, or `-` for standard input.
    pub path: PathBuf,
    /// The line where the document begins, counted from 1.
    pub line: usize,
    /// The index of the object in its list, counted from 0, if it is an item of a list.
    pub item: Option<usize>,
}

/// Adds the problems of one file to a report: the first problems, and the number of further problems.
///
/// Objects of unknown kinds are counted separately, so that a report with many of them also shows invalid documents.
#[derive(Debug, Default)]
pub(super) struct FileProblems {
    unknown: usize,
    broken: usize,
}

/// A report describes at most this number of invalid documents and objects of a file, and at most the same number of
/// objects of unknown kinds.
const MAX_REASONS: usize = 5;

debug_is_display!(ManifestProblem);

// === impl LoadReport ===

impl LoadReport {
    /// Whether the manifests contain CustomResourceDefinitions that were read for a configuration of custom resources.
    pub(super) fn has_definitions(&self) -> bool {
        #[cfg(feature = "custom-resources")]
        return self.definitions.known > 0;
        #[cfg(not(feature = "custom-resources"))]
        false
    }
}

// === impl FileProblems ===

impl FileProblems {
    pub(super) fn add(&mut self, problem: ManifestProblem, problems: &mut Vec<ManifestProblem>) {
        let count = match problem {
            ManifestProblem::UnknownKind { .. } => &mut self.unknown,
            _ => &mut self.broken,
        };
        *count += 1;
        if *count <= MAX_REASONS {
            problems.push(problem);
        }
    }

    /// Adds a problem that contains the number of further problems, which the report does not describe.
    pub(super) fn end(self, path: &Path, problems: &mut Vec<ManifestProblem>) {
        let further = |count: usize| count.saturating_sub(MAX_REASONS);
        let count = further(self.unknown) + further(self.broken);
        if count > 0 {
            let path = path.to_owned();
            problems.push(ManifestProblem::More { path, count });
        }
    }
}

// === impl ManifestProblem ===

impl ManifestProblem {
    /// The number of files, documents and objects that were skipped because of this problem.
    ///
    /// ```
    /// use kube_state_metrics::source::manifests::ManifestProblem;
    ///
    /// let more = ManifestProblem::More { path: "a.yaml".into(), count: 7 };
    /// assert_eq!(more.count(), 7);
    /// ```
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::More { count, .. } => *count,
            // These objects stay, so they are not skipped. If their file cannot be read, a separate problem reports
            // this.
            Self::Kept { .. } => 0,
            _ => 1,
        }
    }

    /// Whether a file or directory cannot be read for a reason that may be temporary.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Read { source, .. } if is_temporary(source))
    }
}

/// Whether the cause of an error is the machine and not the file, so that the error may be temporary.
fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, OutOfMemory, ResourceBusy, StaleNetworkFileHandle, TimedOut, WouldBlock,
    };
    // The codes of `EIO`, `ENFILE` and `EMFILE`, for which `ErrorKind` has no variants.
    let has_code = cfg!(unix) && matches!(error.raw_os_error(), Some(5 | 23 | 24));
    has_code
        || matches!(
            error.kind(),
            Interrupted
                | OutOfMemory
                | ResourceBusy
                | StaleNetworkFileHandle
                | TimedOut
                | WouldBlock
        )
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
