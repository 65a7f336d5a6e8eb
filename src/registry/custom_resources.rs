//! Configured families of a running [`StateMetrics`]: they come and go, others stay untouched.

use std::sync::Arc;

use super::configured::{Configured, conflicts, join};
use super::errors::BuildError;
use super::state_metrics::StateMetrics;
use crate::custom_resources::{Config, CustomResourceCollector, FamilyErrors, KnownKind};
use crate::exposition::Plan;
use crate::resource::ResourceInfo;

/// Resources that a change added and removed.
///
/// Whoever feeds a removed one should stop; its samples are gone already.
///
/// ```
/// use kube_state_metrics::custom_resources::{Config, KnownKind};
/// use kube_state_metrics::{Scope, StateMetrics};
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
/// let changes = metrics.set_known_kinds([widgets])?;
/// assert_eq!(changes.added[0].plural(), "widgets");
/// let changes = metrics.set_known_kinds([])?;
/// assert_eq!(changes.removed[0].plural(), "widgets");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceChanges {
    /// They are empty until someone feeds them.
    pub added: Vec<ResourceInfo>,
    /// Their samples and stores are gone.
    pub removed: Vec<ResourceInfo>,
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Says which kinds exist now, and adds and removes configured kinds accordingly.
    ///
    /// Kinds that stay keep their stores and samples, and so does everything else. Call it when
    /// definitions come, change or go.
    ///
    /// # Errors
    ///
    /// Where families contradict others of their name; everything stays as it was then.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::{Config, KnownKind};
    /// use kube_state_metrics::{Scope, StateMetrics};
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
    /// assert_eq!(metrics.set_known_kinds([widgets])?.added.len(), 1);
    /// assert_eq!(metrics.custom_resources().len(), 1);
    /// assert!(metrics.custom_resource_errors().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_known_kinds(
        &self,
        kinds: impl IntoIterator<Item = KnownKind>,
    ) -> Result<ResourceChanges, BuildError> {
        let kinds: Vec<_> = kinds.into_iter().collect();
        let mut configured = self.configured();
        let config = configured.config.clone();
        self.change(&mut configured, config, kinds)
    }

    /// Puts another configuration in force, or none.
    ///
    /// All configured kinds start over; everything else keeps its samples.
    ///
    /// # Errors
    ///
    /// Where families contradict others of their name; the running configuration stays then.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::{Config, KnownKind};
    /// use kube_state_metrics::{Scope, StateMetrics};
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
    /// metrics.set_known_kinds([widgets])?;
    /// let changes = metrics.set_custom_resources(None)?;
    /// assert_eq!(changes.removed.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_custom_resources(
        &self,
        config: Option<&Config>,
    ) -> Result<ResourceChanges, BuildError> {
        let mut configured = self.configured();
        let kinds = configured.kinds.clone();
        self.change(&mut configured, config.cloned(), kinds)
    }

    /// Whether a configuration is in force.
    #[cfg(feature = "manifests")]
    pub(crate) fn has_configuration(&self) -> bool {
        self.configured().config.is_some()
    }

    /// The collectors of configured kinds, in the order of the exposition.
    #[must_use]
    pub fn custom_resources(&self) -> Vec<CustomResourceCollector> {
        self.configured().collectors.clone()
    }

    /// The errors of configured families that had some since their kind was added.
    #[must_use]
    pub fn custom_resource_errors(&self) -> Vec<FamilyErrors> {
        let configured = self.configured();
        let errors = configured.collectors.iter().flat_map(|own| own.errors());
        errors.collect()
    }

    fn change(
        &self,
        configured: &mut Configured,
        config: Option<Config>,
        kinds: Vec<KnownKind>,
    ) -> Result<ResourceChanges, BuildError> {
        let same = match (&configured.config, &config) {
            (Some(old), Some(new)) => old.is(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let wanted = match &config {
            Some(config) => config.collectors(&kinds),
            None => Vec::new(),
        };
        let mut changes = ResourceChanges::default();
        let plan = self.plan();
        let mut stores = Vec::new();
        let mut kept = Vec::new();
        for store in plan.stores() {
            let resource = store.resource();
            if !resource.is_configured() {
                stores.push(Arc::clone(store));
                continue;
            }
            let stays = same && wanted.iter().any(|own| own.resource() == resource);
            if stays {
                stores.push(Arc::clone(store));
                kept.push(resource.clone());
            } else {
                changes.removed.push(resource.clone());
            }
        }
        if !same && let Some(config) = &config {
            let problems = conflicts(config, &stores);
            if !problems.is_empty() {
                return Err(BuildError::new(problems));
            }
        }
        let mut collectors = Vec::new();
        for own in wanted {
            let running = (configured.collectors.iter())
                .find(|running| same && running.resource() == own.resource());
            if let Some(running) = running.filter(|own| kept.contains(own.resource())) {
                collectors.push(running.clone());
                continue;
            }
            stores.push(self.settings().store_of(own.clone().into()));
            changes.added.push(own.resource().clone());
            collectors.push(own);
        }
        if !changes.added.is_empty() || !changes.removed.is_empty() {
            let plan = Plan::new(stores, &self.settings().constants).map_err(|problems| {
                BuildError::new(problems.into_iter().map(Into::into).collect())
            })?;
            // Whoever watches finds the companions ready when it is told of the plan.
            join(plan.stores());
            self.current_plan().replace(plan);
        }
        *configured = Configured {
            config,
            kinds,
            collectors,
        };
        Ok(changes)
    }
}
