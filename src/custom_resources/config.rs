//! Configurations: parsed and compiled once, resolved against the kinds that exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::collector::CustomResourceCollector;
use super::compile::{Entry, MetricPlan, compile};
use super::document::Reader;
use super::kinds::KnownKind;
use super::problem::{ConfigError, ConfigProblem};

/// A configuration that is free of errors.
///
/// Cloning gives another handle to the same one.
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
}

impl Config {
    /// Reads the first document of a YAML or JSON text.
    ///
    /// # Errors
    ///
    /// Names everything that is wrong at once, with lines and paths.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        let resources = reader.document(text);
        let entries = compile(resources, &mut reader);
        let (problems, warnings) = (in_order(reader.problems), in_order(reader.warnings));
        if !problems.is_empty() {
            return Err(ConfigError { problems, warnings });
        }
        Ok(Self {
            inner: Arc::new(ConfigInner { entries, warnings }),
        })
    }

    /// What is odd, though not wrong: unknown keys above all.
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

    /// Whether both are handles to the same configuration.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// All metrics, whatever their kinds.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &MetricPlan> {
        self.entries()
            .flat_map(|entry| &entry.metrics)
            .map(|plan| &**plan)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.inner.entries.iter()
    }

    /// The names of the families, in the order of the document; one may stand there repeatedly.
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

    /// The groups that entries name, each once.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.inner.entries.iter().map(|entry| entry.group.as_str());
        let groups: std::collections::BTreeSet<_> = groups.filter(|group| *group != "*").collect();
        groups.into_iter().collect()
    }

    /// Whether some entry is about a kind.
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

    /// A collector for each of the kinds that some entry is about, in the order of the exposition.
    ///
    /// The last such entry counts. Of two kinds with the same group, version and kind the first
    /// does.
    #[must_use]
    pub fn collectors(&self, kinds: &[KnownKind]) -> Vec<CustomResourceCollector> {
        let mut collectors = BTreeMap::new();
        for kind in kinds {
            let entries = self.inner.entries.iter().rev();
            let Some(entry) = entries.into_iter().find(|entry| takes(entry, kind)) else {
                continue;
            };
            let resource = kind.resource();
            let identity = (
                resource.api_version().into_owned(),
                resource.kind().to_owned(),
            );
            collectors
                .entry(identity)
                .or_insert_with(|| CustomResourceCollector::new(kind, entry));
        }
        let mut collectors: Vec<_> = collectors.into_values().collect();
        collectors.sort_by_cached_key(|collector| collector.resource().name().into_owned());
        collectors
    }
}

fn takes(entry: &Entry, kind: &KnownKind) -> bool {
    let resource = kind.resource();
    // Who means a built-in type says so: a wildcard is about definitions of custom resources.
    let is_exact = !entry.version.is_empty() && !entry.kind.is_empty();
    let all = |own: &str, other: &str| own.is_empty() || own == other;
    let (group, version, kind) = (resource.group(), resource.version(), resource.kind());
    entry.group == group
        && all(&entry.version, version)
        && all(&entry.kind, kind)
        && (is_exact || !group.is_empty() && !KnownKind::is_built_in(group, version, kind))
}

/// By line, each once: what a resource has may be looked at once per metric.
fn in_order(problems: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    let mut unique: Vec<ConfigProblem> = Vec::new();
    for problem in problems {
        let same = |own: &ConfigProblem| {
            own.line == problem.line
                && own.path == problem.path
                && own.message == problem.message
                && own.resource == problem.resource
        };
        if !unique.iter().any(same) {
            unique.push(problem);
        }
    }
    unique.sort_by_key(|problem| problem.line);
    unique
}
