//! Watches the metadata of the objects from which labels are joined, such as Nodes and Namespaces. A target is what one
//! reflector lists and watches: a resource in one namespace or in all namespaces, with selectors.

use super::config::{NodeScope, WatchConfig, in_namespaces};
use super::context::WatchContext;
use super::reflector::Reflector;
use super::request::{self, Target};
use crate::joins::{SourceFeed, SourceKind};
use crate::resource::Scope;
use crate::store::WatchWriter;

/// Creates the reflectors for objects that only provide labels to join. No watched store contains these objects.
/// Readiness does not depend on these reflectors.
pub(super) fn reflectors(context: &WatchContext) -> Vec<Reflector<Box<dyn WatchWriter>>> {
    let mut reflectors = Vec::new();
    for source in separate_sources(context) {
        let targets = context.config.source_targets(source.kind());
        let targets = targets.into_iter().map(|target| {
            let feed = context.feed(&target);
            (target, feed)
        });
        let targets: Vec<_> = targets.collect();
        let feeds = targets.iter().map(|(_, feed)| feed.state()).collect();
        context.health.add_join_source(source.clone(), feeds);
        let own = targets.into_iter();
        reflectors.extend(
            own.map(|(target, feed)| context.source_reflector(source.clone(), target, feed)),
        );
    }
    reflectors
}

/// Returns the kinds that are watched only because labels are joined from their objects. Such a kind has no store, or
/// the watch does not feed its store. The watch does not feed such a store if it is limited to the pods of one node, or
/// to pods without a node.
fn separate_sources(context: &WatchContext) -> Vec<SourceFeed> {
    let metrics = &context.config.metrics;
    let mut separate = metrics.source_feeds(false);
    let Some(sources) = metrics.settings().joins.sources() else {
        return separate;
    };
    let plan = metrics.plan();
    let left_out = plan
        .stores()
        .iter()
        .filter(|store| !store.is_host_fed() && context.config.targets(&***store).is_none());
    let left_out = left_out.filter_map(|store| store.source_kind());
    separate.extend(left_out.map(|kind| sources.feed(kind)));
    separate
}

// === impl WatchConfig ===

impl WatchConfig {
    /// The targets to watch for a kind of objects that provide labels to join.
    ///
    /// A watch of some namespaces requests the Namespace objects by name. A watch of one node requests the Node object
    /// by name. A role with `resourceNames` can allow such a request.
    fn source_targets(&self, kind: SourceKind) -> Vec<Target> {
        let filter = self.metrics.settings().filter.read().clone();
        let resource = kind.info();
        let named = |name: String| Target {
            field_selector: Some(format!("metadata.name={name}")),
            ..Target::all(resource.clone())
        };
        match (kind, &self.node) {
            (SourceKind::Namespace, _) if !filter.namespaces.is_empty() => {
                let namespaces = filter.namespaces.difference(&filter.denied);
                namespaces.cloned().map(named).collect()
            }
            (SourceKind::Node, NodeScope::Node(name)) => vec![named(name.clone())],
            // The watch is limited to pods that are not assigned to a node, so labels of nodes are not needed.
            (SourceKind::Node, NodeScope::Unscheduled) => Vec::new(),
            _ if resource.scope() == Scope::Cluster => vec![Target::all(resource)],
            _ if filter.namespaces.is_empty() => vec![Target {
                field_selector: request::without_namespaces(&filter.denied),
                ..Target::all(resource)
            }],
            _ => in_namespaces(&filter, &Target::all(resource)),
        }
    }
}
