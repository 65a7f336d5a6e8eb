//! The content of a configuration document before the compilation.
//!
//! The `place` of a part is its path in the document, such as `spec.resources[0].metrics[1]`.

use std::collections::BTreeMap;

use super::expr::Budget;
use super::problem::{ConfigProblem, Problems, shown};
use crate::yaml::{MapProblem, Merges, Node, Value, entries, first_document};

/// A string and its line.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) line: usize,
    /// The index of the string in the list that contains it.
    pub(super) at: usize,
}

/// A path to a field of an object, and the position of this path in the document.
#[derive(Clone, Debug, Default)]
pub(super) struct PathText {
    pub(super) elements: Vec<Text>,
    pub(super) place: String,
    pub(super) line: usize,
}

/// For each label name, the source of the label value: a path, a constant or an expression.
pub(super) type Labels<T> = BTreeMap<String, T>;

/// The value of a constant label, and the position of this value in the document.
#[derive(Clone, Debug, Default)]
pub(super) struct Constant {
    pub(super) value: String,
    pub(super) place: String,
    pub(super) line: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub(super) group: String,
    /// The API version of the selected kinds; empty if the entry selects every version.
    pub(super) version: String,
    /// The selected kind; empty if the entry selects every kind.
    pub(super) kind: String,
    pub(super) prefix: Option<String>,
    pub(super) common_labels: Labels<Constant>,
    pub(super) labels_from_path: Labels<PathText>,
    pub(super) error_level: i32,
    pub(super) metrics: Vec<Metric>,
    pub(super) place: String,
    pub(super) line: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Metric {
    pub(super) name: Text,
    pub(super) help: String,
    pub(super) common_labels: Labels<Constant>,
    pub(super) labels_from_path: Labels<PathText>,
    pub(super) error_level: i32,
    pub(super) kind: Option<Text>,
    pub(super) gauge: Option<Block>,
    pub(super) state_set: Option<Block>,
    pub(super) info: Option<Block>,
    pub(super) place: String,
    pub(super) line: usize,
}

/// The fields that can occur in metrics of any type. Each type uses only some of these fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) path: PathText,
    pub(super) labels_from_path: Labels<PathText>,
    pub(super) value_from: PathText,
    pub(super) label_from_key: Text,
    pub(super) label_name: Text,
    pub(super) list: Vec<Text>,
    pub(super) nil_is_zero: bool,
    pub(super) for_each: Option<Constant>,
    pub(super) expr: Option<Constant>,
    pub(super) labels_from_expr: Labels<Constant>,
    pub(super) place: String,
    pub(super) line: usize,
}

/// Reads the nodes of a document, and collects their problems.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Problems,
    pub(super) warnings: Problems,
    pub(super) resource: Option<String>,
    pub(super) metric: Option<String>,
    merges: Merges,
    /// See [`Config::parts_without_value`](super::config::Config::parts_without_value).
    pub(super) without_value: Problems,
    /// The size that the remaining expressions may have.
    pub(super) expressions: Budget,
    /// The number of metrics that were read.
    metrics: usize,
    /// How much larger the total size of the values may still become. A limit on this size is necessary because YAML
    /// aliases can make a document much larger than its text.
    room: usize,
}

/// Each value counts as this size plus the length of its text. A document without aliases has fewer values than bytes,
/// so it never exceeds the limit.
const VALUE_SIZE: usize = 16;
/// The limit on the size of values grows with the length of the document. This constant is added to the limit, so that
/// small documents may use aliases.
const FREE_SIZE: usize = 4 << 20;

/// The maximum number of metrics of a configuration, and also the maximum number of families that all its kinds have
/// together. Each family of each kind needs about 1 KiB of memory, even without objects.
pub(super) const MAX_FAMILIES: usize = 100_000;

/// One entry of a map: the key and the value.
struct Entry<'n> {
    key: String,
    line: usize,
    value: &'n Node,
}

impl Reader {
    pub(super) fn problem(&mut self, place: &str, line: usize, message: impl Into<String>) {
        let (resource, metric) = (&self.resource, &self.metric);
        let problem = || note(place, line, message.into(), (resource, metric));
        self.problems.add(problem);
    }

    pub(super) fn warn(&mut self, place: &str, line: usize, message: impl Into<String>) {
        let (resource, metric) = (&self.resource, &self.metric);
        let warning = || note(place, line, message.into(), (resource, metric));
        self.warnings.add(warning);
    }

    pub(super) fn document(&mut self, text: &str) -> Vec<Resource> {
        self.room = (text.len().saturating_mul(VALUE_SIZE + 1)).saturating_add(FREE_SIZE);
        let document = first_document(text);
        if let Some(line) = document.as_ref().ok().and_then(|own| own.later) {
            let ignored = "a second YAML document begins after `---` and is ignored, as in kube-state-metrics; move its \
                           content into the first document, or remove it";
            self.warn("", line, ignored);
        }
        let root = match document.map(|own| own.root) {
            Ok(Some(root)) => root,
            Ok(None) => {
                self.problem("", 0, "the configuration is empty; add `spec.resources`");
                return Vec::new();
            }
            Err(error) => {
                self.problem("", error.line, error.problem);
                return Vec::new();
            }
        };
        if root.is_null() {
            self.without_value("", root.line, "the configuration");
        }
        let mut resources = Vec::new();
        if root.get("spec").is_none() && matches!(root.value, Value::Map(_)) {
            self.missing(
                "",
                root.line,
                "there is no `spec`, so nothing is configured",
            );
        }
        for entry in self.map(&root, "") {
            match entry.key.as_str() {
                "spec" if entry.value.is_null() => {
                    self.without_value("spec", entry.line, "`spec`");
                }
                "spec" => {
                    if entry.value.get("resources").is_none()
                        && matches!(entry.value.value, Value::Map(_))
                    {
                        let message = "there is no `resources`, so nothing is configured";
                        self.missing("spec", entry.line, message);
                    }
                    for entry in self.map(entry.value, "spec") {
                        match entry.key.as_str() {
                            "resources" if entry.value.is_null() => {
                                self.without_value("spec.resources", entry.line, "`resources`");
                            }
                            "resources" => resources = self.resources(entry.value),
                            _ => self.unknown("spec", &entry),
                        }
                    }
                }
                "kind" | "apiVersion" => {}
                _ => self.unknown("", &entry),
            }
        }
        resources
    }

    fn resources(&mut self, node: &Node) -> Vec<Resource> {
        let place = "spec.resources";
        let mut resources = Vec::new();
        for (at, item) in self.list(node, place) {
            self.resource = Some(describe(item));
            resources.push(self.resource(item, format!("{place}[{at}]")));
            self.resource = None;
        }
        resources
    }

    fn resource(&mut self, node: &Node, place: String) -> Resource {
        let mut resource = Resource {
            line: node.line,
            ..Resource::default()
        };
        for entry in self.map(node, &place) {
            let own = format!("{place}.{}", entry.key);
            match entry.key.as_str() {
                "groupVersionKind" => {
                    for entry in self.map(entry.value, &own) {
                        let field = match entry.key.as_str() {
                            "group" => &mut resource.group,
                            "version" => &mut resource.version,
                            "kind" => &mut resource.kind,
                            _ => {
                                self.unknown(&own, &entry);
                                continue;
                            }
                        };
                        *field = self.text(entry.value, &format!("{own}.{}", entry.key)).text;
                    }
                }
                "resourcePlural" => {
                    let plural = self.text(entry.value, &own);
                    if !plural.text.is_empty() {
                        let message =
                            "has no effect: the CustomResourceDefinition determines the plural";
                        self.warn(&own, entry.line, message);
                    }
                }
                "metricNamePrefix" => {
                    let prefix = self.text(entry.value, &own);
                    resource.prefix = (!entry.value.is_null()).then_some(prefix.text);
                }
                "commonLabels" => resource.common_labels = self.constants(entry.value, &own),
                "labelsFromPath" => resource.labels_from_path = self.paths(entry.value, &own),
                "errorLogV" => resource.error_level = self.integer(entry.value, &own),
                "metrics" if entry.value.is_null() => {
                    self.without_value(&own, entry.line, "`metrics`");
                }
                "metrics" => {
                    for (at, item) in self.list(entry.value, &own) {
                        if !self.has_room_for_metric(item) {
                            break;
                        }
                        let metric = self.metric(item, format!("{own}[{at}]"));
                        resource.metrics.push(metric);
                        self.metric = None;
                    }
                }
                _ => self.unknown(&place, &entry),
            }
        }
        if resource.version == "*" {
            resource.version.clear();
        }
        if resource.kind == "*" {
            resource.kind.clear();
        }
        resource.place = place;
        resource
    }

    fn metric(&mut self, node: &Node, place: String) -> Metric {
        let name = node.get("name").and_then(|name| name.text());
        let name = name.filter(|name| !name.is_empty());
        self.metric = name.map(|name| shown(&name).into_owned());
        let mut metric = Metric {
            line: node.line,
            ..Metric::default()
        };
        for entry in self.map(node, &place) {
            let own = format!("{place}.{}", entry.key);
            match entry.key.as_str() {
                "name" => metric.name = self.text(entry.value, &own),
                "help" => metric.help = self.text(entry.value, &own).text,
                "commonLabels" => metric.common_labels = self.constants(entry.value, &own),
                "labelsFromPath" => metric.labels_from_path = self.paths(entry.value, &own),
                "errorLogV" => metric.error_level = self.integer(entry.value, &own),
                "each" => {
                    for entry in self.map(entry.value, &own) {
                        let field = format!("{own}.{}", entry.key);
                        match entry.key.as_str() {
                            "type" => metric.kind = Some(self.text(entry.value, &field)),
                            "gauge" => metric.gauge = self.block(entry.value, field, GAUGE),
                            "stateSet" => {
                                metric.state_set = self.block(entry.value, field, STATE_SET);
                            }
                            "info" => metric.info = self.block(entry.value, field, INFO),
                            _ => self.unknown(&own, &entry),
                        }
                    }
                }
                _ => self.unknown(&place, &entry),
            }
        }
        metric.place = place;
        metric
    }

    fn block(&mut self, node: &Node, place: String, fields: &[&str]) -> Option<Block> {
        if node.is_null() {
            return None;
        }
        let mut block = Block {
            line: node.line,
            ..Block::default()
        };
        for entry in self.map(node, &place) {
            if !fields.contains(&entry.key.as_str()) {
                self.unknown(&place, &entry);
                continue;
            }
            let own = format!("{place}.{}", entry.key);
            match entry.key.as_str() {
                "path" => block.path = self.path(entry.value, own),
                "valueFrom" => block.value_from = self.path(entry.value, own),
                "labelsFromPath" => block.labels_from_path = self.paths(entry.value, &own),
                "labelFromKey" => block.label_from_key = self.text(entry.value, &own),
                "labelName" => block.label_name = self.text(entry.value, &own),
                "list" => {
                    block.list = self.path(entry.value, own).elements;
                }
                "nilIsZero" => block.nil_is_zero = self.flag(entry.value, &own),
                "forEach" => block.for_each = Some(self.constant(entry.value, own)),
                "expr" => block.expr = Some(self.constant(entry.value, own)),
                "labelsFromExpr" => block.labels_from_expr = self.constants(entry.value, &own),
                _ => {}
            }
        }
        block.place = place;
        Some(block)
    }

    fn unknown(&mut self, place: &str, entry: &Entry<'_>) {
        let separator = if place.is_empty() { "" } else { "." };
        let place = format!("{place}{separator}{}", shown(&entry.key));
        self.warn(&place, entry.line, "unknown key; it is ignored");
    }

    /// Warns that this part of the document has no value. This is only a warning, because kube-state-metrics accepts
    /// such a configuration.
    fn without_value(&mut self, place: &str, line: usize, part: &str) {
        let message = format!("{part} has no value, so no metrics are configured");
        self.missing(place, line, message);
    }

    /// Adds a warning about a part of the document that is missing or has no value. The warning is also added to
    /// `without_value`.
    fn missing(&mut self, place: &str, line: usize, message: impl Into<String>) {
        let (resource, metric) = (&self.resource, &self.metric);
        let warning = note(place, line, message.into(), (resource, metric));
        self.without_value.add(|| warning.clone());
        self.warnings.add(|| warning);
    }

    /// Counts a metric. If there are too many metrics, returns `false`, and adds one problem, at the first metric above
    /// the limit.
    fn has_room_for_metric(&mut self, node: &Node) -> bool {
        self.metrics += 1;
        if self.metrics == MAX_FAMILIES + 1 {
            // The problem is an error of the whole document, not of one resource, because all later metrics of the
            // document are missing.
            let resource = self.resource.take();
            let message = format!(
                "the configuration has more than {MAX_FAMILIES} metrics; remove metrics, or distribute the resources \
                 among the configurations of several exporters"
            );
            self.problem("", node.line, message);
            self.resource = resource;
        }
        self.metrics <= MAX_FAMILIES
    }

    fn wrong_kind(&mut self, node: &Node, place: &str, expected: &str) {
        let message = format!("expected {expected}, found {}", node.kind());
        self.problem(place, node.line, message);
    }

    /// Returns the entries of a map, and the entries of maps that the YAML key `<<` merges into it. If the node is
    /// `null`, there are no entries.
    fn map<'n>(&mut self, node: &'n Node, place: &str) -> Vec<Entry<'n>> {
        let Value::Map(pairs) = &node.value else {
            if !node.is_null() {
                self.wrong_kind(node, place, "a map");
            }
            return Vec::new();
        };
        let mut merges = std::mem::take(&mut self.merges);
        let entries = entries(
            pairs,
            &Node::text,
            &mut merges,
            &mut |node, problem| match problem {
                MapProblem::Key => self.wrong_kind(node, place, "a string as key"),
                MapProblem::Merge => {
                    self.wrong_kind(node, place, "a map, or a list of maps, to merge");
                }
                // After the limit on merges is reached, all later merges are missing. So this problem is an error of
                // the whole document.
                problem @ MapProblem::TooManyMerges => {
                    self.problem("", node.line, problem.to_string());
                }
                problem => self.problem(place, node.line, problem.to_string()),
            },
        );
        self.merges = merges;
        let keys: usize = entries.iter().map(|entry| entry.key.len()).sum();
        if !self.has_room_for(entries.len() * VALUE_SIZE + keys, node) {
            return Vec::new();
        }
        let entries = entries.into_iter().map(|entry| Entry {
            key: entry.key.into_owned(),
            line: entry.line,
            value: entry.value,
        });
        entries.collect()
    }

    /// Subtracts `size` from `room`. Returns `false` if `room` is then 0. When this happens for the first time, adds a
    /// problem.
    fn has_room_for(&mut self, size: usize, node: &Node) -> bool {
        let had_room = self.room > 0;
        self.room = self.room.saturating_sub(size);
        if had_room && self.room == 0 {
            // From now on, all values are missing. So this problem is an error of the whole document.
            let message = "aliases make the configuration much larger than its text; use fewer aliases. To set \
                 labels for all metrics of a resource, use `labelsFromPath` and `commonLabels` of the resource";
            self.problem("", node.line, message);
        }
        self.room > 0
    }

    /// Returns the items of a list with their indexes. Skips items that are `null`.
    fn list<'n>(&mut self, node: &'n Node, place: &str) -> Vec<(usize, &'n Node)> {
        match &node.value {
            Value::List(items) => {
                if !self.has_room_for(items.len() * VALUE_SIZE, node) {
                    return Vec::new();
                }
                let items = items.iter().map(|item| &**item).enumerate();
                items.filter(|(_, item)| !item.is_null()).collect()
            }
            _ if node.is_null() => Vec::new(),
            _ => {
                self.wrong_kind(node, place, "a list");
                Vec::new()
            }
        }
    }

    fn text(&mut self, node: &Node, place: &str) -> Text {
        let line = node.line;
        match node.text() {
            Some(text) if !self.has_room_for(text.len(), node) => Text::default(),
            Some(text) => Text {
                text: text.into_owned(),
                line,
                at: 0,
            },
            None => {
                self.wrong_kind(node, place, "a string");
                Text::default()
            }
        }
    }

    fn constant(&mut self, node: &Node, place: String) -> Constant {
        let Text { text, line, .. } = self.text(node, &place);
        Constant {
            value: text,
            place,
            line,
        }
    }

    fn path(&mut self, node: &Node, place: String) -> PathText {
        let items = self.list(node, &place);
        let elements = items.into_iter().map(|(at, item)| {
            let text = self.text(item, &format!("{place}[{at}]"));
            Text { at, ..text }
        });
        PathText {
            elements: elements.collect(),
            line: node.line,
            place,
        }
    }

    fn constants(&mut self, node: &Node, place: &str) -> Labels<Constant> {
        let entries = self.map(node, place);
        let constants = entries.into_iter().map(|entry| {
            let own = format!("{place}.{}", shown(&entry.key));
            (entry.key, self.constant(entry.value, own))
        });
        constants.collect()
    }

    fn paths(&mut self, node: &Node, place: &str) -> Labels<PathText> {
        let entries = self.map(node, place);
        let paths = entries.into_iter().map(|entry| {
            let own = format!("{place}.{}", shown(&entry.key));
            (entry.key, self.path(entry.value, own))
        });
        paths.collect()
    }

    fn flag(&mut self, node: &Node, place: &str) -> bool {
        match &node.value {
            _ if node.is_null() => false,
            Value::Scalar(scalar) if scalar.flag().is_some() => scalar.flag().unwrap_or_default(),
            _ => {
                self.wrong_kind(node, place, "true or false");
                false
            }
        }
    }

    fn integer(&mut self, node: &Node, place: &str) -> i32 {
        match &node.value {
            _ if node.is_null() => 0,
            Value::Scalar(scalar) if scalar.integer().is_some() => {
                scalar.integer().unwrap_or_default()
            }
            _ => {
                self.wrong_kind(node, place, "an integer of 32 bits");
                0
            }
        }
    }
}

/// Creates a problem of a part of the document. `names` are the names of the resource and of the metric.
fn note(
    place: &str,
    line: usize,
    message: String,
    (resource, metric): (&Option<String>, &Option<String>),
) -> ConfigProblem {
    ConfigProblem {
        line,
        path: place.to_owned(),
        resource: resource.clone(),
        metric: metric.clone(),
        message,
        count: 1,
    }
}

const GAUGE: &[&str] = &[
    "path",
    "labelsFromPath",
    "labelFromKey",
    "valueFrom",
    "nilIsZero",
    "forEach",
    "expr",
    "labelsFromExpr",
];
const STATE_SET: &[&str] = &[
    "path",
    "labelsFromPath",
    "labelName",
    "list",
    "valueFrom",
    "forEach",
    "expr",
    "labelsFromExpr",
];
const INFO: &[&str] = &[
    "path",
    "labelsFromPath",
    "labelFromKey",
    "forEach",
    "labelsFromExpr",
];

/// Describes the group, version and kind that an entry selects. If one of them cannot be read, `*` replaces it.
fn describe(node: &Node) -> String {
    let field = |name: &str| {
        let text = node
            .get("groupVersionKind")
            .and_then(|gvk| gvk.get(name))
            .and_then(|field| field.text())
            .unwrap_or_default();
        if text.is_empty() {
            String::from("*")
        } else {
            shown(&text).into_owned()
        }
    };
    format!("{}/{} {}", field("group"), field("version"), field("kind"))
}
