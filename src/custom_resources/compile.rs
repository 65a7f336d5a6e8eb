//! Checks a configuration document, and compiles its entries to metrics.
//!
//! In a configuration, a *resource* is an item of `spec.resources`, a *metric* is an item of the resource's `metrics`,
//! and the *block* of a metric is its map `gauge`, `stateSet` or `info`. A sample is created from an *element*, that is
//! a value which the metric's `path` finds in an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{Block, Labels, Metric, PathText, Reader, Resource};
use super::expr::{Expr, ExprLabels};
use super::kinds::KnownKind;
use super::labels::{LabelPaths, constant_name};
use super::path::Path;
use super::problem::shown;
use crate::family::MetricType;
use crate::k8s::{METRIC_NAME, is_valid_label_name, is_valid_metric_name};

/// The default prefix of metric names.
const PREFIX: &str = "kube_customresource";

/// The maximum length of a metric name, in bytes. The name of each metric contains the prefix that its resource sets.
/// Without a limit, many metrics with a long prefix would need much memory.
const LONGEST_NAME: usize = 1_000;

/// A compiled entry of `spec.resources`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) group: String,
    /// The API version of the selected kinds; empty if the entry selects every version.
    pub(crate) version: String,
    /// The selected kind; empty if the entry selects every kind.
    pub(crate) kind: String,
    pub(crate) common_labels: BTreeMap<String, String>,
    pub(super) inherited: Inherited,
    pub(crate) metrics: Vec<Arc<MetricPlan>>,
    /// The path of this entry in the document.
    pub(super) place: String,
    pub(super) line: usize,
    /// Whether the entry selects kinds. An entry whose group is `*` selects no kinds. An entry also selects no kinds if
    /// a later entry for the same kinds replaces it.
    pub(super) has_effect: bool,
}

/// The labels that a resource sets for all its metrics by paths (`labelsFromPath`). All metrics share one copy of these
/// labels in memory.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    pub(super) paths: Arc<LabelPaths>,
    /// The fields of an object that the paths of these labels read.
    pub(super) reads: Arc<BTreeSet<String>>,
}

/// A compiled metric.
#[derive(Debug)]
pub(crate) struct MetricPlan {
    /// The full name of the family.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The minimum log verbosity at which the exporter logs errors of the metric.
    pub(crate) error_level: i32,
    pub(crate) common_labels: BTreeMap<String, String>,
    /// The labels that the resource sets for all its metrics. If `base` has a label with the same key, the label in
    /// `base` takes precedence.
    pub(super) inherited: Inherited,
    /// The base labels that the metric sets. All samples of an object share them. The paths of these labels start at
    /// the root of the object.
    pub(super) base: Arc<LabelPaths>,
    pub(super) each: Each,
    pub(crate) place: String,
    pub(crate) line: usize,
}

/// How to create samples from the element that `path` finds.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) path: Path,
    pub(super) labels: LabelPaths,
    pub(super) kind: EachKind,
    /// The value of the setting `labelFromKey`; empty if the setting is absent.
    pub(super) label_from_key: String,
    /// The expression `forEach`, which replaces `path`. This setting does not exist in kube-state-metrics.
    pub(super) for_each: Option<Expr>,
    /// The expression `expr`, which replaces `valueFrom`. This setting does not exist in kube-state-metrics.
    pub(super) expr: Option<Expr>,
    pub(super) expr_labels: ExprLabels,
}

#[derive(Debug)]
pub(super) enum EachKind {
    Gauge {
        value_from: Path,
        /// The key, if `valueFrom` consists of one key; otherwise `None`.
        direct: Option<String>,
        nil_is_zero: bool,
    },
    StateSet {
        value_from: Path,
        label_name: String,
        list: Vec<String>,
    },
    Info,
}

impl MetricPlan {
    pub(super) fn metric_type(&self) -> MetricType {
        match self.each.kind {
            EachKind::Gauge { .. } => MetricType::Gauge,
            EachKind::StateSet { .. } => MetricType::StateSet,
            EachKind::Info => MetricType::Info,
        }
    }

    /// Returns the name of the label that contains the state. Returns `None` if the metric is not a state set, or if
    /// another label may sort after this label. The output sorts samples by their labels, so such a label could
    /// separate the samples of one element.
    pub(super) fn label_name(&self) -> Option<String> {
        let EachKind::StateSet { label_name, .. } = &self.each.kind else {
            return None;
        };
        let named = self.each.labels.fixed()?.iter().map(|own| &own.name);
        let mut others = named.chain(self.each.expr_labels.names());
        others
            .all(|other| other < label_name)
            .then(|| label_name.clone())
    }

    /// Whether the configuration may set a label with this name, which otherwise has the value of the resource.
    pub(super) fn may_replace(&self, label: &str) -> bool {
        let each = &self.each;
        let state = match &each.kind {
            EachKind::StateSet { label_name, .. } => Some(label_name.as_str()),
            EachKind::Gauge { .. } | EachKind::Info => None,
        };
        let mut paths = [&*self.inherited.paths, &*self.base, &each.labels].into_iter();
        paths.any(|paths| paths.may_set(label))
            || self.common_labels.contains_key(label)
            || each.expr_labels.names().any(|name| name == label)
            || each.label_from_key == label
            || state == Some(label)
    }

    /// Whether all objects have the same series, because no label takes its value from the object or from the element.
    pub(super) fn has_no_object_labels(&self) -> bool {
        let each = &self.each;
        self.inherited.paths.is_empty()
            && self.base.is_empty()
            && each.labels.is_empty()
            && each.expr_labels.is_empty()
            && each.label_from_key.is_empty()
    }
}

impl Entry {
    /// Describes in a message the kinds that the entry selects.
    pub(crate) fn describe(&self) -> String {
        describe(&self.group, &self.version, &self.kind)
    }
}

/// Compiles all entries, and adds problems and warnings to the reader.
pub(super) fn compile(resources: Vec<Resource>, reader: &mut Reader) -> Vec<Entry> {
    let mut entries = Vec::new();
    for resource in resources {
        let about = describe(&resource.group, &resource.version, &resource.kind);
        reader.resource = Some(about);
        entries.push(entry(resource, reader));
    }
    reader.resource = None;
    entries
}

fn describe(group: &str, version: &str, kind: &str) -> String {
    let star = |text| match text {
        "" => "*",
        text => text,
    };
    let [group, version, kind] = [group, version, kind].map(|text| shown(star(text)));
    format!("{group}/{version} {kind}")
}

fn entry(resource: Resource, reader: &mut Reader) -> Entry {
    if matches!(resource.group.as_str(), "*") {
        let place = format!("{}.groupVersionKind.group", resource.place);
        reader.warn(
            &place,
            resource.line,
            "the entry is skipped: the group cannot be a wildcard; name a group",
        );
    }
    let (version, kind) = (&resource.version, &resource.kind);
    if resource.group.is_empty() && !KnownKind::is_built_in("", version, kind) {
        let place = format!("{}.groupVersionKind.group", resource.place);
        let message = match version.is_empty() || kind.is_empty() {
            true => String::from(
                "the entry is skipped: an entry without a group must have the version and the kind of a \
                 built-in type",
            ),
            false => {
                format!(
                    "there is no built-in type {} {}; other types need a group",
                    shown(version),
                    shown(kind)
                )
            }
        };
        reader.warn(&place, resource.line, message);
    }
    constants(&resource.common_labels, reader);
    // A metric can replace a label of its resource. If all metrics replace the label, the label is never used. Its path
    // may then be invalid, as in kube-state-metrics.
    let is_used = |key: &str| {
        let mut metrics = resource.metrics.iter();
        resource.metrics.is_empty() || metrics.any(|own| !own.labels_from_path.contains_key(key))
    };
    let used = pairs(&resource.labels_from_path).filter(|(key, _)| is_used(key));
    let inherited = Inherited::new(label_paths(used, reader));
    let metrics = (resource.metrics.iter())
        .filter_map(|metric| {
            let name = &metric.name.text;
            reader.metric = Some(shown(name).into_owned()).filter(|name| !name.is_empty());
            let plan = plan(&resource, &inherited, metric, reader);
            reader.metric = None;
            plan.map(Arc::new)
        })
        .collect();
    Entry {
        group: resource.group,
        version: resource.version,
        kind: resource.kind,
        common_labels: values(&resource.common_labels),
        inherited,
        metrics,
        place: resource.place,
        line: resource.line,
        has_effect: true,
    }
}

fn plan(
    resource: &Resource,
    inherited: &Inherited,
    metric: &Metric,
    reader: &mut Reader,
) -> Option<MetricPlan> {
    let prefix = resource.prefix.as_deref().unwrap_or(PREFIX);
    if prefix.len() + metric.name.text.len() >= LONGEST_NAME {
        let place = format!("{}.name", metric.place);
        let message = format!("the name with its prefix is longer than {LONGEST_NAME} bytes");
        reader.problem(&place, metric.name.line.max(metric.line), message);
        return None;
    }
    let name = match prefix {
        "" => metric.name.text.clone(),
        prefix => format!("{prefix}_{}", metric.name.text),
    };
    if !is_valid_metric_name(&name) {
        let place = format!("{}.name", metric.place);
        let line = metric.name.line.max(metric.line);
        let message = format!(
            "`{name}` is not a metric name; use letters, digits, `_` and `:`; the first character must not be a digit"
        );
        reader.problem(&place, line, message);
    }
    constants(&metric.common_labels, reader);
    let base = label_paths(pairs(&metric.labels_from_path), reader);
    let each = each(metric, reader)?;
    if each.is_info() && !name.ends_with("_info") {
        let place = format!("{}.name", metric.place);
        let message = "the name of an info metric should end in `_info`";
        reader.warn(&place, metric.name.line.max(metric.line), message);
    }
    let level = match metric.error_level {
        0 => resource.error_level,
        level => level,
    };
    Some(MetricPlan {
        name,
        help: metric.help.clone(),
        error_level: level,
        common_labels: values(&metric.common_labels),
        inherited: inherited.clone(),
        base: Arc::new(base),
        each,
        place: metric.place.clone(),
        line: metric.line,
    })
}

impl Each {
    fn is_info(&self) -> bool {
        matches!(self.kind, EachKind::Info)
    }
}

fn each(metric: &Metric, reader: &mut Reader) -> Option<Each> {
    let place = format!("{}.each", metric.place);
    let (given, line) = match &metric.kind {
        Some(kind) => (kind.text.as_str(), kind.line),
        None => ("", metric.line),
    };
    let word = given.to_lowercase();
    let blocks = [
        ("gauge", &metric.gauge),
        ("stateSet", &metric.state_set),
        ("info", &metric.info),
    ];
    if let Some((key, block)) = blocks.iter().find(|(key, _)| key.to_lowercase() == word) {
        if let Some(block) = block {
            return Some(of_block(key, block, reader));
        }
        let message = format!("the type is {word}, but the block `{key}` is missing");
        reader.problem(&format!("{place}.{key}"), line, message);
    } else {
        let message = match given {
            "" => String::from("the type is missing; use Gauge, StateSet or Info"),
            _ => format!(
                "`{}` is not a type; use Gauge, StateSet or Info",
                shown(given)
            ),
        };
        reader.problem(&format!("{place}.type"), line, message);
    }
    // The metric is invalid here: either its type is invalid, or the block of its type is missing. The loop still
    // checks the other blocks, so that the user sees all problems together.
    for (key, block) in blocks {
        if let Some(block) = block {
            of_block(key, block, reader);
        }
    }
    None
}

fn of_block(key: &str, block: &Block, reader: &mut Reader) -> Each {
    let path = self::path(&block.path, reader);
    let labels = label_paths(pairs(&block.labels_from_path), reader);
    if !block.label_from_key.text.is_empty() {
        let own = format!("{}.labelFromKey", block.place);
        label_name(
            &block.label_from_key.text,
            &own,
            block.label_from_key.line,
            reader,
        );
    }
    let kind = each_kind(key, block, reader);
    let label_from_key = match key {
        "stateSet" => String::new(),
        _ => block.label_from_key.text.clone(),
    };
    let expr = |text: &Option<super::document::Constant>, reader: &mut Reader| {
        let text = text.as_ref().filter(|text| !text.value.is_empty())?;
        match reader.expressions.compile(&text.value) {
            Ok(expr) => Some(expr),
            Err(problem) => {
                reader.problem(&text.place, text.line, problem);
                None
            }
        }
    };
    let for_each = expr(&block.for_each, reader);
    let value = expr(&block.expr, reader);
    let mut expr_labels = ExprLabels::default();
    for (name, text) in &block.labels_from_expr {
        label_name(name, &text.place, text.line, reader);
        match reader.expressions.compile(&text.value) {
            Ok(expr) => expr_labels.push(name.clone(), expr),
            Err(problem) => reader.problem(&text.place, text.line, problem),
        }
    }
    let says = |text: &Option<super::document::Constant>| {
        text.as_ref().is_some_and(|text| !text.value.is_empty())
    };
    if says(&block.for_each) && !block.path.elements.is_empty() {
        let message = "`path` and `forEach` both select the elements; remove one";
        reader.problem(&block.path.place, block.path.line, message);
    }
    if says(&block.expr) && !block.value_from.elements.is_empty() {
        let message = "`valueFrom` and `expr` both set the value; remove one";
        reader.problem(&block.value_from.place, block.value_from.line, message);
    }
    Each {
        path,
        labels,
        kind,
        label_from_key,
        for_each,
        expr: value,
        expr_labels,
    }
}

fn each_kind(key: &str, block: &Block, reader: &mut Reader) -> EachKind {
    match key {
        "gauge" => EachKind::Gauge {
            value_from: path(&block.value_from, reader),
            direct: match block.value_from.elements.as_slice() {
                [only] if !only.text.is_empty() && !only.text.contains(',') => {
                    Some(only.text.clone())
                }
                _ => None,
            },
            nil_is_zero: block.nil_is_zero,
        },
        "stateSet" => {
            let own = format!("{}.labelName", block.place);
            if block.label_name.text.is_empty() {
                let message = "the name of the label with the state is missing; add labelName";
                reader.problem(&own, block.label_name.line.max(block.line), message);
            } else {
                label_name(&block.label_name.text, &own, block.label_name.line, reader);
            }
            EachKind::StateSet {
                value_from: path(&block.value_from, reader),
                label_name: block.label_name.text.clone(),
                list: block.list.iter().map(|state| state.text.clone()).collect(),
            }
        }
        _ => EachKind::Info,
    }
}

fn values(constants: &Labels<super::document::Constant>) -> BTreeMap<String, String> {
    let constants = constants.iter();
    constants
        .map(|(name, constant)| (name.clone(), constant.value.clone()))
        .collect()
}

fn constants(labels: &Labels<super::document::Constant>, reader: &mut Reader) {
    for (name, constant) in labels {
        label_name(name, &constant.place, constant.line, reader);
    }
}

fn label_name(name: &str, place: &str, line: usize, reader: &mut Reader) {
    if name == METRIC_NAME {
        let message =
            format!("`{name}` is reserved for the name of the metric; use another label name");
        reader.problem(place, line, message);
    } else if !is_valid_label_name(name) {
        let message = format!(
            "`{}` is not a label name; use letters, digits and `_`; the first character must not be a digit",
            shown(name)
        );
        reader.problem(place, line, message);
    }
}

fn path(text: &PathText, reader: &mut Reader) -> Path {
    let elements = text.elements.iter().map(|element| element.text.as_str());
    if let Ok(path) = Path::compile(elements) {
        return path;
    }
    for element in &text.elements {
        let written = element.text.as_str();
        if Path::compile([written]).is_err() {
            let message = format!(
                "`{}` is not valid: brackets must contain `key=value`; write an index without brackets",
                shown(written)
            );
            let place = format!("{}[{}]", text.place, element.at);
            reader.problem(&place, element.line, message);
        }
    }
    Path::default()
}

fn pairs(labels: &Labels<PathText>) -> impl Iterator<Item = (&str, &PathText)> {
    labels.iter().map(|(key, path)| (key.as_str(), path))
}

/// Compiles the labels of a map `labelsFromPath`. `labels` must be sorted by the keys of this map.
fn label_paths<'a>(
    labels: impl Iterator<Item = (&'a str, &'a PathText)>,
    reader: &mut Reader,
) -> LabelPaths {
    let mut compiled = LabelPaths::default();
    for (key, text) in labels {
        if let Some(name) = constant_name(key) {
            label_name(&name, &text.place, text.line, reader);
        }
        compiled.push(key, path(text, reader));
    }
    compiled
}
