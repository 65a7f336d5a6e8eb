//! Feeding stores from manifests, again and again as they change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::ptr::addr_eq;
use std::sync::Arc;

use super::documents::{self, Document, Syntax};
use super::{LoadReport, ManifestProblem, Place, STDIN, files, is_stdin};
use crate::families::BuiltIn;
use crate::registry::StateMetrics;
use crate::resource::ResourceInfo;
use crate::store::AnyStore;
use crate::store::ObjectWriter;

/// A source that feeds the stores of a [`StateMetrics`].
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::manifests::ManifestSource;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
/// let first = feed.reload();
/// let again = feed.reload(); // files that changed meanwhile would show now
/// assert_eq!(first.objects, again.objects);
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Debug)]
pub struct ManifestFeed {
    paths: Vec<PathBuf>,
    #[cfg(feature = "custom-resources")]
    metrics: StateMetrics,
    outlets: Outlets,
    /// For standard input, where it is among the paths.
    stdin: Option<Stdin>,
    #[cfg(feature = "custom-resources")]
    kinds: super::kinds::Kinds,
}

/// Where objects go: a writer per store, which come and go with the kinds of a configuration.
#[derive(Debug, Default)]
struct Outlets {
    writers: Vec<(Arc<dyn AnyStore>, Box<dyn ObjectWriter>)>,
    /// Which of them take an API version and kind.
    routes: BTreeMap<(String, String), Vec<usize>>,
    /// The API versions and kinds that the host feeds.
    host_fed: BTreeSet<(String, String)>,
}

/// Standard input can be read only once, and its text must not be kept: it may hold secrets. So it
/// has writers of its own, whose objects stay when files are read again.
#[derive(Debug, Default)]
struct Stdin {
    outlets: Outlets,
    /// What the one reading gave.
    loaded: Option<Loaded>,
}

#[derive(Clone, Copy, Debug)]
struct Loaded {
    objects: usize,
    not_registered: usize,
}

// === impl ManifestFeed ===

impl ManifestFeed {
    pub(super) fn new(paths: Vec<PathBuf>, metrics: &StateMetrics) -> Self {
        let mut outlets = Outlets::default();
        outlets.follow(metrics);
        let stdin = paths.iter().any(|path| is_stdin(path)).then(|| {
            let mut stdin = Stdin::default();
            stdin.outlets.follow(metrics);
            stdin
        });
        Self {
            paths,
            #[cfg(feature = "custom-resources")]
            metrics: metrics.clone(),
            outlets,
            stdin,
            #[cfg(feature = "custom-resources")]
            kinds: super::kinds::Kinds::default(),
        }
    }

    /// Reads everything and replaces what was read before; readers see the old or the new state.
    ///
    /// An object that stands twice counts where it is read last: paths in their order, files of a
    /// directory by name. Objects of standard input come before those of all files.
    ///
    /// Where a configuration of custom resources is in force, the kinds that exist are the built-in
    /// ones, those of the definitions that are read, and those of the objects.
    pub fn reload(&mut self) -> LoadReport {
        let mut report = LoadReport::default();
        let stdin = self.stdin.as_ref().filter(|stdin| stdin.loaded.is_none());
        let text = stdin.map(|_| {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        });
        #[cfg(feature = "custom-resources")]
        if self.metrics.custom_resources().has_config() {
            let text = text.as_ref().and_then(|text| text.as_deref().ok());
            report.definitions = self.kinds.look(&self.paths, text, &self.metrics);
            self.outlets.follow(&self.metrics);
            if let Some(stdin) = &mut self.stdin {
                stdin.outlets.follow(&self.metrics);
            }
        }
        if let Some(stdin) = &mut self.stdin {
            stdin.load(text, &mut report);
        }
        self.outlets.begin_list();
        for path in self.paths.iter().filter(|path| !is_stdin(path)) {
            for file in files(path, &mut report) {
                match std::fs::read_to_string(&file) {
                    Ok(text) => self.outlets.load(&file, &text, &mut report),
                    Err(source) => {
                        let problem = ManifestProblem::Read { path: file, source };
                        report.problems.push(problem);
                    }
                }
            }
        }
        self.outlets.end_list();
        report
    }
}

// === impl Stdin ===

impl Stdin {
    /// Takes the text of standard input, where it was read now, or counts again what it held.
    fn load(&mut self, text: Option<io::Result<String>>, report: &mut LoadReport) {
        if let Some(text) = text {
            let path = Path::new(STDIN);
            let mut own = LoadReport::default();
            self.outlets.begin_list();
            match text {
                Ok(text) => self.outlets.load(path, &text, &mut own),
                Err(source) => own.problems.push(ManifestProblem::Read {
                    path: path.to_owned(),
                    source,
                }),
            }
            self.outlets.end_list();
            report.problems.append(&mut own.problems);
            self.loaded = Some(Loaded {
                objects: own.objects,
                not_registered: own.not_registered,
            });
        }
        if let Some(loaded) = self.loaded {
            report.objects += loaded.objects;
            report.not_registered += loaded.not_registered;
        }
    }
}

// === impl Outlets ===

impl Outlets {
    /// Takes writers for stores that are new, and lets go of those for stores that are gone.
    fn follow(&mut self, metrics: &StateMetrics) {
        let plan = metrics.plan();
        let same =
            |a: &Arc<dyn AnyStore>, b: &Arc<dyn AnyStore>| addr_eq(Arc::as_ptr(a), Arc::as_ptr(b));
        let stores = || plan.feeders().filter(|store| !store.is_host_fed());
        self.writers
            .retain(|(own, _)| stores().any(|store| same(own, store)));
        for store in stores() {
            if !self.writers.iter().any(|(own, _)| same(own, store)) {
                self.writers
                    .push((Arc::clone(store), store.object_writer()));
            }
        }
        let host_fed = plan.stores().iter().filter(|store| store.is_host_fed());
        self.host_fed = host_fed.map(|store| key(store.resource())).collect();
        self.routes.clear();
        for (at, (store, _)) in self.writers.iter().enumerate() {
            let takers = self.routes.entry(key(store.resource())).or_default();
            takers.push(at);
        }
    }

    fn begin_list(&mut self) {
        for (_, writer) in &mut self.writers {
            writer.begin_list();
        }
    }

    fn end_list(&mut self) {
        for (_, writer) in &mut self.writers {
            writer.end_list();
        }
    }

    /// Feeds the objects of a text.
    fn load(&mut self, path: &Path, text: &str, report: &mut LoadReport) {
        documents::each(text, &mut |document| {
            let place = |line, item| Place {
                path: path.to_owned(),
                line,
                item,
            };
            let outcome = match document {
                Ok(document) => {
                    let place = place(document.line, document.item);
                    self.apply(&document, place, report)
                }
                Err(Syntax { line, problem }) => {
                    let place = place(line, None);
                    Err(ManifestProblem::Syntax { place, problem })
                }
            };
            if let Err(problem) = outcome {
                report.problems.push(problem);
            }
        });
    }

    fn apply(
        &mut self,
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
        let Some(takers) = self.routes.get(&key) else {
            // Definitions have told what they have to tell.
            if kind == "CustomResourceDefinition" && report.definitions.known > 0 {
                return Ok(());
            }
            if self.host_fed.contains(&key) || is_built_in(api_version, kind) {
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
            if let Some((_, writer)) = self.writers.get_mut(taker)
                && let Err(source) = writer.apply_json(document.json.as_bytes())
            {
                return Err(ManifestProblem::Decode { place, source });
            }
        }
        report.objects += 1;
        Ok(())
    }
}

/// The API version and the kind of a resource.
fn key(resource: &ResourceInfo) -> (String, String) {
    (
        resource.api_version().into_owned(),
        resource.kind().to_owned(),
    )
}

/// Whether some built-in resource has this kind, registered or not.
fn is_built_in(api_version: &str, kind: &str) -> bool {
    (BuiltIn::ALL.iter().map(|resource| resource.info()))
        .any(|info| info.kind() == kind && info.api_version() == api_version)
}
