//! Configured families of a registry: their collectors, and the links from stores of the same resource.

use std::sync::Arc;

use super::errors::BuildProblem;
use super::settings::Settings;
use crate::custom_resources::{Config, CustomResourceCollector, KnownKind};
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

/// The configuration and the known kinds that a builder was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfiguredOptions {
    pub(crate) config: Option<Config>,
    pub(crate) kinds: Vec<KnownKind>,
}

/// The configuration in force and the collectors it yields now.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(super) config: Option<Config>,
    pub(super) kinds: Vec<KnownKind>,
    pub(super) collectors: Vec<CustomResourceCollector>,
}

// === impl ConfiguredOptions ===

impl ConfiguredOptions {
    /// Families of the configuration that differ from families of the same name in stores.
    pub(crate) fn conflicts(&self, stores: &[Arc<dyn AnyStore>]) -> Vec<BuildProblem> {
        match &self.config {
            Some(config) => conflicts(config, stores),
            None => Vec::new(),
        }
    }

    /// The stores for the kinds that are known at startup.
    pub(crate) fn start(self, settings: &Settings) -> (Configured, Vec<Arc<dyn AnyStore>>) {
        let collectors = match &self.config {
            Some(config) => config.collectors(&self.kinds),
            None => Vec::new(),
        };
        let stores = collectors
            .iter()
            .map(|collector| settings.store_of(collector.clone().into()));
        let stores = stores.collect();
        let configured = Configured {
            config: self.config,
            kinds: self.kinds,
            collectors,
        };
        (configured, stores)
    }
}

/// Links each store of families in Rust to the store of the resource's configured families.
///
/// Writers of the first then feed the second as well. If the host feeds only one of the two, they
/// are not linked. A newly linked store is empty until the next list of a writer.
pub(crate) fn link_stores(stores: &[Arc<dyn AnyStore>]) {
    let is_same = |one: &ResourceInfo, other: &ResourceInfo| {
        one.kind() == other.kind()
            && one.api_version() == other.api_version()
            && one.plural() == other.plural()
            && one.scope() == other.scope()
    };
    let (configured, in_rust): (Vec<_>, Vec<_>) =
        (stores.iter()).partition(|store| store.resource().is_configured());
    let mut linked_resources = Vec::new();
    for store in in_rust {
        let linked = configured.iter().find(|other| {
            is_same(other.resource(), store.resource())
                && other.is_host_fed() == store.is_host_fed()
                // If several types share the resource, only the first one is linked.
                && !linked_resources.contains(other.resource())
        });
        linked_resources.extend(linked.map(|linked| linked.resource().clone()));
        store.set_linked_store(linked.and_then(|linked| linked.as_any().downcast_ref().cloned()));
    }
}

/// Reports families of the configuration that differ from families of the same name in stores.
pub(super) fn conflicts(config: &Config, stores: &[Arc<dyn AnyStore>]) -> Vec<BuildProblem> {
    let mut problems = Vec::new();
    for store in stores {
        for family in store.families() {
            let descriptor = family.descriptor;
            for metric in (config.metrics()).filter(|metric| metric.name == descriptor.name()) {
                for what in metric.differences(descriptor) {
                    problems.push(BuildProblem::FamilyConflict {
                        family: metric.name.clone(),
                        first: store.resource().to_string(),
                        second: format!(
                            "the custom resource configuration (line {}: {})",
                            metric.line, metric.place
                        ),
                        what,
                    });
                }
            }
        }
    }
    problems
}
