//! [`Registration`]: the collectors of one resource, from which one store is created.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::errors::BuildProblem;
use super::join_settings::check_declared;
use super::settings::Settings;
use crate::families::CollectorVisitor;
use crate::family::Collector;
use crate::k8s::{is_valid_label_name, is_valid_metric_name};
use crate::resource::{CollectedResource, ResourceInfo, ResourceName};
use crate::store::{Allowlists, AnyStore, MetricsStore, Schema};

impl Settings {
    /// Creates the store for a collector that a configuration of custom resources defines.
    #[cfg(feature = "custom-resources")]
    pub(super) fn store_of<K: CollectedResource>(
        &self,
        collector: Collector<K>,
    ) -> Arc<dyn AnyStore> {
        let registration = TypedRegistration::new(Origin::Configuration, collector);
        self.store(Box::new(registration))
    }

    pub(super) fn store(&self, registration: Box<dyn Registration>) -> Arc<dyn AnyStore> {
        let store = registration.into_store(self);
        store.set_filter(self.filter.read().clone());
        store
    }
}

/// The collectors of one Rust type and resource. The trait hides the type.
pub(super) trait Registration: Send + Sync {
    fn resource(&self) -> &ResourceInfo;
    fn type_id(&self) -> TypeId;
    fn as_any(&mut self) -> &mut dyn Any;
    /// Takes the collectors of another registration with the same Rust type.
    fn absorb(&mut self, other: &mut dyn Any);
    fn check(&self, constants: &[Cow<'static, str>], problems: &mut Vec<BuildProblem>);
    /// Reports joined labels that have the same name as a label of an enabled family.
    fn check_joins(&self, settings: &Settings, problems: &mut Vec<BuildProblem>);
    /// For each collector, the names of its families.
    fn family_names(&self) -> Vec<(Origin, Vec<&str>)>;
    fn into_store(self: Box<Self>, settings: &Settings) -> Arc<dyn AnyStore>;
}

/// The collectors of one Rust type and resource.
pub(super) struct TypedRegistration<K> {
    first: (Origin, Collector<K>),
    others: Vec<(Origin, Collector<K>)>,
}

/// The origin of a collector, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    BuiltIn,
    Replacement,
    /// A collector that the application has added. The number is its position among these collectors, counted from 1.
    Added(usize),
    #[cfg(feature = "custom-resources")]
    Configuration,
}

/// Creates the registration of a built-in collector.
pub(super) struct RegisterBuiltIn;

impl CollectorVisitor for RegisterBuiltIn {
    type Output = Box<dyn Registration>;

    fn visit<K: CollectedResource>(self, collector: Collector<K>) -> Self::Output {
        Box::new(TypedRegistration::new(Origin::BuiltIn, collector))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("the built-in collector"),
            Self::Replacement => f.write_str("the collector given to `replace_built_in`"),
            Self::Added(number) => write!(f, "collector {number} added by `collector`"),
            #[cfg(feature = "custom-resources")]
            Self::Configuration => f.write_str("the configuration"),
        }
    }
}

/// Merges all registrations of the same Rust type and resource into one registration.
pub(super) fn merge(registrations: Vec<Box<dyn Registration>>) -> Vec<Box<dyn Registration>> {
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

/// Reports families that occur in several collectors of one resource, because each of their series would exist twice.
pub(super) fn check_repeated_families(
    registrations: &[Box<dyn Registration>],
    problems: &mut Vec<BuildProblem>,
) {
    let mut declared: BTreeMap<(ResourceName, &str), Origin> = BTreeMap::new();
    for registration in registrations {
        let resource = registration.resource();
        for (origin, names) in registration.family_names() {
            let mut names_of_collector = BTreeSet::new();
            for name in names
                .into_iter()
                .filter(|name| names_of_collector.insert(*name))
            {
                let key = (ResourceName::from(resource), name);
                let Some(first) = declared.insert(key, origin) else {
                    continue;
                };
                problems.push(BuildProblem::RepeatedFamily {
                    family: name.to_owned(),
                    resource: resource.to_string(),
                    first: first.to_string(),
                    second: origin.to_string(),
                });
            }
        }
    }
}

impl<K> TypedRegistration<K> {
    pub(super) fn new(origin: Origin, collector: Collector<K>) -> Self {
        Self {
            first: (origin, collector),
            others: Vec::new(),
        }
    }

    fn collectors(&self) -> impl Iterator<Item = &(Origin, Collector<K>)> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl<K: CollectedResource> Registration for TypedRegistration<K> {
    fn resource(&self) -> &ResourceInfo {
        self.first.1.resource()
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
        for (_, collector) in self.collectors() {
            let resource = collector.resource().to_string();
            let constants = constants.iter().map(AsRef::as_ref);
            let base_labels: Vec<_> = constants.chain(collector.base_label_names()).collect();
            check_labels(problems, &resource, base_labels.iter().copied());
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
                let labels = family
                    .labels()
                    .map(|label| label.strip_suffix('*').unwrap_or(label));
                let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
                for label in &labels {
                    if base_labels.contains(label) {
                        problems.push(BuildProblem::RepeatedLabel {
                            label: (*label).to_owned(),
                            subject: family.name().to_owned(),
                        });
                    }
                }
                check_labels(problems, family.name(), labels.into_iter());
            }
        }
    }

    fn check_joins(&self, settings: &Settings, problems: &mut Vec<BuildProblem>) {
        let resource = self.first.1.resource();
        let joins = settings.joins.of_resource(resource);
        if joins.is_empty() {
            return;
        }
        for (_, collector) in self.collectors() {
            let base_labels = format!("the base labels of {resource}");
            check_declared(problems, &joins, &base_labels, collector.base_label_names());
            for family in collector.iter().map(|family| family.descriptor()) {
                if settings.metrics.allows(family.name(), family.opt_in()) {
                    let subject = format!("`{}`", family.name());
                    check_declared(problems, &joins, &subject, family.labels());
                }
            }
        }
    }

    fn family_names(&self) -> Vec<(Origin, Vec<&str>)> {
        let mut names = Vec::new();
        for (origin, collector) in self.collectors() {
            let families = collector.iter().map(|family| family.descriptor().name());
            names.push((*origin, families.collect()));
        }
        names
    }

    fn into_store(self: Box<Self>, settings: &Settings) -> Arc<dyn AnyStore> {
        let resource = Registration::resource(&*self).clone();
        let host_fed = settings.host_fed.includes(&resource)
            || (self.collectors()).any(|(_, collector)| collector.is_fed_by_host());
        let allowlists = Allowlists {
            labels: Arc::new(settings.labels.for_resource(resource.plural()).clone()),
            annotations: Arc::new(settings.annotations.for_resource(resource.plural()).clone()),
        };
        let joins = settings.joins.row_joins(&resource);
        let source = settings.joins.source_feed(&resource);
        let mut schema = Schema::new(resource).with_joins(joins, source);
        for (_, collector) in std::iter::once(self.first).chain(self.others) {
            let (_, labels, families) = collector.into_parts();
            let families = families.into_iter().filter(|family| {
                let family = family.descriptor();
                settings.metrics.allows(family.name(), family.opt_in())
            });
            schema.add(labels, &settings.constant_names, families, &allowlists);
        }
        Arc::new(MetricsStore::with_schema(
            schema.with_limits(settings.limits),
            host_fed,
        ))
    }
}

/// Reports label names that are invalid or repeated.
pub(super) fn check_labels<'a>(
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
