//! Manifests as a source: objects from YAML, JSON and JSON lines instead of a cluster.
//!
//! Files may hold several documents, `List` objects and dumps of `kubectl get -o yaml` as they
//! come. What is broken or of an unknown kind is reported with its place and skipped.

mod documents;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::decode::DecodeError;
use crate::families::BuiltIn;
use crate::state_metrics::StateMetrics;
use crate::store::ObjectWriter;

use documents::{Document, Syntax};

/// The path of standard input.
const STDIN: &str = "-";

/// Files and directories to read objects from.
///
/// ```
/// use kube_state_metrics::manifests::ManifestSource;
/// use kube_state_metrics::{Format, Selection, StateMetrics};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let report = feed.reload();
/// assert!(report.objects > 100);
/// let text = metrics.exposition(Format::Text, Selection::default()).to_string();
/// assert!(text.contains("kube_pod_info{namespace=\"shop\""));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManifestSource {
    paths: Vec<PathBuf>,
}

/// A source that feeds the stores of a [`StateMetrics`].
#[derive(Debug)]
pub struct ManifestFeed {
    paths: Vec<PathBuf>,
    routes: Routes,
    writers: Writers,
    /// For standard input, where it is among the paths.
    stdin: Option<Stdin>,
}

/// What one reading of all manifests gave.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// Objects that are in the stores now.
    pub objects: usize,
    /// Objects of built-in kinds that are not registered.
    pub not_registered: usize,
    /// What was skipped, and why.
    pub problems: Vec<ManifestProblem>,
}

/// A file, a document or an object that was skipped.
#[derive(Debug, thiserror::Error)]
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

/// A place in a manifest: a file and the line, counted from 1, where something begins.
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

type Writers = Vec<Box<dyn ObjectWriter>>;

/// Which writers take an API version and kind.
type Routes = BTreeMap<(String, String), Vec<usize>>;

/// Standard input can be read only once, and its text must not be kept: it may hold secrets. So it
/// has writers of its own, whose objects stay when files are read again.
#[derive(Debug)]
struct Stdin {
    writers: Writers,
    /// What the one reading gave.
    loaded: Option<Loaded>,
}

#[derive(Clone, Copy, Debug)]
struct Loaded {
    objects: usize,
    not_registered: usize,
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
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads all objects as they are, for whoever wants them without any metrics, and what was
    /// skipped.
    ///
    /// Their kinds may then be the [known ones](crate::custom_resource_state::KnownKind::of_objects)
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
                match document {
                    Ok(document) => objects.extend(whole(&document)),
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
        let writers = metrics.object_writers();
        let mut routes = Routes::new();
        for (at, writer) in writers.iter().enumerate() {
            let resource = writer.resource();
            let key = (
                resource.api_version().into_owned(),
                resource.kind().to_owned(),
            );
            routes.entry(key).or_default().push(at);
        }
        let stdin = (self.paths.iter())
            .any(|path| is_stdin(path))
            .then(|| Stdin {
                writers: metrics.object_writers(),
                loaded: None,
            });
        ManifestFeed {
            paths: self.paths.clone(),
            routes,
            writers,
            stdin,
        }
    }
}

// === impl ManifestFeed ===

impl ManifestFeed {
    /// Reads everything and replaces what was read before; readers see the old or the new state.
    ///
    /// An object that stands twice counts where it is read last: paths in their order, files of a
    /// directory by name. Objects of standard input come before those of all files.
    pub fn reload(&mut self) -> LoadReport {
        let mut report = LoadReport::default();
        if let Some(stdin) = &mut self.stdin {
            stdin.load(&self.routes, &mut report);
        }
        for writer in &mut self.writers {
            writer.begin_list();
        }
        for path in self.paths.iter().filter(|path| !is_stdin(path)) {
            for file in files(path, &mut report) {
                match std::fs::read_to_string(&file) {
                    Ok(text) => load(&mut self.writers, &self.routes, &file, &text, &mut report),
                    Err(source) => {
                        let problem = ManifestProblem::Read { path: file, source };
                        report.problems.push(problem);
                    }
                }
            }
        }
        for writer in &mut self.writers {
            writer.end_list();
        }
        report
    }
}

// === impl Stdin ===

impl Stdin {
    /// Reads standard input, or counts again what it held.
    fn load(&mut self, routes: &Routes, report: &mut LoadReport) {
        let loaded = self.loaded.get_or_insert_with(|| {
            let path = Path::new(STDIN);
            let mut text = String::new();
            let mut own = LoadReport::default();
            for writer in &mut self.writers {
                writer.begin_list();
            }
            match io::stdin().read_to_string(&mut text) {
                Ok(_) => load(&mut self.writers, routes, path, &text, &mut own),
                Err(source) => own.problems.push(ManifestProblem::Read {
                    path: path.to_owned(),
                    source,
                }),
            }
            for writer in &mut self.writers {
                writer.end_list();
            }
            report.problems.append(&mut own.problems);
            Loaded {
                objects: own.objects,
                not_registered: own.not_registered,
            }
        });
        report.objects += loaded.objects;
        report.not_registered += loaded.not_registered;
    }
}

/// Feeds the objects of a text.
fn load(writers: &mut Writers, routes: &Routes, path: &Path, text: &str, report: &mut LoadReport) {
    documents::each(text, &mut |document| {
        let outcome = match document {
            Ok(document) => {
                let place = Place {
                    path: path.to_owned(),
                    line: document.line,
                    item: document.item,
                };
                apply(writers, routes, &document, place, report)
            }
            Err(Syntax { line, problem }) => Err(ManifestProblem::Syntax {
                place: Place {
                    path: path.to_owned(),
                    line,
                    item: None,
                },
                problem,
            }),
        };
        if let Err(problem) = outcome {
            report.problems.push(problem);
        }
    });
}

fn apply(
    writers: &mut Writers,
    routes: &Routes,
    document: &Document<'_>,
    place: Place,
    report: &mut LoadReport,
) -> Result<(), ManifestProblem> {
    let (api_version, kind) = match (document.api_version, document.kind) {
        (Some(api_version), Some(kind)) => (api_version, kind),
        (api_version, _) => {
            let missing = match api_version {
                None => "apiVersion",
                Some(_) => "kind",
            };
            return Err(ManifestProblem::NotAnObject { place, missing });
        }
    };
    let key = (api_version.to_owned(), kind.to_owned());
    let Some(takers) = routes.get(&key) else {
        if is_built_in(api_version, kind) {
            report.not_registered += 1;
            return Ok(());
        }
        let (api_version, kind) = key;
        return Err(ManifestProblem::UnknownKind {
            place,
            api_version,
            kind,
        });
    };
    for &taker in takers {
        if let Some(writer) = writers.get_mut(taker)
            && let Err(source) = writer.apply(document.json.as_bytes())
        {
            return Err(ManifestProblem::Decode { place, source });
        }
    }
    report.objects += 1;
    Ok(())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// A document as a value; items of typed lists are told what they are.
#[cfg(feature = "custom-resources")]
fn whole(document: &Document<'_>) -> Option<serde_json::Value> {
    let mut object: serde_json::Value = serde_json::from_str(document.json).ok()?;
    for (name, text) in [
        ("apiVersion", document.api_version),
        ("kind", document.kind),
    ] {
        if let (Some(fields), Some(text)) = (object.as_object_mut(), text) {
            fields.entry(name).or_insert_with(|| text.into());
        }
    }
    Some(object)
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

/// Whether some built-in resource has this kind, registered or not.
fn is_built_in(api_version: &str, kind: &str) -> bool {
    (BuiltIn::ALL.iter().map(|resource| resource.info()))
        .any(|info| info.kind() == kind && info.api_version() == api_version)
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
