//! Adds the families of a configuration of custom resources to a registry: chooses their collectors, and links the two
//! stores of a resource.
//!
//! A *family in Rust* is a built-in family or a family of the host. A configuration does not define such families.

use std::collections::HashSet;
use std::sync::Arc;

use super::settings::Settings;
use crate::custom_resources::{Config, ConfigProblem, CustomResourceCollector, KnownKind};
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

/// The configuration of custom resources and the known kinds, as set in the builder.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfiguredOptions {
    pub(crate) config: Option<Config>,
    pub(crate) kinds: Vec<KnownKind>,
}

/// The configuration of custom resources in use, and its current collectors.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(super) config: Option<Config>,
    pub(super) kinds: Vec<KnownKind>,
    pub(super) collectors: Vec<CustomResourceCollector>,
    /// The kinds that are left out because of [`Limits::wildcard_kinds`](crate::limits::Limits::wildcard_kinds) or
    /// because of [`Config::MAX_FAMILIES`].
    pub(super) left_out: Vec<ResourceInfo>,
    /// Warnings about configured families that differ from a family in Rust with the same name.
    pub(super) warnings: Vec<ConfigProblem>,
}

// === impl ConfiguredOptions ===

impl ConfiguredOptions {
    /// Creates the stores for the kinds that are known at startup.
    pub(crate) fn start(
        self,
        settings: &Settings,
        in_rust: &[Arc<dyn AnyStore>],
    ) -> (Configured, Vec<Arc<dyn AnyStore>>) {
        let (collectors, left_out) =
            collectors(self.config.as_ref(), &self.kinds, settings, |_| false);
        let stores = collectors
            .iter()
            .map(|collector| settings.store_of(collector.clone().into()));
        let stores = stores.collect();
        let warnings = (self.config.as_ref()).map(|config| differences(config, in_rust, settings));
        let configured = Configured {
            warnings: warnings.unwrap_or_default(),
            config: self.config,
            kinds: self.kinds,
            collectors,
            left_out,
        };
        (configured, stores)
    }
}

/// Returns the collectors of the known kinds, and the resources that are left out because of the limit on wildcard
/// kinds.
pub(super) fn collectors(
    config: Option<&Config>,
    kinds: &[KnownKind],
    settings: &Settings,
    is_served: impl Fn(&CustomResourceCollector) -> bool,
) -> (Vec<CustomResourceCollector>, Vec<ResourceInfo>) {
    let collectors = config.map(|config| config.collectors(kinds));
    let max = match settings.limits.wildcard_kinds {
        0 => usize::MAX,
        max => max,
    };
    let max = (max, Config::MAX_FAMILIES);
    limit_kinds(collectors.unwrap_or_default(), max, is_served)
}

/// Limits the kinds that wildcards in the configuration select. Of these kinds, the function keeps at most `max_kinds`.
/// All kinds of the configuration together have at most `max_families` families. Returns the collectors of the kept
/// kinds, and the resources that are left out.
///
/// Kinds that already have stores take precedence, so that a new definition does not remove the samples of another
/// kind. Among the other kinds, kinds with older definitions take precedence. Therefore, a replica that starts later
/// usually chooses the same kinds as a replica that has been running for long.
fn limit_kinds(
    mut collectors: Vec<CustomResourceCollector>,
    (max_kinds, max_families): (usize, usize),
    is_served: impl Fn(&CustomResourceCollector) -> bool,
) -> (Vec<CustomResourceCollector>, Vec<ResourceInfo>) {
    let (mut by_wildcard, named): (Vec<_>, Vec<_>) =
        collectors.iter().partition(|own| own.is_by_wildcard());
    // The kinds are already sorted by name. The sort is stable, so kinds whose definitions were created in the same
    // second stay in this order.
    by_wildcard.sort_by_key(|own| (!is_served(own), own.created()));
    let mut families: usize = named.iter().map(|own| own.len()).sum();
    let fits = by_wildcard.iter().take(max_kinds).take_while(|own| {
        families += own.len();
        families <= max_families
    });
    let fits = fits.count();
    let left_out = by_wildcard.iter().skip(fits);
    let left_out: Vec<_> = left_out.map(|own| own.resource().clone()).collect();
    if left_out.is_empty() {
        return (collectors, left_out);
    }
    // Each kind has exactly one collector, so its resource identifies the collector.
    let resources: HashSet<_> = left_out.iter().collect();
    collectors.retain(|own| !resources.contains(own.resource()));
    (collectors, left_out)
}

/// Links each store of families in Rust to the store of the configured families of the same resource.
///
/// A writer of a store also feeds the linked store. If the host feeds only one of the two stores, the stores are not
/// linked. A newly linked store is empty until a writer lists the objects again.
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
                // If there are stores of several Rust types for the resource, link only the first store.
                && !linked_resources.contains(other.resource())
        });
        linked_resources.extend(linked.map(|linked| linked.resource().clone()));
        store.set_linked_store(linked.and_then(|linked| linked.as_any().downcast_ref().cloned()));
    }
}

/// Returns warnings about the configured families that conflict with a family in Rust. Both have the same name, but a
/// different help text or type, or both need the same name in OpenMetrics.
pub(super) fn differences(
    config: &Config,
    stores: &[Arc<dyn AnyStore>],
    settings: &Settings,
) -> Vec<ConfigProblem> {
    let is_included = |name: &str| settings.metrics.allows(name, false);
    let in_rust = stores
        .iter()
        .filter(|store| !store.resource().is_configured());
    let differences = in_rust.flat_map(|store| {
        let resource = store.resource().to_string();
        let families = store.families().into_iter();
        families
            .flat_map(move |family| config.differences(&resource, family.descriptor, is_included))
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Scope;

    const CONFIG: &str = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, kind: '*' }
    metrics:
    - { name: a, each: { type: Gauge, gauge: { path: [spec, a] } } }
    - { name: b, each: { type: Gauge, gauge: { path: [spec, b] } } }
  - groupVersionKind: { group: acme.dev, version: v1, kind: Named }
    metrics:
    - { name: c, each: { type: Gauge, gauge: { path: [spec, c] } } }
";

    #[test]
    fn kinds_are_limited_by_their_number_and_by_their_families() {
        let config = Config::parse(CONFIG).unwrap();
        let kinds = ["Named", "One", "Other", "Third"].map(|kind| {
            let plural = kind.to_lowercase();
            KnownKind::new("acme.dev", "v1", kind, plural, Scope::Cluster)
        });
        let kept = |max| {
            let (kept, left_out) = limit_kinds(config.collectors(&kinds), max, |_| false);
            assert_eq!(kept.len() + left_out.len(), 4);
            let kinds = kept.iter().map(|own| own.resource().kind().to_owned());
            kinds.collect::<Vec<_>>().join(",")
        };
        let all = usize::MAX;
        for (max, expected) in [
            ((all, all), "Named,One,Other,Third"),
            ((all, 7), "Named,One,Other,Third"),
            ((all, 6), "Named,One,Other"),
            ((all, 5), "Named,One,Other"),
            ((all, 3), "Named,One"),
            ((all, 0), "Named"),
            ((2, all), "Named,One,Other"),
            ((1, 5), "Named,One"),
        ] {
            assert_eq!(kept(max), expected, "{max:?}");
        }
    }
}
