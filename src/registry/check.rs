//! Checks a configuration of custom resources, and renders the samples of example objects. Authors of a configuration
//! use this module in unit tests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::custom_resources::{Config, ConfigProblem, FamilyErrors, KnownKind};
use crate::exposition::{ExpositionFilter, Format};
use crate::families::catalogue::catalogue;
use crate::registry::StateMetrics;
use crate::store::ExceededLimit;

/// The result of a check.
///
/// ```
/// use kube_state_metrics::registry::check::check;
///
/// let report = check("spec: { resources: 1 }", []);
/// assert!(!report.is_ok(false) && !report.errors.is_empty() && report.exposition.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The errors in the configuration. If there is an error, the whole configuration is ignored.
    pub errors: Vec<ConfigProblem>,
    /// Warnings about the configuration, such as unknown keys.
    pub warnings: Vec<ConfigProblem>,
    /// The exposition of the objects; empty if the configuration has errors.
    pub exposition: String,
    /// The number of samples that were dropped because an earlier sample has the same labels.
    pub repeated: u64,
    /// The number of values that a family could not read, for each family with such values.
    pub unread: Vec<FamilyErrors>,
    /// The limits that objects have exceeded, each with the resource of the objects. The exposition does not contain
    /// the samples or labels above the limits.
    pub exceeded: Vec<(String, ExceededLimit)>,
    /// The errors of the objects that cannot be decoded, for example because an object has too many values. Such
    /// objects have no samples.
    pub undecoded: Vec<String>,
    /// The number of objects that no entry of the configuration selects, for each `apiVersion` and `kind`.
    pub ignored: BTreeMap<String, usize>,
    /// Hints about possible mistakes. Examples are a metric without a label that depends on the object, and a state
    /// that is missing in the `list` of a state set. If some objects are [ignored](Self::ignored), the hints also name
    /// the entries that select none of the objects.
    pub notes: Vec<String>,
}

impl CheckReport {
    /// Whether the configuration has no errors.
    ///
    /// If `strict` is true, there must also be no warnings, and no object may exceed a limit.
    #[must_use]
    pub fn is_ok(&self, strict: bool) -> bool {
        let has_warnings = !self.warnings.is_empty() || !self.exceeded.is_empty();
        self.errors.is_empty() && (!strict || !has_warnings)
    }
}

/// Checks a configuration of custom resources, and generates its metrics for some objects.
///
/// The registry knows only the kinds of these objects. To state the plural name and the scope of a kind, add its
/// CustomResourceDefinition to the objects.
///
/// ```
/// use kube_state_metrics::registry::check::check;
/// use serde_json::json;
///
/// let widget = json!({ "apiVersion": "acme.dev/v1", "kind": "Widget", "spec": { "size": 3 } });
/// let report = check("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, kind: Widget }
///     metricPrefix: acme
///     metrics:
///     - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
/// ", [widget]);
/// assert!(report.is_ok(false) && !report.is_ok(true));
/// assert_eq!(report.warnings[0].path, "spec.resources[0].metricPrefix");
/// assert!(report.exposition.ends_with("customresource_version=\"v1\"} 3\n"));
/// ```
#[must_use]
pub fn check(config: &str, objects: impl IntoIterator<Item = Value>) -> CheckReport {
    check_as(Format::Text, config, objects)
}

/// Like [`check`], with the exposition in the given format.
///
/// ```
/// use kube_state_metrics::exposition::Format;
/// use kube_state_metrics::registry::check::check_as;
///
/// let report = check_as(Format::OpenMetrics, "spec: { resources: [] }", []);
/// assert!(report.is_ok(true));
/// assert_eq!(report.exposition, "# EOF\n");
/// ```
#[must_use]
pub fn check_as(
    format: Format,
    config: &str,
    objects: impl IntoIterator<Item = Value>,
) -> CheckReport {
    let mut report = CheckReport::default();
    let config = match Config::parse(config) {
        Ok(config) => config,
        Err(error) => {
            report.errors = error.problems().to_vec();
            report.warnings = error.warnings().to_vec();
            return report;
        }
    };
    report.warnings = config.warnings().to_vec();
    let built_in = catalogue().into_iter();
    report.warnings.extend(built_in.flat_map(|family| {
        let resource = family.resource.to_string();
        config.differences(&resource, &family.descriptor, |_| true)
    }));
    let objects: Vec<_> = objects.into_iter().collect();
    let builder = StateMetrics::builder()
        .custom_resources(&config)
        .all_fed_by_host()
        .known_kinds(KnownKind::of_objects(&objects));
    let metrics = match builder.build() {
        Ok(metrics) => metrics,
        Err(error) => {
            let problems = error.problems().iter().map(ToString::to_string);
            report.errors.extend(problems.map(ConfigProblem::of_all));
            return report;
        }
    };
    let metrics_without_labels = config.metrics_without_object_labels();
    report
        .notes
        .extend(metrics_without_labels.iter().map(ToString::to_string));
    metrics.custom_resources().collect_notes();
    let mut writers = metrics.feeds();
    let mut kinds = BTreeSet::new();
    for object in &objects {
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let writer = writers.iter_mut().find(|writer| {
            let resource = writer.resource();
            resource.kind() == kind && resource.api_version() == api_version
        });
        let applied = writer.map(|writer| writer.apply_json(object.to_string().as_bytes()));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        kinds.insert((group, version, kind));
        match applied {
            Some(Ok(())) => {}
            Some(Err(error)) => report.undecoded.push(error.to_string()),
            None => {
                let kind = format!("{api_version} {kind}");
                *report.ignored.entry(kind.trim().to_owned()).or_default() += 1;
            }
        }
    }
    report.notes.extend(metrics.custom_resources().notes());
    // An ignored object can mean that an entry has a wrong kind, for example because of a typing error. Such an entry
    // selects no object. So report the entries that select no object.
    if !report.ignored.is_empty() {
        let selectors = config.selectors().into_iter();
        let unused = selectors.filter(|selector| {
            !kinds
                .iter()
                .any(|(group, version, kind)| selector.includes(group, version, kind))
        });
        report.notes.extend(unused.map(|selector| {
            let (group, version) = (selector.group, selector.version.unwrap_or("*"));
            let kind = selector.kind.unwrap_or("*");
            format!("the entry for {group}/{version} {kind} selects none of the objects")
        }));
    }
    let exposition = metrics.exposition(format, ExpositionFilter::default());
    report.exposition = exposition.to_string();
    // The store drops repeated samples of one object. The exposition drops a sample that has the same labels as a
    // sample of another object. Count both.
    let stats = metrics.stores().into_iter().map(|store| store.stats());
    let made: u64 = stats.map(|stats| stats.series + stats.duplicates).sum();
    let shown = exposition.samples().count() as u64;
    report.repeated = made.saturating_sub(shown);
    report.unread = metrics.custom_resources().errors();
    let stores = metrics.stores().into_iter();
    let exceeded = stores.flat_map(|store| {
        let resource = store.resource().label();
        let limits = store.exceeded_limits().into_iter();
        limits.map(move |exceeded| (resource.clone(), exceeded))
    });
    report.exceeded = exceeded.collect();
    report
}
