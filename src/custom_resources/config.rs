//! Configurations. A configuration is parsed and compiled once, and then selects kinds that exist.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::collector::CustomResourceCollector;
use super::compile::{Entry, MetricPlan, compile};
use super::differences::{
    differences_from, effective_metrics, mark_replaced, metric_problem, warn_of_differences,
};
use super::document::{MAX_FAMILIES, Reader};
use super::kinds::KnownKind;
use super::problem::{ConfigError, ConfigProblem};
use super::selector::KindSelector;
use crate::family::FamilyDescriptor;

/// A configuration without errors.
///
/// A clone is another handle to the same configuration.
///
/// ```
/// use kube_state_metrics::custom_resources::{Config, KnownKind};
/// use kube_state_metrics::resource::Scope;
///
/// let config = Config::parse("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
///     metrics:
///     - name: size
///       help: Size the widget asks for.
///       each: { type: Gauge, gauge: { path: [spec, size] } }
/// ")?;
/// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
/// let collectors = config.collectors(&[widgets]);
/// assert_eq!(collectors[0].resource().name(), "acme.dev/v1, Resource=widgets");
/// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    inner: Arc<ConfigInner>,
}

#[derive(Debug)]
struct ConfigInner {
    entries: Vec<Entry>,
    warnings: Vec<ConfigProblem>,
    without_value: Vec<ConfigProblem>,
}

impl Config {
    /// The maximum number of metrics of a configuration. This number is also the maximum number of families that all
    /// kinds of a configuration have together. If wildcards select too many kinds, some of these kinds are left out
    /// ([`CustomResources::kinds_left_out`](crate::registry::CustomResources::kinds_left_out)).
    ///
    /// ```
    /// assert_eq!(kube_state_metrics::custom_resources::Config::MAX_FAMILIES, 100_000);
    /// ```
    pub const MAX_FAMILIES: usize = MAX_FAMILIES;

    /// Reads the first document of a YAML or JSON text. A later document with content causes a warning.
    ///
    /// # Errors
    ///
    /// Returns the errors in the document together, up to 1,000 of them. Each error has a line and a path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, |_, _| {})
    }

    /// Reads a configuration, but omits families that have errors. Each error that removes one family, or all families
    /// of a resource, becomes a warning.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let config = Config::parse_valid_families("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    ///     metrics:
    ///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
    ///     - { name: not a name, each: { type: Gauge, gauge: { path: [spec, size] } } }
    /// ")?;
    /// assert!(config.family_names().eq(["kube_customresource_size"]));
    /// assert!(config.warnings()[0].message.ends_with("the family is left out"));
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the document cannot be read, has no list of resources, or has more than 1,000 errors.
    pub fn parse_valid_families(text: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, leave_out_invalid)
    }

    fn parse_with(
        text: &str,
        adjust: impl FnOnce(&mut Vec<Entry>, &mut Reader),
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        let resources = reader.document(text);
        let mut entries = compile(resources, &mut reader);
        adjust(&mut entries, &mut reader);
        mark_replaced(&mut entries, &mut reader);
        warn_of_differences(&entries, &mut reader);
        let (problems, warnings) = (reader.problems.in_order(), reader.warnings.in_order());
        if !problems.is_empty() {
            return Err(ConfigError { problems, warnings });
        }
        Ok(Self {
            inner: Arc::new(ConfigInner {
                entries,
                warnings,
                without_value: reader.without_value.in_order(),
            }),
        })
    }

    /// Warnings about valid but unusual content, mostly unknown keys.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let config = Config::parse("spec: { resources: [], resource: [] }")?;
    /// assert!(config.warnings()[0].to_string().contains("spec.resource"));
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[ConfigProblem] {
        &self.inner.warnings
    }

    /// The missing parts of the document: without them, the configuration or one of its entries has no metrics.
    ///
    /// `spec` and `spec.resources` are missing parts if they are absent or have no value. The `metrics` of an entry are
    /// a missing part if they have no value. An empty list is a value. Each missing part also causes a warning.
    ///
    /// kube-state-metrics accepts a document without these parts. But if the document replaces a configuration in use,
    /// the program that writes the file has probably written only the start of the file.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let cut = Config::parse("spec:\n  resources:\n")?;
    /// assert_eq!(cut.parts_without_value()[0].path, "spec.resources");
    /// let empty = Config::parse("spec:\n  resources: []\n")?;
    /// assert!(empty.parts_without_value().is_empty());
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    #[must_use]
    pub fn parts_without_value(&self) -> &[ConfigProblem] {
        &self.inner.without_value
    }

    /// Whether `self` and `other` are handles to the same configuration.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Returns warnings about configured families that have the name of the Rust family `family`, but another help text
    /// or type. Also returns warnings about configured families that need the same OpenMetrics name as `family`.
    /// Families that the family filter excludes cause no warnings.
    pub(crate) fn differences(
        &self,
        resource: &str,
        family: &FamilyDescriptor,
        is_included: impl Fn(&str) -> bool,
    ) -> Vec<ConfigProblem> {
        differences_from(&self.inner.entries, resource, family, is_included)
    }

    /// Returns the metrics of all kinds.
    fn metrics(&self) -> impl Iterator<Item = &MetricPlan> {
        (self.inner.entries.iter())
            .flat_map(|entry| &entry.metrics)
            .map(|plan| &**plan)
    }

    /// Returns notes about metrics whose series are the same for all objects.
    pub(crate) fn metrics_without_object_labels(&self) -> Vec<ConfigProblem> {
        let message = "no label comes from the object, so only one of several objects has samples; add \
             `labelsFromPath: { name: [metadata, name] }`, and `namespace` for a namespaced kind";
        effective_metrics(&self.inner.entries)
            .filter(|(_, metric)| metric.has_no_object_labels())
            .map(|metric| metric_problem(&metric, message))
            .collect()
    }

    /// The names of the families, in the order of the document. A name can occur several times.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let config = Config::parse("
    /// spec:
    ///   resources:
    ///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    ///     metrics:
    ///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
    /// ")?;
    /// assert!(config.family_names().eq(["kube_customresource_size"]));
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    pub fn family_names(&self) -> impl Iterator<Item = &str> {
        self.metrics().map(|metric| metric.name.as_str())
    }

    /// The API groups that entries name, without duplicates.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.inner.entries.iter().map(|entry| entry.group.as_str());
        let groups: BTreeSet<_> = groups.filter(|group| *group != "*").collect();
        groups.into_iter().collect()
    }

    /// The kinds that entries select, sorted by group, version and kind, without duplicates. Entries that select no
    /// kinds are not included. An entry selects no kinds if its group is `*`, or if a later entry replaces it.
    #[must_use]
    pub fn selectors(&self) -> Vec<KindSelector<'_>> {
        let entries = self.inner.entries.iter().filter(|entry| entry.has_effect);
        let selectors: BTreeSet<_> = entries.map(selector).collect();
        selectors.into_iter().collect()
    }

    /// Whether an entry of the configuration selects `kind`.
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
    /// let kind = |kind, plural| KnownKind::new("acme.dev", "v1", kind, plural, Scope::Namespaced);
    /// assert_eq!(config.groups(), ["acme.dev"]);
    /// assert!(config.concerns(&kind("Widget", "widgets")));
    /// assert!(!config.concerns(&kind("Gadget", "gadgets")));
    /// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
    /// ```
    #[must_use]
    pub fn concerns(&self, kind: &KnownKind) -> bool {
        self.inner.entries.iter().any(|entry| takes(entry, kind))
    }

    /// Returns a collector for each item of `kinds` that an entry selects, in the order of the exposition.
    ///
    /// If several entries select the same kind, the last entry is used. If several items of `kinds` have the same
    /// group, version and kind, the first item is used. If several items have the same group and kind, items with an
    /// established CustomResourceDefinition take precedence.
    #[must_use]
    pub fn collectors(&self, kinds: &[KnownKind]) -> Vec<CustomResourceCollector> {
        let mut collectors = BTreeMap::new();
        for kind in KnownKind::without_displaced(kinds) {
            let entries = self.inner.entries.iter().rev();
            let Some(entry) = entries.into_iter().find(|entry| takes(entry, kind)) else {
                continue;
            };
            let resource = kind.resource();
            let identity = (
                resource.api_version().into_owned(),
                resource.kind().to_owned(),
            );
            collectors.entry(identity).or_insert_with(|| {
                CustomResourceCollector::new(kind, entry, !selector(entry).is_exact())
            });
        }
        let mut collectors: Vec<_> = collectors.into_values().collect();
        collectors.sort_by_cached_key(|collector| collector.resource().name().into_owned());
        collectors
    }
}

fn takes(entry: &Entry, kind: &KnownKind) -> bool {
    selector(entry).matches(kind)
}

fn selector(entry: &Entry) -> KindSelector<'_> {
    KindSelector {
        group: &entry.group,
        version: Some(entry.version.as_str()).filter(|version| !version.is_empty()),
        kind: Some(entry.kind.as_str()).filter(|kind| !kind.is_empty()),
    }
}

/// Removes the metrics that have errors, and changes these errors to warnings.
///
/// If the group, version or kind of an entry cannot be read, the whole entry is removed. A part of the entry could
/// select kinds that the user does not mean, and would replace other entries for these kinds.
fn leave_out_invalid(entries: &mut Vec<Entry>, reader: &mut Reader) {
    let mut unreadable = HashSet::new();
    if reader.problems.more > 0 {
        // The metrics of the further problems are not known, so no metric can be used. If there is an error of the whole
        // document, the other errors are often its consequences.
        let is_of_all = |problem: &ConfigProblem| problem.path.is_empty();
        if reader.problems.first.iter().any(is_of_all) {
            reader.problems.first.retain(is_of_all);
            reader.problems.more = 0;
        }
        return;
    }
    for mut problem in std::mem::take(&mut reader.problems.first) {
        let entry = (entries.iter_mut()).find(|entry| is_within(&problem.path, &entry.place));
        let Some(entry) = entry else {
            reader.problems.add(|| problem);
            continue;
        };
        let types = format!("{}.groupVersionKind", entry.place);
        if (problem.path).starts_with(&format!("{}.metrics[", entry.place)) {
            (entry.metrics).retain(|metric| !is_within(&problem.path, &metric.place));
            problem.message += "; the family is left out";
        } else if problem.path == entry.place || is_within(&problem.path, &types) {
            unreadable.insert(entry.place.clone());
            problem.message += "; the entry is left out";
        } else {
            entry.metrics.clear();
            problem.message += "; the families of the resource are left out";
        }
        reader.warnings.add(|| problem);
    }
    entries.retain(|entry| !unreadable.contains(&entry.place));
}

/// Whether a path in the document is `place`, or is below `place`.
fn is_within(path: &str, place: &str) -> bool {
    let below = path.strip_prefix(place);
    below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}
