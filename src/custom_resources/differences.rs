//! Warnings about entries and families that conflict with each other:
//!
//! - A later entry replaces an earlier entry.
//! - Families have the same name, but a different help or type.
//! - Families need the same name in OpenMetrics.
//!
//! An exposition has one help text and one type for each family, so it shows only one of several help texts. Different
//! help texts are not an error, because they occur in published configurations: several kinds have the same family, and
//! the help text of each kind contains the name of the kind.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use super::compile::{Entry, MetricPlan};
use super::document::Reader;
use super::kinds::KnownKind;
use super::problem::ConfigProblem;
use crate::family::{FamilyDescriptor, MetricType};

/// The end of a warning. It states which of the help texts the exposition shows.
const FIRST_HELP: &str =
    "the exposition shows the help text of the resource whose name sorts first";

/// A metric with its entry.
pub(super) type EntryMetric<'a> = (&'a Entry, &'a MetricPlan);

/// Marks the entries without effect, and warns about entries that a later entry replaces completely or for some kinds.
pub(super) fn mark_replaced(entries: &mut [Entry], reader: &mut Reader) {
    let mut later = LaterEntries::default();
    let mut replaced = Vec::new();
    for (at, entry) in entries.iter().enumerate().rev() {
        replaced.push((later.covering(entry), later.overlapping(entry)));
        later.add(entry, at);
    }
    for at in 0..entries.len() {
        let (covering, overlapping) = replaced.pop().unwrap_or_default();
        let place = |at: usize| entries.get(at).map_or("", |other| other.place.as_str());
        let message = match (covering, overlapping) {
            (Some(other), _) => Some(format!(
                "has no effect: {} selects the same types and replaces this entry; list all metrics in one entry",
                place(other)
            )),
            (None, Some(other)) => Some(format!(
                "{} selects some of the same types and replaces this entry for these types; list all metrics of a \
                 type in one entry",
                place(other)
            )),
            (None, None) => None,
        };
        let Some(entry) = entries.get_mut(at) else {
            continue;
        };
        entry.has_effect = covering.is_none() && entry.group != "*";
        if let Some(message) = message {
            reader.resource = Some(entry.describe());
            reader.warn(&entry.place, entry.line, message);
            reader.resource = None;
        }
    }
}

/// The entries after an entry. Its indexes find the first later entry with a given selection of kinds.
///
/// Without these indexes, each entry would be compared with all later entries, in quadratic time.
#[derive(Default)]
struct LaterEntries {
    /// The positions by group, version and kind. The version is empty if the entry selects all versions. The kind is
    /// empty if it selects all kinds.
    exact: HashMap<(String, String, String), usize>,
    /// The positions by group and version, whatever the kind is.
    versions: HashMap<(String, String), usize>,
    /// The positions by group and kind, whatever the version is.
    kinds: HashMap<(String, String), usize>,
    groups: HashMap<String, usize>,
}

// === impl LaterEntries ===

impl LaterEntries {
    /// Adds an entry. The caller adds the entries from the last to the first, so an earlier entry replaces a later one
    /// in the indexes.
    fn add(&mut self, entry: &Entry, at: usize) {
        let Entry {
            group,
            version,
            kind,
            ..
        } = entry;
        let exact = (group.clone(), version.clone(), kind.clone());
        self.exact.insert(exact, at);
        if is_built_in(entry) {
            return;
        }
        self.versions.insert((group.clone(), version.clone()), at);
        self.kinds.insert((group.clone(), kind.clone()), at);
        self.groups.insert(group.clone(), at);
    }

    /// Returns the position of the first later entry that selects all kinds of `entry`.
    fn covering(&self, entry: &Entry) -> Option<usize> {
        if is_built_in(entry) {
            return self.exact(entry, &entry.version, &entry.kind);
        }
        let pairs = [entry.version.as_str(), ""]
            .into_iter()
            .flat_map(|version| [(version, entry.kind.as_str()), (version, "")]);
        pairs
            .filter_map(|(version, kind)| self.exact(entry, version, kind))
            .min()
    }

    /// Returns the position of the first later entry that selects at least one kind of `entry`.
    fn overlapping(&self, entry: &Entry) -> Option<usize> {
        let (group, version, kind) = (&entry.group, &entry.version, &entry.kind);
        let both = |text: &str| {
            [
                (group.clone(), text.to_owned()),
                (group.clone(), String::new()),
            ]
        };
        let first_of = |index: &HashMap<(String, String), usize>, keys: [(String, String); 2]| {
            keys.iter().filter_map(|key| index.get(key).copied()).min()
        };
        match (version.is_empty(), kind.is_empty()) {
            (true, true) => self.groups.get(group).copied(),
            (true, false) => first_of(&self.kinds, both(kind)),
            (false, true) => first_of(&self.versions, both(version)),
            (false, false) => self.covering(entry),
        }
    }

    fn exact(&self, entry: &Entry, version: &str, kind: &str) -> Option<usize> {
        let key = (entry.group.clone(), version.to_owned(), kind.to_owned());
        self.exact.get(&key).copied()
    }
}

/// Whether an entry selects a built-in kind. Only an entry with the exact group, version and kind selects such a kind.
/// So entries with wildcards have no types in common with this entry.
fn is_built_in(entry: &Entry) -> bool {
    KnownKind::is_built_in(&entry.group, &entry.version, &entry.kind)
}

/// Returns the metrics that can have samples.
pub(super) fn effective_metrics(entries: &[Entry]) -> impl Iterator<Item = EntryMetric<'_>> {
    let entries = entries.iter().filter(|entry| entry.has_effect);
    entries.flat_map(|entry| {
        let metrics = entry.metrics.iter();
        metrics.map(move |metric| (entry, &**metric))
    })
}

/// Creates a problem that states the line, the path and the name of a metric.
pub(super) fn metric_problem(
    (entry, metric): &EntryMetric<'_>,
    message: impl Into<String>,
) -> ConfigProblem {
    ConfigProblem {
        line: metric.line,
        path: metric.place.clone(),
        resource: Some(entry.describe()),
        metric: Some(metric.name.clone()),
        message: message.into(),
        count: 1,
    }
}

/// Warns if families with the same name have a different help or type. There is one warning for each name.
pub(super) fn warn_of_differences(entries: &[Entry], reader: &mut Reader) {
    let mut families: BTreeMap<&str, Vec<EntryMetric<'_>>> = BTreeMap::new();
    for (entry, metric) in effective_metrics(entries) {
        let family = families.entry(&metric.name).or_default();
        family.push((entry, metric));
    }
    for (name, metrics) in families {
        let Some((first_entry, first)) = metrics.first() else {
            continue;
        };
        let is_of_one_entry = (metrics.iter()).all(|(entry, _)| entry.place == first_entry.place);
        let helps = distinct(&metrics, |metric| metric.help.as_str());
        if let Some(message) = lines(&helps).map(|lines| {
            let shown = match is_of_one_entry {
                true => format!("the exposition shows the help of line {}", first.line),
                false => FIRST_HELP.to_owned(),
            };
            format!("the help of the family `{name}` differs at lines {lines}; {shown}")
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

/// Returns the first metric for each distinct result of `value`.
fn distinct<'a, T: Eq + Hash>(
    metrics: &[EntryMetric<'a>],
    value: impl Fn(&'a MetricPlan) -> T,
) -> Vec<EntryMetric<'a>> {
    let mut values = HashSet::new();
    let distinct = metrics
        .iter()
        .filter(|(_, metric)| values.insert(value(metric)));
    distinct.copied().collect()
}

/// Lists the lines of several metrics, such as `3, 5 and 9`; `None` if there is only one metric.
fn lines(metrics: &[EntryMetric<'_>]) -> Option<String> {
    let lines = metrics.iter().map(|(_, metric)| metric.line.to_string());
    let mut lines: Vec<_> = lines.collect();
    let last = lines.pop().filter(|_| !lines.is_empty())?;
    Some(format!("{} and {last}", lines.join(", ")))
}

/// Adds a warning at the position of `metrics[1]`, which is the first metric that differs from `metrics[0]`.
fn warn(reader: &mut Reader, metrics: &[EntryMetric<'_>], message: String) {
    if let Some((entry, metric)) = metrics.get(1) {
        reader.resource = Some(entry.describe());
        reader.metric = Some(metric.name.clone());
        reader.warn(&metric.place, metric.line, message);
        (reader.resource, reader.metric) = (None, None);
    }
}

/// Describes the type that the exposition shows for families with the same name but different types.
fn written_as(merged: MetricType) -> &'static str {
    match merged {
        MetricType::Unknown => {
            "it is written as `untyped`, and as `unknown` in OpenMetrics, because one of the types is \
             a counter"
        }
        _ => "it is written as `gauge`",
    }
}

/// Compares the configured families with one Rust family. Returns warnings about these configured families:
///
/// - the first family with the same name but another help text;
/// - the first family with the same name but another type;
/// - each family that needs the OpenMetrics name of the Rust family.
pub(super) fn differences_from(
    entries: &[Entry],
    resource: &str,
    family: &FamilyDescriptor,
    is_included: impl Fn(&str) -> bool,
) -> Vec<ConfigProblem> {
    let name = family.name();
    let (same_name, others): (Vec<_>, Vec<_>) =
        effective_metrics(entries).partition(|(_, metric)| metric.name == name);
    let mut warnings = Vec::new();
    let mut warn = |other: &EntryMetric<'_>, message: String| {
        warnings.push(metric_problem(other, message));
    };
    if is_included(name) {
        let other_help = |(_, metric): &&EntryMetric<'_>| metric.help != family.help();
        if let Some(other) = same_name.iter().find(other_help) {
            let message = format!(
                "the family `{name}` of {resource} has a different help text; {FIRST_HELP}"
            );
            warn(other, message);
        }
        let other_type =
            |(_, metric): &&EntryMetric<'_>| metric.metric_type() != family.metric_type();
        if let Some(other) = same_name.iter().find(other_type) {
            let written = written_as(family.metric_type().merged_with(other.1.metric_type()));
            let message =
                format!("the family `{name}` of {resource} has a different type; {written}");
            warn(other, message);
        }
    }
    let mut names = HashSet::new();
    for other in &others {
        let (_, metric) = other;
        if let Some(message) = lost_header_name(metric, resource, family)
            && is_included(&metric.name)
            && names.insert(&metric.name)
        {
            warn(other, message);
        }
    }
    warnings
}

/// Describes which of two families loses its OpenMetrics name, if both need the same name.
fn lost_header_name(
    metric: &MetricPlan,
    resource: &str,
    family: &FamilyDescriptor,
) -> Option<String> {
    let (name, in_rust) = (&metric.name, family.name());
    let names_in_rust = family.metric_type().header_names(in_rust);
    if names_in_rust.contains(name) {
        let weaker_type = match family.metric_type() {
            MetricType::Counter => "unknown",
            _ => "gauge",
        };
        return Some(format!(
            "the family `{in_rust}` of {resource} needs the name `{name}` in OpenMetrics; without this \
             name, the type of `{in_rust}` in OpenMetrics is `{weaker_type}`; rename the family `{name}`"
        ));
    }
    let names = metric.metric_type().header_names(name);
    let lost = (names.iter()).find(|lost| *lost == in_rust || names_in_rust.contains(lost))?;
    Some(format!(
        "the family `{in_rust}` of {resource} has the name `{lost}` in OpenMetrics, so `{name}` has \
         the type `gauge` there; rename `{name}`"
    ))
}
