//! [`ManifestWriters`]: the writers of all stores, by the kind of their objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::documents::{self, Document, Name, ObjectKeys, Syntax};
use super::reading::Content;
use super::report::{FileProblems, LoadReport, ManifestProblem, Place};
use crate::errors::shortened;
use crate::exposition::Plan;
use crate::families::BuiltIn;
use crate::registry::StateMetrics;
use crate::resource::ResourceInfo;
use crate::source::health::{FeedOrigin, FeedState, Health};
use crate::source::plan_follower::{PlanFollower, StoreFeeder};
use crate::store::{AnyStore, JoinWriter, ObjectWriter};

/// The writers of all stores that the manifests feed.
#[derive(Debug, Default)]
pub(super) struct ManifestWriters {
    /// All stores with their writers. A store has no writer if the host feeds the store, or if the writer of a linked
    /// store feeds it.
    follower: PlanFollower<Option<Box<dyn ObjectWriter>>>,
    /// For each API version and kind, the stores that receive the objects, as indexes in `follower`.
    routes: BTreeMap<(String, String), Vec<usize>>,
    /// The writers of objects that only provide joined labels, by API version and kind.
    sources: BTreeMap<(String, String), Box<dyn ObjectWriter>>,
    /// The API versions and kinds that the host feeds.
    host_fed: BTreeSet<(String, String)>,
}

/// Creates the writers for new stores.
struct TakeWriters<'a> {
    health: &'a Health,
    feed: &'a Arc<FeedState>,
}

// === impl ManifestWriters ===

impl ManifestWriters {
    /// Creates writers for new stores, and drops the writers of removed stores.
    pub(super) fn follow_plan(
        &mut self,
        metrics: &StateMetrics,
        health: &Health,
        feed: &Arc<FeedState>,
    ) {
        let mut writers = TakeWriters { health, feed };
        self.follower.follow(&metrics.plan(), &mut writers);
        self.routes.clear();
        self.host_fed.clear();
        if self.sources.is_empty() {
            let sources = metrics
                .source_feeds(false)
                .into_iter()
                .map(JoinWriter::boxed);
            self.sources = sources.map(|own| (kind_of(own.resource()), own)).collect();
        }
        for (index, (store, writer)) in self.follower.feeds.iter().enumerate() {
            let key = kind_of(store.resource());
            if writer.is_some() {
                self.routes.entry(key).or_default().push(index);
            } else if store.is_host_fed() {
                self.host_fed.insert(key);
            }
        }
    }

    /// Whether the writers for all stores of the plan have been created.
    pub(super) fn is_up_to_date(&self, plan: &Plan) -> bool {
        self.follower.is_up_to_date(plan)
    }

    pub(super) fn begin_list(&mut self) {
        for (_, writer) in &mut self.follower.feeds {
            writer.iter_mut().for_each(|writer| writer.begin_list());
        }
        self.sources.values_mut().for_each(|own| own.begin_list());
    }

    pub(super) fn end_list(&mut self) {
        for (_, writer) in &mut self.follower.feeds {
            writer.iter_mut().for_each(|writer| writer.end_list());
        }
        self.sources.values_mut().for_each(|own| own.end_list());
    }

    /// Adds the stored objects with these keys to the list in progress, so that the end of the list does not remove
    /// them. Returns the number of keys whose object is in a store, or provides joined labels.
    pub(super) fn keep(&mut self, kind: &(String, String), keys: &[Box<str>]) -> usize {
        let stores = self.routes.get(kind);
        let mut kept = 0;
        for key in keys {
            let (namespace, name) = key.split_once('/').unwrap_or(("", key));
            let source = self.sources.get_mut(kind);
            let mut is_stored = source.is_some_and(|source| source.keep_key(namespace, name));
            for &store in stores.into_iter().flatten() {
                if let Some((_, Some(writer))) = self.follower.feeds.get_mut(store) {
                    is_stored |= writer.keep_key(namespace, name);
                }
            }
            kept += usize::from(is_stored);
        }
        kept
    }

    /// Passes each object of a text to the writers of its kind. Returns the numbers of objects and of broken documents,
    /// and the keys of the objects.
    pub(super) fn load(
        &mut self,
        path: &Path,
        text: &str,
        report: &mut LoadReport,
    ) -> (Content, ObjectKeys) {
        let (mut content, mut keys) = (Content::default(), ObjectKeys::new());
        let mut problems = FileProblems::default();
        documents::each(text, &mut |document| {
            let place = |line, item| Place {
                path: path.to_owned(),
                line,
                item,
            };
            let outcome = match document {
                Ok(document) => {
                    let place = place(document.line, document.item);
                    let (applied, key) = (self.apply(&document, place, report), document.key());
                    content.count(key.as_deref());
                    if let Some(key) = key.filter(|_| applied.is_ok()) {
                        self.remember(&document, key, &mut keys);
                    }
                    applied
                }
                Err(Syntax { line, problem }) => {
                    content.count(None);
                    let (place, problem) = (place(line, None), shortened(problem));
                    Err(ManifestProblem::Syntax { place, problem })
                }
            };
            if let Err(problem) = outcome {
                problems.add(problem, &mut report.problems);
            }
        });
        problems.end(path, &mut report.problems);
        (content, keys)
    }

    /// Adds the key of an object to `keys`, if a writer may have stored the object.
    fn remember(&self, document: &Document<'_>, key: Box<str>, keys: &mut ObjectKeys) {
        let kind = (document.api_version, document.kind);
        let kind = (
            kind.0.unwrap_or_default().to_owned(),
            kind.1.unwrap_or_default().to_owned(),
        );
        if self.routes.contains_key(&kind) || self.sources.contains_key(&kind) {
            keys.entry(kind).or_default().push(key);
        }
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
        if self.routes.contains_key(&key) || self.sources.contains_key(&key) {
            match document.name() {
                Name::Present => {}
                name => {
                    let is_generated = matches!(name, Name::Generated);
                    return Err(ManifestProblem::Unnamed {
                        place,
                        is_generated,
                    });
                }
            }
        }
        // Pass the object to all writers, even if one writer cannot decode it. Report only the first error.
        let json = document.json.as_bytes();
        let source = self.sources.get_mut(&key);
        let mut applied = source.map_or(Ok(()), |source| source.apply_json(json));
        let stores = self.routes.get(&key);
        for &store in stores.into_iter().flatten() {
            if let Some((_, Some(writer))) = self.follower.feeds.get_mut(store) {
                let result = writer.apply_json(json);
                applied = applied.and(result);
            }
        }
        if let Err(source) = applied {
            return Err(ManifestProblem::Decode { place, source });
        }
        if stores.is_none() {
            // If definitions add kinds to the known kinds (see the module `kinds`), do not report them as skipped.
            if kind == "CustomResourceDefinition" && report.has_definitions() {
                return Ok(());
            }
            if self.host_fed.contains(&key) || is_built_in(api_version, kind) {
                report.not_registered += 1;
                return Ok(());
            }
            let (api_version, kind) = (shortened(key.0), shortened(key.1));
            return Err(ManifestProblem::UnknownKind {
                place,
                api_version,
                kind,
            });
        }
        report.objects += 1;
        Ok(())
    }
}

// === impl TakeWriters ===

impl StoreFeeder for TakeWriters<'_> {
    type Feed = Option<Box<dyn ObjectWriter>>;

    fn start(&mut self, store: &Arc<dyn AnyStore>, leader: Option<&Self::Feed>) -> Self::Feed {
        if store.is_host_fed() {
            self.health.set_feeds(store, FeedOrigin::Host, Vec::new());
            return None;
        }
        let feeds = vec![Arc::clone(self.feed)];
        self.health.set_feeds(store, FeedOrigin::Manifests, feeds);
        leader.is_none().then(|| store.object_writer())
    }

    fn stop(&mut self, _store: &dyn AnyStore, _writer: Self::Feed) {}
}

/// The API version and kind of a resource.
fn kind_of(resource: &ResourceInfo) -> (String, String) {
    let api_version = resource.api_version().into_owned();
    (api_version, resource.kind().to_owned())
}

/// Whether a built-in resource has this kind, even if it is not registered.
fn is_built_in(api_version: &str, kind: &str) -> bool {
    (BuiltIn::ALL.iter().map(|resource| resource.info()))
        .any(|info| info.kind() == kind && info.api_version() == api_version)
}
