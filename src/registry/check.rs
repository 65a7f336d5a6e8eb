//! Checks a configuration, and renders the samples of objects. Authors of a configuration use this module for unit
//! tests.

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
    /// The errors of the configuration. If there is an error, no part of the configuration is used.
    pub errors: Vec<ConfigProblem>,
    /// Warnings, such as unknown keys.
    pub warnings: Vec<ConfigProblem>,
    /// The exposition of the objects, if the configuration has no errors.
    pub exposition: String,
    /// The number of samples that were dropped because an earlier sample has the same labels.
    pub repeated: u64,
    /// Unreadable values, per family.
    pub unread: Vec<FamilyErrors>,
    /// The limits that objects have exceeded, each with the resource of the objects. Samples or labels beyond the
    /// limits are missing in the exposition.
    pub exceeded: Vec<(String, ExceededLimit)>,
    /// The errors of objects that cannot be decoded, for example because they have too many values. These objects have
    /// no samples.
    pub undecoded: Vec<String>,
    /// The number of objects that no entry of the configuration selects, by `apiVersion` and `kind`.
    pub ignored: BTreeMap<String, usize>,
    /// Facts that can be intended, but are often mistakes: a metric without a label that depends on the object, or a
    /// state that is missing in the `list` of a state set. If there are ignored objects, the notes also name the
    /// entries that select none of the objects.
    pub notes: Vec<String>,
}

impl CheckReport {
    /// Whether the configuration is valid. If `strict` is true, warnings and exceeded limits are treated as errors.
    #[must_use]
    pub fn is_ok(&self, strict: bool) -> bool {
        let has_warnings = !self.warnings.is_empty() || !self.exceeded.is_empty();
        self.errors.is_empty() && (!strict || !has_warnings)
    }
}

/// Checks a configuration and evaluates it for objects. The kinds of the objects are the known kinds.
///
/// Definitions of custom resources among the objects state the scope and names of their kinds.
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

/// The same as [`check`], with the exposition in another format.
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
    // If an entry has a misspelt kind, the entry selects no object, and the objects that the entry should select are
    // ignored.
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
    // The store drops repeated samples of one object. The exposition drops repeated samples of different objects.
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
