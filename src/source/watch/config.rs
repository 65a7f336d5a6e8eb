//! The configuration of a cluster watch: the objects to list and watch, and the options of the requests. A *target* is
//! what one reflector lists and watches: a resource in one namespace or in all namespaces, with selectors.

use std::time::Duration;

use kube::Client;

use super::errors::WatchProblem;
use super::own_pod::OwnPod;
use super::reflector::Options;
use super::request::{self, Target};
use crate::registry::StateMetrics;
use crate::resource::{ResourceInfo, ResourceName, Scope};
use crate::scope::ObjectFilter;
use crate::store::AnyStore;

/// The configuration of a cluster watch.
#[derive(Clone)]
pub(super) struct WatchConfig {
    pub(super) metrics: StateMetrics,
    pub(super) client: Client,
    pub(super) node: NodeScope,
    /// Names of resources, each with a label selector.
    pub(super) label_selectors: Vec<(ResourceName, String)>,
    /// Names of resources, each with a field selector.
    pub(super) field_selectors: Vec<(ResourceName, String)>,
    pub(super) options: Options,
    /// Maximum size of an object, in bytes.
    pub(super) object_size_limit: Option<usize>,
    /// Maximum number of bytes of incomplete objects that all feeds together may have in memory.
    pub(super) feed_buffer_limit: Option<usize>,
    /// After a change of the shard, the objects of the previous shard are served for this time. `None` means the
    /// default.
    pub(super) shard_handover: Option<Duration>,
    /// How long readiness waits for failing resources.
    pub(super) readiness_deadline: Option<Duration>,
    pub(super) own_pod: Option<OwnPod>,
    pub(super) discovers_custom_resources: bool,
}

/// The pods to watch.
#[derive(Clone, Debug, Default)]
pub(super) enum NodeScope {
    #[default]
    All,
    /// The pods of one node.
    Node(String),
    /// The pods that are not assigned to a node.
    Unscheduled,
}

/// The default time of a hand-over if the shards follow a StatefulSet. During this time, a shard still serves the
/// objects that have moved to another shard, because new pods need time to start and to list their objects.
const STATEFUL_SET_HANDOVER: Duration = Duration::from_secs(30);

// === impl WatchConfig ===

impl WatchConfig {
    /// Returns how long objects of the previous shard are served after a change of the shard.
    pub(super) fn handover(&self) -> Duration {
        let default = match self.own_pod {
            Some(_) => STATEFUL_SET_HANDOVER,
            None => Duration::ZERO,
        };
        self.shard_handover.unwrap_or(default)
    }

    /// Returns a problem for each selector whose resource is not registered.
    pub(super) fn unknown_selectors(&self) -> Vec<WatchProblem> {
        let selectors = [
            ("label", &self.label_selectors),
            ("field", &self.field_selectors),
        ];
        let selectors = (selectors.into_iter())
            .flat_map(|(what, selectors)| selectors.iter().map(move |(name, _)| (what, name)));
        let stores = self.metrics.stores();
        let is_unknown = |name: &ResourceName| {
            // If the watch discovers custom resources, such a resource may be registered later. So accept any valid
            // name.
            let may_be_found = self.discovers_custom_resources && name.is_valid();
            !may_be_found && !stores.iter().any(|store| name.matches(store.resource()))
        };
        let plurals: Vec<_> = (stores.iter())
            .map(|store| store.resource().plural())
            .collect();
        let unknown = selectors.filter(|(_, name)| is_unknown(name));
        let unknown = unknown.map(|(what, name)| WatchProblem::UnknownResource {
            what,
            resource: name.to_string(),
            known: plurals.join(", "),
        });
        unknown.collect()
    }

    /// Returns the targets of a resource: one target for all namespaces, or one target per namespace. Returns `None` if
    /// the watch selects objects by node, but this resource cannot be selected by node.
    pub(super) fn targets(&self, store: &dyn AnyStore) -> Option<Vec<Target>> {
        let (resource, filter) = (store.resource(), store.filter());
        let is_namespaced = resource.scope() == Scope::Namespaced;
        let node = self.node_selector(resource)?;
        let by_namespace = is_namespaced && !filter.namespaces.is_empty();
        let denied = if is_namespaced && !by_namespace {
            request::without_namespaces(&filter.denied)
        } else {
            None
        };
        let fields = (denied.into_iter())
            .chain(node)
            .chain(selectors_of(resource, &self.field_selectors));
        let everywhere = Target {
            resource: resource.clone(),
            namespace: None,
            field_selector: request::join(fields),
            label_selector: request::join(selectors_of(resource, &self.label_selectors)),
        };
        Some(if by_namespace {
            in_namespaces(&filter, &everywhere)
        } else {
            vec![everywhere]
        })
    }

    /// Returns the field selector that limits the watch of a resource to the configured pods; `Some(None)` if no
    /// selector is needed. Returns `None` if the resource is not watched: it is namespaced, but only pods can be
    /// selected by node.
    fn node_selector(&self, resource: &ResourceInfo) -> Option<Option<String>> {
        let is_pods = resource.group().is_empty() && resource.plural() == "pods";
        match &self.node {
            NodeScope::All => Some(None),
            _ if resource.scope() == Scope::Cluster => Some(None),
            _ if !is_pods => None,
            NodeScope::Node(name) => Some(Some(format!("spec.nodeName={name}"))),
            NodeScope::Unscheduled => Some(Some(String::from("spec.nodeName="))),
        }
    }
}

/// Returns one target for each namespace that the filter names.
pub(super) fn in_namespaces(filter: &ObjectFilter, everywhere: &Target) -> Vec<Target> {
    let namespaces = filter.namespaces.difference(&filter.denied);
    let targets = namespaces.map(|namespace| Target {
        namespace: Some(namespace.clone()),
        ..everywhere.clone()
    });
    targets.collect()
}

fn selectors_of(resource: &ResourceInfo, selectors: &[(ResourceName, String)]) -> Vec<String> {
    let matching = selectors.iter().filter(|(name, _)| name.matches(resource));
    matching.map(|(_, selector)| selector.clone()).collect()
}
