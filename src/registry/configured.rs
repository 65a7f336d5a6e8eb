//! Configured kinds of a running [`StateMetrics`]: they come and go, others stay untouched.

use std::sync::Arc;

use super::errors::BuildProblem;
use super::settings::Settings;
use crate::custom_resources::{Config, CustomResourceCollector, KnownKind};
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

/// What a builder was told of custom resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registered {
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

// === impl Registered ===

impl Registered {
    /// Families of the configuration that stores have already, in another way.
    pub(crate) fn conflicts(&self, stores: &[Arc<dyn AnyStore>]) -> Vec<BuildProblem> {
        match &self.config {
            Some(config) => conflicts(config, stores),
            None => Vec::new(),
        }
    }

    /// The stores for the kinds that are known at the start.
    pub(crate) fn start(self, settings: &Settings) -> (Configured, Vec<Arc<dyn AnyStore>>) {
        let collectors = match &self.config {
            Some(config) => config.collectors(&self.kinds),
            None => Vec::new(),
        };
        let stores = collectors
            .iter()
            .map(|own| settings.store_of(own.clone().into()));
        let stores = stores.collect();
        let configured = Configured {
            config: self.config,
            kinds: self.kinds,
            collectors,
        };
        (configured, stores)
    }
}

/// Lets stores of kinds with families in Rust feed those of the same kind's configured families.
///
/// A companion that stays is fed on; one that is new is empty until its feeder lists anew.
pub(crate) fn join(stores: &[Arc<dyn AnyStore>]) {
    let is_same = |own: &ResourceInfo, other: &ResourceInfo| {
        own.kind() == other.kind()
            && own.api_version() == other.api_version()
            && own.plural() == other.plural()
            && own.scope() == other.scope()
    };
    let (configured, others): (Vec<_>, Vec<_>) =
        (stores.iter()).partition(|store| store.resource().is_configured());
    let mut joined = Vec::new();
    for store in others {
        let resource = store.resource();
        let companion = configured
            .iter()
            .find(|own| is_same(own.resource(), resource));
        // Types that share a resource do not share the companion: the first one feeds it.
        let companion = companion.filter(|own| !joined.contains(own.resource()));
        if let Some(companion) = companion {
            joined.push(companion.resource().clone());
        }
        let linked = companion.and_then(|own| own.as_any().downcast_ref().cloned());
        store.set_companion(linked);
    }
}

/// Problems of families that differ from those of a name that others have.
pub(super) fn conflicts(config: &Config, stores: &[Arc<dyn AnyStore>]) -> Vec<BuildProblem> {
    let mut problems = Vec::new();
    for store in stores {
        for family in store.families() {
            let own = family.descriptor;
            for metric in config.metrics().filter(|metric| metric.name == own.name()) {
                for what in metric.differences(own) {
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
