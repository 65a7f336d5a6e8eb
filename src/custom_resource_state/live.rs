//! Configured kinds of a running [`StateMetrics`]: they come and go, others stay untouched.

use std::sync::Arc;

use super::collector::CustomResourceCollector;
use super::config::Config;
use super::errors::FamilyErrors;
use super::kinds::KnownKind;
use crate::builder::{BuildError, BuildProblem, Settings};
use crate::exposition::{Plan, Slot};
use crate::resource::ResourceInfo;
use crate::state_metrics::StateMetrics;

/// What a builder was told of custom resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registered {
    pub(crate) config: Option<Config>,
    pub(crate) kinds: Vec<KnownKind>,
}

/// The configuration in force and the collectors it yields now.
#[derive(Debug, Default)]
pub(crate) struct Custom {
    config: Option<Config>,
    kinds: Vec<KnownKind>,
    collectors: Vec<CustomResourceCollector>,
}

/// Resources that a change added and removed.
///
/// Whoever feeds a removed one should stop; its samples are gone already.
///
/// ```
/// use kube_state_metrics::custom_resource_state::{Config, KnownKind};
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

// === impl Registered ===

impl Registered {
    /// Families of the configuration that stores have already, in another way.
    pub(crate) fn conflicts(&self, slots: &[Arc<dyn Slot>]) -> Vec<BuildProblem> {
        match &self.config {
            Some(config) => conflicts(config, slots),
            None => Vec::new(),
        }
    }

    /// The stores for the kinds that are known at the start.
    pub(crate) fn start(self, settings: &Settings) -> (Custom, Vec<Arc<dyn Slot>>) {
        let collectors = match &self.config {
            Some(config) => config.collectors(&self.kinds),
            None => Vec::new(),
        };
        let slots = collectors
            .iter()
            .map(|own| settings.slot(own.clone().into()));
        let slots = slots.collect();
        let custom = Custom {
            config: self.config,
            kinds: self.kinds,
            collectors,
        };
        (custom, slots)
    }
}

/// Lets stores of kinds with families in Rust feed those of the same kind's configured families.
///
/// A companion that stays is fed on; one that is new is empty until its feeder lists anew.
pub(crate) fn join(slots: &[Arc<dyn Slot>]) {
    let is_same = |own: &ResourceInfo, other: &ResourceInfo| {
        own.kind() == other.kind()
            && own.api_version() == other.api_version()
            && own.plural() == other.plural()
            && own.scope() == other.scope()
    };
    let (configured, others): (Vec<_>, Vec<_>) =
        (slots.iter()).partition(|slot| slot.resource().is_configured());
    let mut joined = Vec::new();
    for slot in others {
        let resource = slot.resource();
        let companion = configured
            .iter()
            .find(|own| is_same(own.resource(), resource));
        // Types that share a resource do not share the companion: the first one feeds it.
        let companion = companion.filter(|own| !joined.contains(own.resource()));
        if let Some(companion) = companion {
            joined.push(companion.resource().clone());
        }
        let store = companion.and_then(|own| own.as_any().downcast_ref().cloned());
        slot.set_companion(store);
    }
}

/// Problems of families that differ from those of a name that others have.
fn conflicts(config: &Config, slots: &[Arc<dyn Slot>]) -> Vec<BuildProblem> {
    let mut problems = Vec::new();
    for slot in slots {
        for family in slot.families() {
            let own = family.descriptor;
            for metric in config.metrics().filter(|metric| metric.name == own.name()) {
                for what in metric.differences(own) {
                    problems.push(BuildProblem::FamilyConflict {
                        family: metric.name.clone(),
                        first: slot.resource().to_string(),
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
    /// use kube_state_metrics::custom_resource_state::{Config, KnownKind};
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
        let mut custom = self.live().custom.lock();
        let config = custom.config.clone();
        self.change(&mut custom, config, kinds)
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
    /// use kube_state_metrics::custom_resource_state::{Config, KnownKind};
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
        let mut custom = self.live().custom.lock();
        let kinds = custom.kinds.clone();
        self.change(&mut custom, config.cloned(), kinds)
    }

    /// Whether a configuration is in force.
    #[cfg(feature = "manifests")]
    pub(crate) fn has_configuration(&self) -> bool {
        self.live().custom.lock().config.is_some()
    }

    /// The collectors of configured kinds, in the order of the exposition.
    #[must_use]
    pub fn custom_resources(&self) -> Vec<CustomResourceCollector> {
        self.live().custom.lock().collectors.clone()
    }

    /// The errors of configured families that had some since their kind was added.
    #[must_use]
    pub fn custom_resource_errors(&self) -> Vec<FamilyErrors> {
        let custom = self.live().custom.lock();
        let errors = custom.collectors.iter().flat_map(|own| own.errors());
        errors.collect()
    }

    fn change(
        &self,
        custom: &mut Custom,
        config: Option<Config>,
        kinds: Vec<KnownKind>,
    ) -> Result<ResourceChanges, BuildError> {
        let same = match (&custom.config, &config) {
            (Some(old), Some(new)) => old.is(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let wanted = match &config {
            Some(config) => config.collectors(&kinds),
            None => Vec::new(),
        };
        let mut changes = ResourceChanges::default();
        let plan = self.plan();
        let mut slots = Vec::new();
        let mut kept = Vec::new();
        for slot in plan.slots() {
            let resource = slot.resource();
            if !resource.is_configured() {
                slots.push(Arc::clone(slot));
                continue;
            }
            let stays = same && wanted.iter().any(|own| own.resource() == resource);
            if stays {
                slots.push(Arc::clone(slot));
                kept.push(resource.clone());
            } else {
                changes.removed.push(resource.clone());
            }
        }
        if !same && let Some(config) = &config {
            let problems = conflicts(config, &slots);
            if !problems.is_empty() {
                return Err(BuildError::new(problems));
            }
        }
        let mut collectors = Vec::new();
        for own in wanted {
            let running = (custom.collectors.iter())
                .find(|running| same && running.resource() == own.resource());
            if let Some(running) = running.filter(|own| kept.contains(own.resource())) {
                collectors.push(running.clone());
                continue;
            }
            slots.push(self.settings().slot(own.clone().into()));
            changes.added.push(own.resource().clone());
            collectors.push(own);
        }
        if !changes.added.is_empty() || !changes.removed.is_empty() {
            let plan = Plan::new(slots, &self.settings().constants).map_err(|problems| {
                BuildError::new(problems.into_iter().map(Into::into).collect())
            })?;
            // Whoever watches finds the companions ready when it is told of the plan.
            join(plan.slots());
            self.live().replace(plan);
        }
        *custom = Custom {
            config,
            kinds,
            collectors,
        };
        Ok(changes)
    }
}
