//! Collectors of the kinds in a configuration.

use std::sync::Arc;

use super::base::{Base, BaseLayer};
use super::compile::Entry;
use super::errors::{Counter, FamilyErrors};
use super::evaluate::Generator;
use super::kinds::KnownKind;
use crate::dynamic::JsonObject;
use crate::family::Collector;
use crate::family::{Family, FamilyDescriptor, MetricType};
use crate::resource::ResourceInfo;

/// The configured families of one kind.
///
/// To use this type, convert it into a [`Collector`], and pass the collector to a [`MetricsStore`](crate::MetricsStore)
/// or to the builder of a [`StateMetrics`](crate::StateMetrics). Instead of single collectors, the builder also accepts
/// a whole configuration ([`custom_resources`](crate::registry::Builder::custom_resources)).
///
/// ```
/// use kube_state_metrics::custom_resources::{Config, KnownKind};
/// use kube_state_metrics::resource::Scope;
/// use kube_state_metrics::{CacheStore, Collector, MetricsStore};
/// use serde_json::json;
///
/// let config = Config::parse("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
///     labelsFromPath: { name: [metadata, name] }
///     metricNamePrefix: widget
///     metrics:
///     - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
/// ")?;
/// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
/// for own in config.collectors(&[widgets]) {
///     let store = MetricsStore::new(Collector::from(own.clone()));
///     store.add(&json!({ "metadata": { "name": "a" }, "spec": { "size": "2Ki" } }).into());
///     let samples = store.get("a").map(|entry| entry.samples);
///     assert!(samples.is_some_and(|samples| samples.ends_with("name=\"a\"} 2048\n")));
///     assert_eq!(own.errors().count(), 0);
/// }
/// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CustomResourceCollector {
    kind: KnownKind,
    /// Whether the entry of the configuration uses a wildcard to select the kind.
    is_by_wildcard: bool,
    families: Vec<Family<JsonObject>>,
    counters: Arc<[FamilyCounter]>,
}

/// Counts the errors of one family.
#[derive(Debug)]
struct FamilyCounter {
    family: String,
    level: i32,
    errors: Arc<Counter>,
}

impl CustomResourceCollector {
    pub(super) fn new(kind: &KnownKind, entry: &Entry, is_by_wildcard: bool) -> Self {
        let resource = kind.resource();
        let mut constants = entry.common_labels.clone();
        for (name, value) in [
            ("customresource_group", resource.group()),
            ("customresource_kind", resource.kind()),
            ("customresource_version", resource.version()),
        ] {
            constants.insert(name.to_owned(), value.to_owned());
        }
        let inherited = Arc::new(BaseLayer::new(
            Arc::clone(&entry.inherited.paths),
            constants,
        ));
        let mut families = Vec::new();
        let mut counters = Vec::new();
        for plan in &entry.metrics {
            let own = BaseLayer::new(Arc::clone(&plan.base), plan.common_labels.clone());
            let base = Base::new(Arc::clone(&inherited), own);
            let errors = Arc::new(Counter::of(resource));
            counters.push(FamilyCounter {
                family: plan.name.clone(),
                level: plan.error_level,
                errors: Arc::clone(&errors),
            });
            let (name, help) = (plan.name.clone(), plan.help.clone());
            let family = match plan.metric_type() {
                MetricType::StateSet => Family::state_set(name, help).labels(plan.label_name()),
                MetricType::Info => Family::info(name, help),
                MetricType::Gauge | MetricType::Counter | MetricType::Unknown => {
                    Family::gauge(name, help)
                }
            };
            let family = family.reads(plan.reads());
            let family = family.may_replace_kind_label(plan.may_replace("customresource_kind"));
            families.push(family.generator(Generator::new(Arc::clone(plan), base, errors)));
        }
        Self {
            kind: kind.clone(),
            is_by_wildcard,
            families,
            counters: counters.into(),
        }
    }

    /// The number of families.
    pub(crate) fn len(&self) -> usize {
        self.families.len()
    }

    /// The names and the scope of the kind.
    ///
    /// ```
    /// use kube_state_metrics::resource::Scope;
    /// use kube_state_metrics::custom_resources::{Config, KnownKind};
    ///
    /// let config = Config::parse("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    ///     metrics:
    ///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
    /// ")?;
    /// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    /// let collectors = config.collectors(&[widgets]);
    /// assert_eq!(collectors[0].resource().kind(), "Widget");
    /// assert_eq!(collectors[0].errors().count(), 0, "no object was evaluated yet");
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        self.kind.resource()
    }

    /// Whether the entry of the configuration uses a wildcard to select the kind.
    pub(crate) fn is_by_wildcard(&self) -> bool {
        self.is_by_wildcard
    }

    /// Returns the creation time of the kind's CustomResourceDefinition; `None` if the time is unknown. The
    /// alphabetical order of these texts is the order of the times.
    pub(crate) fn created(&self) -> Option<&str> {
        self.kind.created()
    }

    /// Returns the names, types and help texts of the families, in the order of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::resource::Scope;
    /// use kube_state_metrics::custom_resources::{Config, KnownKind};
    ///
    /// let config = Config::parse("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    ///     metrics:
    ///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
    /// ")?;
    /// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    /// let collectors = config.collectors(&[widgets]);
    /// assert!(collectors[0].families().map(|own| own.name()).eq(["kube_customresource_size"]));
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    pub fn families(&self) -> impl ExactSizeIterator<Item = &FamilyDescriptor> {
        self.families.iter().map(Family::descriptor)
    }

    /// Starts to collect notes about unexpected values in objects.
    pub(crate) fn collect_notes(&self) {
        for own in self.counters.iter() {
            own.errors.collect_notes();
        }
    }

    /// The collected notes. Each note starts with the name of its family.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.counters.iter().flat_map(|own| {
            let notes = own.errors.notes().into_iter();
            notes.map(move |note| format!("{}: {note}", own.family))
        })
    }

    /// The errors of the families. The result does not contain families without errors.
    pub fn errors(&self) -> impl Iterator<Item = FamilyErrors> {
        let counters = self.counters.iter().filter(|own| own.errors.count() > 0);
        counters.map(|own| FamilyErrors {
            resource: self.resource().label(),
            family: own.family.clone(),
            count: own.errors.count(),
            examples: own.errors.examples(),
            level: own.level,
        })
    }
}

impl From<CustomResourceCollector> for Collector<JsonObject> {
    fn from(own: CustomResourceCollector) -> Self {
        Self::without_base_labels(own.kind.resource().clone()).families(own.families)
    }
}
