//! [`CustomResources`]: the configured families of a running registry.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::configured::{Configured, collectors, differences, link_stores};
use super::errors::BuildError;
use super::state_metrics::StateMetrics;
use crate::custom_resources::{
    Config, ConfigProblem, CustomResourceCollector, FamilyErrors, KnownKind,
};
use crate::exposition::Plan;
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

/// The families that a configuration of custom resources adds to a running [`StateMetrics`].
///
/// You can change the configuration, and the kinds that exist, at run time. Only stores of configured kinds are then
/// added or removed. All other resources keep their stores and samples.
///
/// ```
/// use kube_state_metrics::custom_resources::{Config, KnownKind};
/// use kube_state_metrics::resource::Scope;
/// use kube_state_metrics::StateMetrics;
///
/// let config = Config::parse("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
///     metrics:
///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
/// ")?;
/// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
/// let metrics = StateMetrics::builder().custom_resources(&config).build()?;
///
/// let custom = metrics.custom_resources();
/// assert_eq!(custom.set_known_kinds([widgets])?.added[0].plural(), "widgets");
/// assert_eq!(custom.collectors().len(), 1);
/// assert!(custom.errors().is_empty());
/// assert_eq!(custom.set_config(None)?.removed.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CustomResources {
    metrics: StateMetrics,
}

/// The resources that were added and removed by a change of the configuration or of the known kinds.
///
/// If the host feeds a removed resource, the host should stop feeding it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceChanges {
    /// New resources. Their stores are empty until a source or the host feeds them.
    pub added: Vec<ResourceInfo>,
    /// Removed resources. Their stores and samples no longer exist.
    pub removed: Vec<ResourceInfo>,
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Returns a handle with which you can change the families of a configuration of custom resources at run time.
    #[must_use]
    pub fn custom_resources(&self) -> CustomResources {
        CustomResources {
            metrics: self.clone(),
        }
    }
}

// === impl CustomResources ===

impl CustomResources {
    /// Sets the kinds that currently exist.
    ///
    /// Adds stores for new kinds that the configuration selects, and removes the stores of kinds that no longer exist.
    ///
    /// Call this method when a CustomResourceDefinition is created, changed or deleted.
    ///
    /// # Errors
    ///
    /// This version of the crate never returns an error. `build` already reports conflicts between families in Rust
    /// (those that are not configured). Conflicts of configured families are only [`warnings`](Self::warnings). If a
    /// later version of the crate returns an error, the call has changed nothing.
    pub fn set_known_kinds(
        &self,
        kinds: impl IntoIterator<Item = KnownKind>,
    ) -> Result<ResourceChanges, BuildError> {
        let kinds: Vec<_> = kinds.into_iter().collect();
        let mut configured = self.metrics.configured();
        let config = configured.config.clone();
        self.change(&mut configured, config, kinds)
    }

    /// Replaces the configuration of custom resources.
    ///
    /// If `config` is `None`, removes the configuration.
    ///
    /// After the call, the stores of all configured kinds are empty until a source or the host feeds them.
    ///
    /// # Errors
    ///
    /// This version of the crate never returns an error, as for [`set_known_kinds`](Self::set_known_kinds). If a later
    /// version of the crate returns an error, the previous configuration stays in use.
    pub fn set_config(&self, config: Option<&Config>) -> Result<ResourceChanges, BuildError> {
        let mut configured = self.metrics.configured();
        let kinds = configured.kinds.clone();
        self.change(&mut configured, config.cloned(), kinds)
    }

    /// Whether there is a configuration.
    #[cfg(feature = "manifests")]
    pub(crate) fn has_config(&self) -> bool {
        self.metrics.configured().config.is_some()
    }

    /// The collectors of configured kinds, in the order of the exposition.
    #[must_use]
    pub fn collectors(&self) -> Vec<CustomResourceCollector> {
        self.metrics.configured().collectors.clone()
    }

    /// The kinds that have no metrics because of the limits
    /// [`Limits::wildcard_kinds`](crate::registry::Limits::wildcard_kinds) and [`Config::MAX_FAMILIES`], in the order
    /// of the age of their definitions.
    ///
    /// The oldest definition comes first.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    /// use kube_state_metrics::custom_resources::{Config, KnownKind};
    /// use kube_state_metrics::registry::Limits;
    /// use kube_state_metrics::resource::Scope;
    ///
    /// let config = Config::parse("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: '*', kind: '*' }
    ///     metrics:
    ///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
    /// ")?;
    /// let kind = |kind, plural| KnownKind::new("acme.dev", "v1", kind, plural, Scope::Namespaced);
    /// let metrics = StateMetrics::builder()
    ///     .custom_resources(&config)
    ///     .known_kinds([kind("Widget", "widgets"), kind("Gadget", "gadgets")])
    ///     .limits(Limits::default().wildcard_kinds(1))
    ///     .build()?;
    /// assert_eq!(metrics.custom_resources().kinds_left_out()[0].plural(), "widgets");
    /// assert_eq!(metrics.custom_resources().collectors()[0].resource().plural(), "gadgets");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn kinds_left_out(&self) -> Vec<ResourceInfo> {
        self.metrics.configured().left_out.clone()
    }

    /// Returns warnings about conflicts between configured families and families whose generators are Rust code.
    ///
    /// There is a warning if two families with the same name have a different help text or type. There is also a
    /// warning if two families need the same OpenMetrics name.
    ///
    /// In such a case, the exposition has the help text of the first family, and a type that is valid for the samples
    /// of both families. [`Config::warnings`] returns the conflicts between two families of the configuration.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let config = Config::parse("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    ///     metricNamePrefix: kube
    ///     metrics:
    ///     - { name: pod_info, help: A widget., each: { type: Info, info: { path: [spec] } } }
    /// ")?;
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Pods]).custom_resources(&config);
    /// let warnings = builder.build()?.custom_resources().warnings();
    /// assert!(warnings[0].message.starts_with("the family `kube_pod_info` of pods has a different help text"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigProblem> {
        self.metrics.configured().warnings.clone()
    }

    /// For each configured family, the number of values that it could not read since its kind was added.
    ///
    /// Families without such errors are left out.
    #[must_use]
    pub fn errors(&self) -> Vec<FamilyErrors> {
        let configured = self.metrics.configured();
        let collectors = configured.collectors.iter();
        collectors
            .flat_map(CustomResourceCollector::errors)
            .collect()
    }

    /// Starts to collect hints about possible mistakes in the configuration. The families find these mistakes while
    /// they read objects.
    pub(super) fn collect_notes(&self) {
        let configured = self.metrics.configured();
        configured
            .collectors
            .iter()
            .for_each(CustomResourceCollector::collect_notes);
    }

    /// The collected hints. Each hint names its family and object.
    pub(super) fn notes(&self) -> Vec<String> {
        let configured = self.metrics.configured();
        let collectors = configured.collectors.iter();
        collectors
            .flat_map(CustomResourceCollector::notes)
            .collect()
    }

    fn change(
        &self,
        configured: &mut Configured,
        config: Option<Config>,
        kinds: Vec<KnownKind>,
    ) -> Result<ResourceChanges, BuildError> {
        let keeps_config = match (&configured.config, &config) {
            (Some(old), Some(new)) => old.is(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let running: HashMap<_, _> = (configured.collectors.iter())
            .filter(|_| keeps_config)
            .map(|running| (running.resource(), running))
            .collect();
        let settings = self.metrics.settings();
        let is_running = |own: &CustomResourceCollector| running.contains_key(own.resource());
        let (wanted, left_out) = collectors(config.as_ref(), &kinds, settings, is_running);
        let resources: HashSet<_> = wanted.iter().map(|own| own.resource()).collect();
        let is_kept = |store: &Arc<dyn AnyStore>| {
            let resource = store.resource();
            !resource.is_configured() || keeps_config && resources.contains(resource)
        };
        let plan = self.metrics.plan();
        let (mut stores, removed): (Vec<_>, Vec<_>) =
            plan.stores().iter().cloned().partition(is_kept);
        let warnings = match &config {
            _ if keeps_config => configured.warnings.clone(),
            Some(config) => differences(config, &stores, settings),
            None => Vec::new(),
        };
        let mut changes = ResourceChanges {
            added: Vec::new(),
            removed: removed
                .iter()
                .map(|store| store.resource().clone())
                .collect(),
        };
        let mut collectors = Vec::new();
        for collector in wanted {
            if let Some(running) = running.get(collector.resource()) {
                collectors.push(CustomResourceCollector::clone(running));
                continue;
            }
            let store = settings.store_of(collector.clone().into());
            stores.push(store);
            changes.added.push(collector.resource().clone());
            collectors.push(collector);
        }
        if !changes.added.is_empty() || !changes.removed.is_empty() {
            self.replace_plan(stores)?;
        }
        *configured = Configured {
            config,
            kinds,
            collectors,
            left_out,
            warnings,
        };
        Ok(changes)
    }

    fn replace_plan(&self, stores: Vec<Arc<dyn AnyStore>>) -> Result<(), BuildError> {
        let plan = Plan::new(stores, &self.metrics.settings().constants)
            .map_err(|problems| BuildError::new(problems.into_iter().map(Into::into).collect()))?;
        // Link the stores before the new plan is in use: a watch that sees the new plan expects the links.
        link_stores(plan.stores());
        self.metrics.current_plan().replace(plan);
        Ok(())
    }
}

impl fmt::Debug for CustomResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomResources")
            .field("collectors", &self.collectors())
            .finish_non_exhaustive()
    }
}
