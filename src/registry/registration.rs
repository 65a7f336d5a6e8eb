//! From collectors of any type to checked stores.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::BuildProblem;
use super::settings::Settings;
use crate::families::CollectorVisitor;
use crate::family::Collector;
use crate::k8s::{is_valid_label_name, is_valid_metric_name};
use crate::resource::{CollectedResource, ResourceInfo};
use crate::store::{Allowlists, AnyStore, MetricsStore, Schema};

impl Settings {
    /// The store of a collector from a configuration.
    #[cfg(feature = "custom-resources")]
    pub(super) fn store_of<K: CollectedResource>(
        &self,
        collector: Collector<K>,
    ) -> Arc<dyn AnyStore> {
        self.store(Box::new(Registered::new(collector)))
    }

    pub(super) fn store(&self, registration: Box<dyn Registration>) -> Arc<dyn AnyStore> {
        let store = registration.finish(self);
        store.set_filter(self.filter.read().clone());
        store
    }
}

/// Collectors of one type and resource, of whatever type.
pub(super) trait Registration: Send + Sync {
    fn resource(&self) -> &ResourceInfo;
    fn type_id(&self) -> TypeId;
    fn as_any(&mut self) -> &mut dyn Any;
    /// Takes the collectors of another registration of the same type.
    fn absorb(&mut self, other: &mut dyn Any);
    fn check(&self, constants: &[Cow<'static, str>], problems: &mut Vec<BuildProblem>);
    fn finish(self: Box<Self>, settings: &Settings) -> Arc<dyn AnyStore>;
}

pub(super) struct Registered<K> {
    first: Collector<K>,
    others: Vec<Collector<K>>,
}

pub(super) struct Register;

impl CollectorVisitor for Register {
    type Output = Box<dyn Registration>;

    fn visit<K: CollectedResource>(self, collector: Collector<K>) -> Self::Output {
        Box::new(Registered::new(collector))
    }
}

/// Joins registrations of the same type and resource, at the place of the first.
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

impl<K> Registered<K> {
    pub(super) fn new(first: Collector<K>) -> Self {
        let others = Vec::new();
        Self { first, others }
    }

    fn collectors(&self) -> impl Iterator<Item = &Collector<K>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl<K: CollectedResource> Registration for Registered<K> {
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

    fn finish(self: Box<Self>, settings: &Settings) -> Arc<dyn AnyStore> {
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
