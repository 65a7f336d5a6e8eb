//! [`Builder`]: what an application registers and filters, checked all at once.

use std::collections::BTreeSet;
use std::fmt;

use parking_lot::RwLock;

use super::current_plan::CurrentPlan;
use super::errors::{BuildError, BuildProblem};
use super::registration::{Register, Registered, Registration, check_labels, merge};
use super::settings::Settings;
use super::state_metrics::StateMetrics;
use crate::exposition::{ConstantLabels, Plan};
use crate::families::{BuiltIn, UnknownResource};
use crate::family::Collector;
use crate::filter::{AllowlistConfig, MetricFilter};
use crate::resource::CollectedResource;
use crate::scope::{ObjectFilter, Shard};

/// Collects what a [`StateMetrics`] shall have; [`build`](Self::build) checks all of it at once.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::filter::AllowlistConfig;
/// use kube_state_metrics::{BuiltIn, Collector, Family, Shard, StateMetrics};
///
/// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
/// let metrics = StateMetrics::builder()
///     // What there is: built-in resources, by type or by name, and collectors of one's own.
///     .default_resources()
///     .built_in([BuiltIn::ClusterRoles])
///     .resources(["roles"])
///     .collector(Collector::new().family(seen))
///     // Which families of it: all but those denied (or only those allowed), and some that are opt-in.
///     .deny_metrics(["^kube_pod_tolerations$"])
///     .opt_in_metrics(["^kube_pod_nodeselectors$"])
///     // Which labels and annotations show.
///     .label_allowlists(AllowlistConfig::parse("nodes=[kubernetes.io/arch]")?)
///     .allow_labels(BuiltIn::Pods, ["app.kubernetes.io/*", "team"])
///     .annotation_allowlists(AllowlistConfig::default())
///     .allow_annotations(BuiltIn::Namespaces, ["owner"])
///     // Which objects count.
///     .namespaces(["shop", "shop-preview"])
///     .deny_namespaces(["shop-preview"])
///     .shard(Shard::new(0, 2)?)
///     // And what every sample carries.
///     .constant_label("cluster", "blue")
///     .build()?;
/// assert_eq!(metrics.resources().len(), 34);
///
/// // Setters never fail; `build` names everything that is wrong.
/// let error = StateMetrics::builder().resources(["podz"]).allow_metrics(["("]).build().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
#[must_use = "nothing is registered before `build`"]
pub struct Builder {
    registrations: Vec<Box<dyn Registration>>,
    built_in: BTreeSet<BuiltIn>,
    unknown: Vec<UnknownResource>,
    allow: Vec<String>,
    deny: Vec<String>,
    opt_in: Vec<String>,
    labels: AllowlistConfig,
    annotations: AllowlistConfig,
    filter: ObjectFilter,
    constants: ConstantLabels,
    #[cfg(feature = "custom-resources")]
    custom: super::configured::Registered,
}
// === impl StateMetrics ===

impl StateMetrics {
    /// Starts with nothing registered.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

// === impl Builder ===

impl Builder {
    /// Adds built-in resources.
    pub fn built_in(mut self, resources: impl IntoIterator<Item = BuiltIn>) -> Self {
        self.built_in.extend(resources);
        self
    }

    /// Adds the built-in resources that are on where nothing else is said.
    pub fn default_resources(self) -> Self {
        self.built_in(BuiltIn::defaults())
    }

    /// Adds built-in resources by their plural names, such as `pods`.
    pub fn resources(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for name in names {
            match name.as_ref().parse() {
                Ok(resource) => {
                    self.built_in.insert(resource);
                }
                Err(error) => self.unknown.push(error),
            }
        }
        self
    }

    /// Adds a collector of your own.
    ///
    /// Collectors of the same type and resource share a store; this is how families are added to
    /// a built-in resource.
    pub fn collector<K: CollectedResource>(mut self, collector: Collector<K>) -> Self {
        self.registrations
            .push(Box::new(Registered::new(collector)));
        self
    }

    /// Adds families for the kinds of a configuration, in place of another configuration.
    ///
    /// Collectors exist for those of its kinds that are [known](Self::known_kinds) now, or
    /// [become known](StateMetrics::set_known_kinds) later.
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
    /// let metrics =
    ///     StateMetrics::builder().custom_resources(&config).known_kinds([widgets]).build()?;
    /// assert_eq!(metrics.resources().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "custom-resources")]
    pub fn custom_resources(mut self, config: &crate::custom_resources::Config) -> Self {
        self.custom.config = Some(config.clone());
        self
    }

    /// Says which kinds exist, for a configuration of [custom resources](Self::custom_resources).
    #[cfg(feature = "custom-resources")]
    pub fn known_kinds(
        mut self,
        kinds: impl IntoIterator<Item = crate::custom_resources::KnownKind>,
    ) -> Self {
        self.custom.kinds.extend(kinds);
        self
    }

    /// Leaves in only families whose name one of these regular expressions finds.
    pub fn allow_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Leaves out families whose name one of these regular expressions finds.
    pub fn deny_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.deny.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Switches on opt-in families whose name one of these regular expressions finds.
    pub fn opt_in_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.opt_in.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Shows labels of a resource whose keys match one of these globs, in its `_labels` family.
    pub fn allow_labels(
        mut self,
        resource: impl fmt::Display,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.labels.insert(resource.to_string(), patterns);
        self
    }

    /// Shows annotations whose keys match one of these globs, in the `_annotations` family.
    pub fn allow_annotations(
        mut self,
        resource: impl fmt::Display,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.annotations.insert(resource.to_string(), patterns);
        self
    }

    /// Replaces all label allowlists, for callers that parsed them.
    pub fn label_allowlists(mut self, allowlists: AllowlistConfig) -> Self {
        self.labels = allowlists;
        self
    }

    /// Replaces all annotation allowlists, for callers that parsed them.
    pub fn annotation_allowlists(mut self, allowlists: AllowlistConfig) -> Self {
        self.annotations = allowlists;
        self
    }

    /// Takes only objects of these namespaces; cluster-scoped objects are always taken.
    pub fn namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter
            .namespaces
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// Takes no objects of these namespaces.
    pub fn deny_namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.denied.extend(names.into_iter().map(Into::into));
        self
    }

    /// Takes only the objects of one shard.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.filter.shard = shard;
        self
    }

    /// Puts a label with a constant value in front of every sample.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constants.push((name.into(), value.into()));
        self
    }

    /// Checks everything and makes the stores.
    ///
    /// # Errors
    ///
    /// Names every invalid name, pattern, resource and conflict at once.
    pub fn build(self) -> Result<StateMetrics, BuildError> {
        let mut problems: Vec<BuildProblem> = Vec::new();
        problems.extend(self.unknown.into_iter().map(Into::into));

        let mut registrations: Vec<_> = (self.built_in.iter())
            .map(|resource| resource.visit(Register))
            .collect();
        registrations.extend(self.registrations);

        let plurals = registrations
            .iter()
            .map(|own| own.resource().plural().to_owned());
        let built_in = BuiltIn::ALL
            .iter()
            .map(|resource| resource.name().to_owned());
        let known: BTreeSet<_> = plurals.chain(built_in).collect();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        for allowlists in [&self.labels, &self.annotations] {
            let errors = allowlists.check_resources(&known).err().unwrap_or_default();
            problems.extend(errors.into_iter().map(Into::into));
        }
        let metrics = MetricFilter::new(&self.allow, &self.deny, &self.opt_in);
        let metrics = metrics.unwrap_or_else(|errors| {
            problems.extend(errors.into_iter().map(Into::into));
            MetricFilter::default()
        });
        check_labels(
            &mut problems,
            "the constant labels",
            self.constants.iter().map(|own| &*own.0),
        );

        let settings = Settings {
            metrics,
            labels: self.labels,
            annotations: self.annotations,
            constant_names: (self.constants.iter())
                .map(|own| own.0.clone().into())
                .collect(),
            constants: self.constants,
            filter: RwLock::new(self.filter),
        };
        let mut stores = Vec::new();
        for registration in merge(registrations) {
            registration.check(&settings.constant_names, &mut problems);
            stores.push(settings.store(registration));
        }
        #[cfg(feature = "custom-resources")]
        let custom = {
            problems.extend(self.custom.conflicts(&stores));
            let (custom, added) = self.custom.start(&settings);
            stores.extend(added);
            super::configured::join(&stores);
            custom
        };
        let plan = Plan::new(stores, &settings.constants).unwrap_or_else(|conflicts| {
            problems.extend(conflicts.into_iter().map(Into::into));
            Plan::default()
        });
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        let warnings = [settings.labels.warnings(), settings.annotations.warnings()].concat();
        let metrics = StateMetrics::new(CurrentPlan::new(plan), settings, warnings);
        #[cfg(feature = "custom-resources")]
        let metrics = metrics.with_configured(custom);
        Ok(metrics)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("built_in", &self.built_in)
            .field("collectors", &self.registrations.len())
            .finish_non_exhaustive()
    }
}
#[cfg(test)]
mod tests;
