//! [`Builder`]: the resources, filters and options of a [`StateMetrics`].

mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::host_fed::HostFed;
use super::registration::{Origin, Registration, TypedRegistration};
use super::state_metrics::StateMetrics;
use crate::exposition::ConstantLabels;
use crate::families::{BuiltIn, UnknownResource};
use crate::family::Collector;
use crate::filter::AllowlistConfig;
use crate::joins::{Join, JoinConfig};
use crate::limits::Limits;
use crate::resource::{CollectedResource, ResourceName};
use crate::scope::{ObjectFilter, Shard};

/// Configures and builds a [`StateMetrics`].
///
/// The methods that set options never fail. [`build`](Self::build) checks the names, patterns and resources, and
/// reports all problems together.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::filter::AllowlistConfig;
/// use kube_state_metrics::registry::Shard;
/// use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};
///
/// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
/// let metrics = StateMetrics::builder()
///     // The resources: built-in ones, by type or by name, and collectors of the application.
///     .default_resources()
///     .built_in([BuiltIn::ClusterRoles])
///     .resources(["roles"])
///     .collector(Collector::new().family(seen))
///     // The families: all except the denied ones, and some that are opt-in.
///     .deny_metrics(["^kube_pod_tolerations$"])
///     .opt_in_metrics(["^kube_pod_nodeselectors$"])
///     // The labels and annotations of objects that become labels of metrics.
///     .label_allowlists(AllowlistConfig::parse("nodes=[kubernetes.io/arch]")?)
///     .allow_labels(BuiltIn::Pods, ["app.kubernetes.io/*", "team"])
///     .annotation_allowlists(AllowlistConfig::default())
///     .allow_annotations(BuiltIn::Namespaces, ["owner"])
///     // The objects.
///     .namespaces(["shop", "shop-preview"])
///     .deny_namespaces(["shop-preview"])
///     .shard(Shard::new(0, 2)?)
///     // A label of every sample.
///     .constant_label("cluster", "blue")
///     .build()?;
/// assert_eq!(metrics.stores().len(), 34);
///
/// let error = StateMetrics::builder().resources(["podz"]).allow_metrics(["("]).build().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Feeding
///
/// By default, the sources of this crate, such as a watch or manifests, feed all resources with objects. Your program
/// (the host) can feed a resource instead, from its own watch or in a test. Declare this with
/// [`fed_by_host`](Self::fed_by_host), [`Collector::fed_by_host`] or [`all_fed_by_host`](Self::all_fed_by_host). The
/// sources of this crate then skip the resource. The host gets a writer from [`StateMetrics::feed`] or
/// [`StateMetrics::feeds`], before or after it starts a watch. For a resource without such a declaration, `feed`
/// returns an error.
#[derive(Default)]
#[must_use = "nothing is registered before `build`"]
pub struct Builder {
    registrations: Vec<Box<dyn Registration>>,
    built_in: BTreeSet<BuiltIn>,
    replaced: BTreeMap<BuiltIn, Box<dyn Registration>>,
    unknown: Vec<UnknownResource>,
    host_fed: HostFed,
    allow: Vec<String>,
    deny: Vec<String>,
    opt_in: Vec<String>,
    labels: Allowlists,
    annotations: Allowlists,
    filter: ObjectFilter,
    limits: Limits,
    constants: ConstantLabels,
    joins: JoinConfig,
    #[cfg(feature = "custom-resources")]
    configured: super::configured::ConfiguredOptions,
}

/// The allowlists that the application has set, by the resource names that the application passed. `build` finds the
/// resources with these names.
#[derive(Debug, Default)]
struct Allowlists {
    parsed: AllowlistConfig,
    added: Vec<(ResourceName, Vec<String>)>,
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Returns a builder without any resource.
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

    /// Adds the built-in resources that kube-state-metrics enables by default.
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

    /// Adds a collector of the application.
    ///
    /// Collectors of the same type and resource share a store, so a collector can add families to a built-in resource.
    /// If two collectors of a resource have a family with the same name, [`build`](Self::build) fails. To replace a
    /// built-in collector, call [`replace_built_in`](Self::replace_built_in).
    pub fn collector<K: CollectedResource>(mut self, collector: Collector<K>) -> Self {
        let origin = Origin::Added(self.registrations.len() + 1);
        self.registrations
            .push(Box::new(TypedRegistration::new(origin, collector)));
        self
    }

    /// Adds a built-in resource with `collector` instead of the built-in collector.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics, families};
    ///
    /// let pods = families::pods().base_label("scheduled_on", |pod| {
    ///     pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default().into()
    /// });
    /// let builder = StateMetrics::builder().default_resources();
    /// let metrics = builder.replace_built_in(BuiltIn::Pods, pods.clone()).build()?;
    /// assert_eq!(metrics.stores().len(), 32);
    ///
    /// // With the built-in collector as well, each series would exist twice.
    /// let error = StateMetrics::builder().default_resources().collector(pods).build().unwrap_err();
    /// assert!(error.to_string().contains("`kube_pod_info` of pods is in the built-in collector"));
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    pub fn replace_built_in<K: CollectedResource>(
        mut self,
        resource: BuiltIn,
        collector: Collector<K>,
    ) -> Self {
        let registration = TypedRegistration::new(Origin::Replacement, collector);
        self.replaced.insert(resource, Box::new(registration));
        self
    }

    /// Declares that the host feeds a resource, so that the sources of this crate do not feed the resource.
    ///
    /// The declaration applies to all collectors of the resource, and to the families that a configuration of custom
    /// resources adds to the resource. See the [rules for feeding](Self#feeding).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::{Node, Pod};
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder()
    ///     .built_in([BuiltIn::Nodes, BuiltIn::Pods])
    ///     .fed_by_host(BuiltIn::Nodes)
    ///     .build()?;
    /// assert!(metrics.feed::<Node>().is_ok());
    /// assert!(metrics.feed::<Pod>().is_err(), "a watch feeds pods");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    pub fn fed_by_host(mut self, resource: impl Into<ResourceName>) -> Self {
        self.host_fed.names.push(resource.into());
        self
    }

    /// Declares that the host feeds all resources, for example in a unit test.
    pub fn all_fed_by_host(mut self) -> Self {
        self.host_fed.all = true;
        self
    }

    /// Adds the families of a configuration of custom resources.
    ///
    /// Replaces an earlier configuration.
    ///
    /// A kind has families only if the registry knows that the kind exists. Pass the kinds that exist at startup to
    /// [`known_kinds`](Self::known_kinds). For later changes, call
    /// [`set_known_kinds`](super::CustomResources::set_known_kinds).
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
    /// let metrics =
    ///     StateMetrics::builder().custom_resources(&config).known_kinds([widgets]).build()?;
    /// assert_eq!(metrics.stores().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "custom-resources")]
    pub fn custom_resources(mut self, config: &crate::custom_resources::Config) -> Self {
        self.configured.config = Some(config.clone());
        self
    }

    /// Adds kinds that exist in the cluster.
    ///
    /// A configuration of [custom resources](Self::custom_resources) adds families only for these kinds.
    #[cfg(feature = "custom-resources")]
    pub fn known_kinds(
        mut self,
        kinds: impl IntoIterator<Item = crate::custom_resources::KnownKind>,
    ) -> Self {
        self.configured.kinds.extend(kinds);
        self
    }

    /// Keeps only families whose name matches one of these regular expressions.
    ///
    /// A pattern matches anywhere in the name. To select one family, write a pattern such as `^kube_pod_info$`.
    pub fn allow_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Drops families whose name matches one of these regular expressions.
    ///
    /// As in [`allow_metrics`](Self::allow_metrics), a pattern matches anywhere in the name.
    pub fn deny_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.deny.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Enables opt-in families whose name matches one of these regular expressions.
    pub fn opt_in_metrics(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.opt_in.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Exports the Kubernetes labels whose keys match one of these globs.
    ///
    /// The samples of the family `*_labels` of the resource have these labels. The resource `*` means all resources.
    ///
    /// A later call for the same resource replaces the patterns of an earlier call.
    pub fn allow_labels(
        mut self,
        resource: impl Into<ResourceName>,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.labels.add(resource.into(), patterns);
        self
    }

    /// Exports the annotations whose keys match one of these globs.
    ///
    /// The samples of the family `*_annotations` of the resource have these annotations as labels. The resource `*`
    /// means all resources.
    ///
    /// A later call for the same resource replaces the patterns of an earlier call.
    pub fn allow_annotations(
        mut self,
        resource: impl Into<ResourceName>,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.annotations.add(resource.into(), patterns);
        self
    }

    /// Sets the label allowlists of several resources.
    ///
    /// If you also call [`allow_labels`](Self::allow_labels) for one of these resources, that call takes precedence.
    pub fn label_allowlists(mut self, allowlists: AllowlistConfig) -> Self {
        self.labels.parsed = allowlists;
        self
    }

    /// Sets the annotation allowlists of several resources.
    ///
    /// If you also call [`allow_annotations`](Self::allow_annotations) for one of these resources, that call takes
    /// precedence.
    pub fn annotation_allowlists(mut self, allowlists: AllowlistConfig) -> Self {
        self.annotations.parsed = allowlists;
        self
    }

    /// Adds a label to all samples of a resource (a *joined label*).
    ///
    /// The value of the label comes from the namespace, the node or the workload of the object, or from the object
    /// itself. The resource `*` means all resources.
    ///
    /// The joined labels follow the base labels. If, for example, the namespace of an object is not known or does not
    /// have the label, the samples of the object do not get the joined label. If the label of the namespace changes,
    /// the value changes in all samples in one step.
    ///
    /// The sources of this crate also watch the namespaces, nodes or workloads from which labels are joined. If one of
    /// these resources is not registered, the sources watch only the metadata of its objects. The sources do not watch
    /// a resource that the builder declares as fed by the host. The host must feed the objects of such a resource with
    /// [`StateMetrics::feeds_of`].
    ///
    /// A resource can have at most 100 joined labels, including those of `*`. If it has more, [`build`](Self::build)
    /// fails.
    ///
    /// If a family declares a label with the same name as the joined label, [`build`](Self::build) fails. In some
    /// families, the object determines the names of the labels. If such a label has the same name as the joined label,
    /// it replaces the joined label.
    /// [`StoreStats::joined_labels_replaced`](crate::store::StoreStats::joined_labels_replaced) counts these cases.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{ExpositionFilter, Format};
    /// use kube_state_metrics::registry::Join;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder()
    ///     .built_in([BuiltIn::Pods])
    ///     .allow_metrics(["^kube_pod_deletion_timestamp$", "^kube_pod_spec_volumes"])
    ///     .allow_metrics(["^kube_pod_status_unschedulable$"])
    ///     .join_label(BuiltIn::Pods, Join::namespace_label("team"))
    ///     .join_label("*", Join::workload_name().named("workload"))
    ///     .all_fed_by_host()
    ///     .build()?;
    /// let mut namespaces = metrics.feeds_of(BuiltIn::Namespaces)?.remove(0);
    /// let mut pods = metrics.feeds_of(BuiltIn::Pods)?.remove(0);
    /// namespaces.apply_json(br#"{ "metadata": { "name": "shop", "labels": { "team": "blue" } } }"#)?;
    /// pods.apply_json(br#"{
    ///     "metadata": { "name": "db-0", "namespace": "shop", "ownerReferences": [
    ///         { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "", "controller": true }
    ///     ] },
    ///     "status": { "conditions": [
    ///         { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }
    ///     ] }
    /// }"#)?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// let sample = exposition.samples().next().expect("the pod is not scheduled").to_string();
    /// assert!(sample.contains(r#",team="blue",workload="db"} 1"#), "{sample}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_label(mut self, resource: impl Into<ResourceName>, join: Join) -> Self {
        self.joins.insert(resource, join);
        self
    }

    /// Adds the joined labels of several resources; see [`join_label`](Self::join_label).
    pub fn join_labels(mut self, joins: JoinConfig) -> Self {
        self.joins.extend(joins);
        self
    }

    /// Accepts only objects of these namespaces.
    ///
    /// Cluster-scoped objects are always accepted.
    pub fn namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter
            .namespaces
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// Accepts no objects of these namespaces.
    pub fn deny_namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.denied.extend(names.into_iter().map(Into::into));
        self
    }

    /// Accepts only the objects of one shard.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.filter.shard = shard;
        self
    }

    /// Sets the limits on the samples of one object.
    ///
    /// They replace the [default limits](Limits::default).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a label with a constant value before the other labels of every sample.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constants.push((name.into(), value.into()));
        self
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

// === impl Allowlists ===

impl Allowlists {
    fn add(
        &mut self,
        resource: ResourceName,
        patterns: impl IntoIterator<Item = impl Into<String>>,
    ) {
        let patterns = patterns.into_iter().map(Into::into).collect();
        self.added.push((resource, patterns));
    }
}

#[cfg(test)]
mod tests;
