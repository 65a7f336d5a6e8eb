//! Checking a configuration, and showing what it yields: the unit test for people who write YAML.

use serde_json::Value;

use super::config::Config;
use super::errors::FamilyErrors;
use super::kinds::KnownKind;
use super::problem::ConfigProblem;
use crate::exposition::{Format, Selection};
use crate::state_metrics::StateMetrics;

/// What there is to say about a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// What is wrong; nothing of the configuration would be in force.
    pub errors: Vec<ConfigProblem>,
    /// What is odd, such as unknown keys.
    pub warnings: Vec<ConfigProblem>,
    /// What the objects yield, where the configuration has no errors.
    pub exposition: String,
    /// Values that could not be read, per family.
    pub unread: Vec<FamilyErrors>,
    /// Objects that no entry of the configuration is about.
    pub ignored: usize,
}

impl CheckReport {
    /// Whether all is well; `strict` counts warnings as errors.
    #[must_use]
    pub fn is_ok(&self, strict: bool) -> bool {
        self.errors.is_empty() && (!strict || self.warnings.is_empty())
    }
}

/// Checks a configuration and evaluates it for objects, whose kinds are taken as the known ones.
///
/// Definitions of custom resources among the objects say more of their kinds.
///
/// ```
/// use kube_state_metrics::custom_resource_state::check;
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
    let mut report = CheckReport::default();
    let config = match Config::parse(config) {
        Ok(config) => config,
        Err(error) => {
            report.errors = error.problems().to_vec();
            return report;
        }
    };
    report.warnings = config.warnings().to_vec();
    let objects: Vec<_> = objects.into_iter().collect();
    let builder = StateMetrics::builder()
        .custom_resources(&config)
        .known_kinds(KnownKind::of_objects(&objects));
    let metrics = match builder.build() {
        Ok(metrics) => metrics,
        Err(error) => {
            report.errors = (error.problems().iter())
                .map(|problem| ConfigProblem {
                    line: 0,
                    path: String::new(),
                    resource: None,
                    metric: None,
                    message: problem.to_string(),
                })
                .collect();
            return report;
        }
    };
    let mut writers = metrics.object_writers();
    for object in &objects {
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let writer = writers.iter_mut().find(|writer| {
            let resource = writer.resource();
            resource.kind() == kind && resource.api_version() == api_version
        });
        match writer {
            // Objects of any shape decode, so nothing is lost here.
            Some(writer) => {
                report.ignored += usize::from(writer.apply(object.to_string().as_bytes()).is_err())
            }
            None => report.ignored += 1,
        }
    }
    report.exposition = metrics
        .exposition(Format::Text, Selection::default())
        .to_string();
    report.unread = metrics.custom_resource_errors();
    report
}
