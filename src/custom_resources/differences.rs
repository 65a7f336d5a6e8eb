//! Families of one name that differ in help or type: each is worth a warning.
//!
//! Published files name the kind in the help text of a family that several kinds have. An
//! exposition has one help text and one type per family, so it shows only the first help text.

use std::collections::BTreeMap;

use super::compile::{Entry, MetricPlan};
use super::document::Reader;
use super::problem::ConfigProblem;
use crate::family::{FamilyDescriptor, MetricType};

/// Where an exposition takes the help text of a family from.
const FIRST_HELP: &str =
    "the exposition shows the help of the resource that comes first by its name";

/// Warns of families of one name that differ within the configuration, once per family.
pub(super) fn warn_of_differences(entries: &[Entry], reader: &mut Reader) {
    let mut families: BTreeMap<&str, Vec<(&Entry, &MetricPlan)>> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let is_replaced = entries.iter().skip(at + 1).any(|later| later.covers(entry));
        if is_replaced || entry.group == "*" {
            continue;
        }
        for metric in &entry.metrics {
            let family = families.entry(&metric.name).or_default();
            family.push((entry, metric));
        }
    }
    for (name, metrics) in families {
        let Some((_, first)) = metrics.first() else {
            continue;
        };
        let helps = distinct(&metrics, |metric| metric.help.as_str());
        if let Some(message) = lines(&helps).map(|lines| {
            format!("the help of the family `{name}` differs at lines {lines}; {FIRST_HELP}")
        }) {
            warn(reader, &helps, message);
        }
        let types = distinct(&metrics, |metric| metric.metric_type());
        let merged = (types.iter()).fold(first.metric_type(), |merged, (_, metric)| {
            merged.merged_with(metric.metric_type())
        });
        if let Some(message) = lines(&types).map(|lines| {
            let written = written_as(merged);
            format!("the type of the family `{name}` differs at lines {lines}; {written}")
        }) {
            warn(reader, &types, message);
        }
    }
}

/// The first metric with each value.
fn distinct<'a, T: PartialEq>(
    metrics: &[(&'a Entry, &'a MetricPlan)],
    value: impl Fn(&'a MetricPlan) -> T,
) -> Vec<(&'a Entry, &'a MetricPlan)> {
    let mut distinct: Vec<(&Entry, &MetricPlan)> = Vec::new();
    for (entry, metric) in metrics {
        if !distinct
            .iter()
            .any(|(_, other)| value(other) == value(metric))
        {
            distinct.push((entry, metric));
        }
    }
    distinct
}

/// The lines of metrics that differ; `None` if there is only one.
fn lines(metrics: &[(&Entry, &MetricPlan)]) -> Option<String> {
    let lines = metrics.iter().map(|(_, metric)| metric.line.to_string());
    let mut lines: Vec<_> = lines.collect();
    let last = lines.pop().filter(|_| !lines.is_empty())?;
    Some(format!("{} and {last}", lines.join(", ")))
}

/// Warns at the first metric that differs from the one before it.
fn warn(reader: &mut Reader, metrics: &[(&Entry, &MetricPlan)], message: String) {
    if let Some((entry, metric)) = metrics.get(1) {
        reader.resource = Some(entry.describe());
        reader.metric = Some(metric.name.clone());
        reader.warn(&metric.place, metric.line, message);
        (reader.resource, reader.metric) = (None, None);
    }
}

/// How formats write families of one name with different types.
fn written_as(merged: MetricType) -> &'static str {
    match merged {
        MetricType::Unknown => {
            "it is written as `untyped`, and as `unknown` in OpenMetrics, which a counter requires"
        }
        _ => "it is written as `gauge`",
    }
}

/// Warnings of families of a configuration that differ from the one of a resource in Rust with the
/// same name, once per difference.
pub(super) fn differences_from<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    resource: &str,
    family: &FamilyDescriptor,
) -> Vec<ConfigProblem> {
    let name = family.name();
    let metrics = entries.flat_map(|entry| {
        let metrics = entry.metrics.iter();
        metrics.map(move |metric| (entry, &**metric))
    });
    let metrics: Vec<_> = metrics.filter(|(_, metric)| metric.name == name).collect();
    let warning = |(entry, metric): &(&Entry, &MetricPlan), message: String| ConfigProblem {
        line: metric.line,
        path: metric.place.clone(),
        resource: Some(entry.describe()),
        metric: Some(metric.name.clone()),
        message,
    };
    let mut warnings = Vec::new();
    let other_help = |(_, metric): &&(&Entry, &MetricPlan)| metric.help != family.help();
    if let Some(other) = metrics.iter().find(other_help) {
        let message = format!("the family `{name}` of {resource} has another help; {FIRST_HELP}");
        warnings.push(warning(other, message));
    }
    let other_type =
        |(_, metric): &&(&Entry, &MetricPlan)| metric.metric_type() != family.metric_type();
    if let Some(other) = metrics.iter().find(other_type) {
        let written = written_as(family.metric_type().merged_with(other.1.metric_type()));
        let message = format!("the family `{name}` of {resource} has another type; {written}");
        warnings.push(warning(other, message));
    }
    warnings
}
