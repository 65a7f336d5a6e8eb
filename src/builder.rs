//! [`StateMetrics`] and its builder: what an application registers, filters and mounts.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::collector::Collector;
use crate::decode::DecodeError;
use crate::exposition::{
    ConstantLabels, Exposition, Format, Live, Plan, PlanProblem, Selection, Slot,
};
use crate::families::{BuiltIn, CollectorVisitor, UnknownResource};
use crate::filter::{AllowlistConfig, FilterError, FilterWarning, MetricFilter};
use crate::resource::{Kind, ResourceInfo};
use crate::scope::{ObjectFilter, Shard};
use crate::store::{Allowlists, MetricsStore, Schema, StoreStats, Writer};
use crate::value::{is_valid_label_name, is_valid_metric_name};

/// The metrics of a set of resources: their stores, and one exposition over all of them.
///
/// Cloning gives another handle to the same stores.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_state_metrics::{BuiltIn, Format, Selection, StateMetrics};
/// use serde_json::json;
///
/// let metrics = StateMetrics::builder()
///     .built_in([BuiltIn::ConfigMaps])
///     .deny_metrics(["_created$"])
///     .build()?;
///
/// let mut config_maps = metrics.writer::<ConfigMap>()?;
/// config_maps.apply_object(&serde_json::from_value(json!({
///     "metadata": { "name": "a", "namespace": "b", "creationTimestamp": "2023-11-14T22:13:20Z" }
/// }))?);
/// let text = metrics.exposition(Format::Text, Selection::default()).to_string();
/// assert!(text.ends_with("kube_configmap_info{namespace=\"b\",configmap=\"a\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StateMetrics {
    live: Arc<Live>,
    settings: Arc<Settings>,
    warnings: Arc<[FilterWarning]>,
}

/// Collects what a [`StateMetrics`] shall have; [`build`](Self::build) checks all of it at once.
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
    custom: crate::custom_resource_state::Registered,
}

/// Everything that is wrong with what was registered.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(problems))]
pub struct BuildError {
    problems: Vec<BuildProblem>,
}

/// One thing that is wrong with what was registered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// A resource name that is not among the built-in ones.
    #[error(transparent)]
    UnknownResource(#[from] UnknownResource),
    /// A pattern or a list of patterns.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A family's name that no parser would take.
    #[error(
        "`{name}` of {resource} is not a metric name; use letters, digits, `_` and `:`, and no \
         digit in front"
    )]
    MetricName {
        /// The name.
        name: String,
        /// The resource that has the family.
        resource: String,
    },
    /// A label name that no parser would take.
    #[error(
        "`{label}` of {subject} is not a label name; use letters, digits and `_`, and no digit in \
         front"
    )]
    LabelName {
        /// The name.
        label: String,
        /// The family, the resource or the builder call that has it.
        subject: String,
    },
    /// A label name that stands twice in every sample.
    #[error("the label `{label}` of {subject} is there already; rename one of the two")]
    RepeatedLabel {
        /// The name.
        label: String,
        /// The family or the resource that has it.
        subject: String,
    },
    /// A family without a help text.
    #[error("`{name}` of {resource} has no help text; say what it tells")]
    MissingHelp {
        /// The family.
        name: String,
        /// The resource that has the family.
        resource: String,
    },
    /// Two families of one name that are not the same family.
    #[error("`{family}` of {first} and of {second} differ in their {what}; rename one of the two")]
    FamilyConflict {
        /// The family.
        family: String,
        /// The resource that has it first.
        first: String,
        /// The resource that has it again.
        second: String,
        /// What differs: `type` or `help`.
        what: &'static str,
    },
}

/// No such collector is registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no collector of {kind} is registered; add one to the builder")]
pub struct NotRegistered {
    kind: String,
}

/// Feeds objects of a kind that is not known at compile time, as JSON.
///
/// It is what [`Writer`] is for a type; see there for what each method does.
pub trait ObjectWriter: Send + fmt::Debug {
    /// Names and scope of the resource.
    fn resource(&self) -> &ResourceInfo;

    /// Decodes an object and applies it.
    ///
    /// # Errors
    ///
    /// Names an object that does not decode; its old samples are gone.
    fn apply(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Decodes an object and removes it.
    ///
    /// # Errors
    ///
    /// Names an object that does not decode; what was stored under its name is gone.
    fn delete(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Removes what is stored as `namespace/name`.
    fn delete_key(&mut self, namespace: &str, name: &str);

    /// `metadata.resourceVersion` of the object fed last, empty where it had none.
    fn last_version(&self) -> &str;

    /// Begins a complete list; readers see the old state until it ends.
    fn begin_list(&mut self);

    /// Ends a list: what it did not name is removed.
    fn end_list(&mut self);

    /// Gives a list up: all it did is undone.
    fn abandon_list(&mut self);

    /// Removes all rows of this writer and the writer.
    fn close(self: Box<Self>);
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Starts with nothing registered.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// All samples as they are now.
    #[must_use]
    pub fn exposition(&self, format: Format, selection: Selection) -> Exposition {
        self.live.exposition(format, selection)
    }

    /// Keeps the cache of compressed blocks in shape; call it about once a second from a timer.
    ///
    /// Blocks are refreshed shortly before the next compressed scrape is due, at most once between
    /// two scrapes, and dropped when nobody has asked for them for five minutes. Without these
    /// calls a scrape compresses what changed, and blocks stay.
    #[cfg(feature = "gzip")]
    pub fn tend_gzip_cache(&self) {
        self.live.tend_gzip_cache();
    }

    /// Memory held by compressed blocks, in bytes.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn gzip_cache_bytes(&self) -> usize {
        self.live.gzip_cache_bytes()
    }

    /// A writer for a feed of `K`.
    ///
    /// Taking one means that you feed the store: the crate does not watch the resource.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` is registered.
    pub fn writer<K: Kind>(&self) -> Result<Writer<K>, NotRegistered> {
        Ok(self.store::<K>()?.writer())
    }

    /// The store of `K`.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` is registered.
    pub fn store<K: Kind>(&self) -> Result<MetricsStore<K>, NotRegistered> {
        let plan = self.plan();
        let stores = plan.slots().iter().map(|slot| slot.as_any());
        let mut stores = stores.filter_map(|slot| slot.downcast_ref::<MetricsStore<K>>());
        stores.next().cloned().ok_or_else(|| NotRegistered {
            kind: std::any::type_name::<K>().to_owned(),
        })
    }

    /// The registered resources, in the order of the exposition.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = ResourceInfo> + use<> {
        let plan = self.plan();
        let infos: Vec<_> = (plan.slots().iter())
            .map(|slot| slot.resource().clone())
            .collect();
        infos.into_iter()
    }

    /// What happened in each store, and what it holds, in the order of the exposition.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = (ResourceInfo, StoreStats)> + use<> {
        let plan = self.plan();
        let stats: Vec<_> = (plan.slots().iter())
            .map(|slot| (slot.resource().clone(), slot.stats()))
            .collect();
        stats.into_iter()
    }

    /// The shard whose objects the stores take.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.settings.filter.read().shard
    }

    /// Changes the shard of all stores.
    ///
    /// Objects that are not of the shard are removed; those that belong to it now come with the
    /// next list of each feed.
    pub fn set_shard(&self, shard: Shard) {
        self.set_shards(shard, Vec::new());
    }

    /// Changes the shard and the earlier shards whose objects are still taken.
    pub(crate) fn set_shards(&self, shard: Shard, leaving: Vec<Shard>) {
        // Stores that are being added must not miss it.
        #[cfg(feature = "custom-resources")]
        let _custom = self.live.custom.lock();
        {
            let mut filter = self.settings.filter.write();
            filter.shard = shard;
            filter.leaving.clone_from(&leaving);
        }
        for slot in self.plan().slots() {
            let filter = slot.filter();
            slot.set_filter(ObjectFilter {
                shard,
                leaving: leaving.clone(),
                ..ObjectFilter::clone(&filter)
            });
        }
    }

    /// Writers for every registered resource, for a source that feeds them all.
    ///
    /// Taking them means that the source feeds all stores: the crate does not watch any resource.
    #[must_use]
    pub fn object_writers(&self) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        plan.slots()
            .iter()
            .map(|slot| slot.object_writer())
            .collect()
    }

    /// Writers for every store of one resource; there is more than one where a configuration adds
    /// families to a built-in kind, and none where nothing is registered for it.
    #[must_use]
    pub fn object_writers_of(&self, resource: &ResourceInfo) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        let slots = plan.slots().iter();
        let slots = slots.filter(|slot| {
            let own = slot.resource();
            own.kind() == resource.kind() && own.api_version() == resource.api_version()
        });
        slots.map(|slot| slot.object_writer()).collect()
    }

    /// What is odd about the filters, though not wrong.
    #[must_use]
    pub fn warnings(&self) -> &[FilterWarning] {
        &self.warnings
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.live.plan()
    }

    #[cfg(any(feature = "custom-resources", feature = "watch"))]
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    #[cfg(feature = "custom-resources")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for StateMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMetrics")
            .field("resources", &self.resources().collect::<Vec<_>>())
            .finish()
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
    pub fn collector<K: Kind>(mut self, collector: Collector<K>) -> Self {
        self.registrations
            .push(Box::new(Registered::new(collector)));
        self
    }

    /// Adds families for the kinds of a configuration, in place of another configuration.
    ///
    /// Collectors exist for those of its kinds that are [known](Self::known_kinds) now, or
    /// [become known](StateMetrics::set_known_kinds) later.
    #[cfg(feature = "custom-resources")]
    pub fn custom_resources(mut self, config: &crate::custom_resource_state::Config) -> Self {
        self.custom.config = Some(config.clone());
        self
    }

    /// Says which kinds exist, for a configuration of [custom resources](Self::custom_resources).
    #[cfg(feature = "custom-resources")]
    pub fn known_kinds(
        mut self,
        kinds: impl IntoIterator<Item = crate::custom_resource_state::KnownKind>,
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
        let mut slots = Vec::new();
        for registration in merge(registrations) {
            registration.check(&settings.constant_names, &mut problems);
            slots.push(settings.store(registration));
        }
        #[cfg(feature = "custom-resources")]
        let custom = {
            problems.extend(self.custom.conflicts(&slots));
            let (custom, added) = self.custom.start(&settings);
            slots.extend(added);
            custom
        };
        let plan = Plan::new(slots, &settings.constants).unwrap_or_else(|conflicts| {
            problems.extend(conflicts.into_iter().map(Into::into));
            Plan::default()
        });
        if !problems.is_empty() {
            return Err(BuildError { problems });
        }
        let warnings = [settings.labels.warnings(), settings.annotations.warnings()].concat();
        Ok(StateMetrics {
            live: Arc::new(Live::new(
                plan,
                #[cfg(feature = "custom-resources")]
                custom,
            )),
            settings: Arc::new(settings),
            warnings: warnings.into(),
        })
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

// === impl BuildError ===

impl BuildError {
    #[cfg(feature = "custom-resources")]
    pub(crate) fn new(problems: Vec<BuildProblem>) -> Self {
        Self { problems }
    }

    /// The single problems, in the order they were found.
    #[must_use]
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl From<PlanProblem> for BuildProblem {
    fn from(problem: PlanProblem) -> Self {
        Self::FamilyConflict {
            family: problem.family,
            first: problem.first,
            second: problem.second,
            what: problem.what,
        }
    }
}

fn list(problems: &[BuildProblem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

// === registrations ===

/// What it takes to make a store, now or later.
#[derive(Debug)]
pub(crate) struct Settings {
    metrics: MetricFilter,
    labels: AllowlistConfig,
    annotations: AllowlistConfig,
    pub(crate) constants: ConstantLabels,
    constant_names: Vec<Cow<'static, str>>,
    /// What stores take; a shard that changes while running changes it.
    filter: RwLock<ObjectFilter>,
}

impl Settings {
    /// The store of a collector from a configuration.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn slot<K: Kind>(&self, collector: Collector<K>) -> Arc<dyn Slot> {
        self.store(Box::new(Registered::new(collector)))
    }

    fn store(&self, registration: Box<dyn Registration>) -> Arc<dyn Slot> {
        let slot = registration.finish(self);
        slot.set_filter(self.filter.read().clone());
        slot
    }
}

/// Collectors of one type and resource, of whatever type.
trait Registration: Send + Sync {
    fn resource(&self) -> &ResourceInfo;
    fn type_id(&self) -> TypeId;
    fn as_any(&mut self) -> &mut dyn Any;
    /// Takes the collectors of another registration of the same type.
    fn absorb(&mut self, other: &mut dyn Any);
    fn check(&self, constants: &[Cow<'static, str>], problems: &mut Vec<BuildProblem>);
    fn finish(self: Box<Self>, settings: &Settings) -> Arc<dyn Slot>;
}

struct Registered<K> {
    first: Collector<K>,
    others: Vec<Collector<K>>,
}

struct Register;

impl CollectorVisitor for Register {
    type Output = Box<dyn Registration>;

    fn visit<K: Kind>(self, collector: Collector<K>) -> Self::Output {
        Box::new(Registered::new(collector))
    }
}

/// Joins registrations of the same type and resource, at the place of the first.
fn merge(registrations: Vec<Box<dyn Registration>>) -> Vec<Box<dyn Registration>> {
    let mut places: BTreeMap<(TypeId, String), usize> = BTreeMap::new();
    let mut merged: Vec<Box<dyn Registration>> = Vec::new();
    for mut registration in registrations {
        let resource = registration.resource();
        let key = (
            Registration::type_id(&*registration),
            format!("{resource}/{}", resource.version()),
        );
        match places.get(&key).and_then(|&at| merged.get_mut(at)) {
            Some(first) => first.absorb(registration.as_any()),
            None => {
                places.insert(key, merged.len());
                merged.push(registration);
            }
        }
    }
    merged
}

impl<K> Registered<K> {
    fn new(first: Collector<K>) -> Self {
        let others = Vec::new();
        Self { first, others }
    }

    fn collectors(&self) -> impl Iterator<Item = &Collector<K>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl<K: Kind> Registration for Registered<K> {
    fn resource(&self) -> &ResourceInfo {
        self.first.resource()
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<K>()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn absorb(&mut self, other: &mut dyn Any) {
        if let Some(other) = other.downcast_mut::<Self>() {
            self.others.extend(other.collectors().cloned());
        }
    }

    fn check(&self, constants: &[Cow<'static, str>], problems: &mut Vec<BuildProblem>) {
        for collector in self.collectors() {
            let resource = collector.resource().to_string();
            let base = constants
                .iter()
                .map(AsRef::as_ref)
                .chain(collector.base_label_names());
            let base: Vec<_> = base.collect();
            check_labels(problems, &resource, base.iter().copied());
            for family in collector.iter().map(|family| family.descriptor()) {
                if !is_valid_metric_name(family.name()) {
                    problems.push(BuildProblem::MetricName {
                        name: family.name().to_owned(),
                        resource: resource.clone(),
                    });
                }
                if family.help().trim().is_empty() && !collector.resource().is_configured() {
                    problems.push(BuildProblem::MissingHelp {
                        name: family.name().to_owned(),
                        resource: resource.clone(),
                    });
                }
                let own = family
                    .labels()
                    .map(|label| label.strip_suffix('*').unwrap_or(label));
                let own: Vec<_> = own.filter(|label| !label.is_empty()).collect();
                for label in &own {
                    if base.contains(label) {
                        problems.push(BuildProblem::RepeatedLabel {
                            label: (*label).to_owned(),
                            subject: family.name().to_owned(),
                        });
                    }
                }
                check_labels(problems, family.name(), own.into_iter());
            }
        }
    }

    fn finish(self: Box<Self>, settings: &Settings) -> Arc<dyn Slot> {
        let resource = Registration::resource(&*self).clone();
        let allowlists = Allowlists {
            labels: Arc::new(settings.labels.for_resource(resource.plural()).clone()),
            annotations: Arc::new(settings.annotations.for_resource(resource.plural()).clone()),
        };
        let mut schema = Schema::new(resource);
        for collector in std::iter::once(self.first).chain(self.others) {
            let (_, labels, families) = collector.into_parts();
            let families = families.into_iter().filter(|family| {
                let family = family.descriptor();
                settings.metrics.allows(family.name(), family.opt_in())
            });
            schema.add(labels, &settings.constant_names, families, &allowlists);
        }
        Arc::new(MetricsStore::with_schema(schema))
    }
}

/// Notes names that are invalid or there twice.
fn check_labels<'a>(
    problems: &mut Vec<BuildProblem>,
    subject: &str,
    names: impl Iterator<Item = &'a str>,
) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_valid_label_name(name) {
            problems.push(BuildProblem::LabelName {
                label: name.to_owned(),
                subject: subject.to_owned(),
            });
        }
        if !seen.insert(name) {
            problems.push(BuildProblem::RepeatedLabel {
                label: name.to_owned(),
                subject: subject.to_owned(),
            });
        }
    }
}

// === impl ObjectWriter for Writer ===

impl<K: Kind> ObjectWriter for Writer<K> {
    fn resource(&self) -> &ResourceInfo {
        self.store().resource()
    }

    fn apply(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.apply_json(json)
    }

    fn delete(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.delete_json(json)
    }

    fn delete_key(&mut self, namespace: &str, name: &str) {
        Writer::delete_key(self, namespace, name);
    }

    fn last_version(&self) -> &str {
        Writer::last_version(self)
    }

    fn begin_list(&mut self) {
        Writer::begin_list(self);
    }

    fn end_list(&mut self) {
        Writer::end_list(self);
    }

    fn abandon_list(&mut self) {
        Writer::abandon_list(self);
    }

    fn close(self: Box<Self>) {
        Writer::close(*self);
    }
}

#[cfg(test)]
mod tests;
