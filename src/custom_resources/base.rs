//! The base labels, which all samples of an object share. They are written once per object and family.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::labels::{LabelPath, LabelPaths, LabelSet, text};
use crate::k8s::write_label_value;

/// The sources of the base labels of one metric. All metrics of a resource share one copy of the labels that the
/// resource sets. With separate copies, the memory would grow with the number of labels times the number of metrics.
///
/// A path takes precedence over a constant. A label of the metric takes precedence over the same label of its resource.
#[derive(Debug)]
pub(super) struct Base {
    resource: Arc<BaseLayer>,
    metric: BaseLayer,
}

/// The sources of the base labels that a resource, or one of its metrics, sets.
#[derive(Debug)]
pub(super) struct BaseLayer {
    paths: Arc<LabelPaths>,
    /// The labels, sorted by name; `None` if the name of a label depends on the object.
    fixed: Option<Vec<Fixed>>,
    constants: BTreeMap<String, String>,
}

/// A label whose name does not depend on the object.
#[derive(Debug)]
struct Fixed {
    name: String,
    /// Indexes of the paths for this label. The last path that finds a value sets the label.
    paths: Vec<usize>,
    /// The rendered label with its constant value, if a constant sets the label.
    constant: Option<Vec<u8>>,
}

/// The base labels of an object, sorted by name and escaped.
#[derive(Debug, Default)]
pub(super) struct Prepared<'v> {
    text: Vec<u8>,
    /// The names of the labels, and for each label the offset at which its text ends.
    ends: Vec<(Cow<'v, str>, usize)>,
    /// Whether a label was left out because there were too many labels.
    is_cut: bool,
}

// === impl Base ===

impl Base {
    pub(super) fn new(resource: Arc<BaseLayer>, metric: BaseLayer) -> Self {
        Self { resource, metric }
    }

    /// Writes the labels of an object. If the name of a label depends on the object, writes at most `max_labels`
    /// labels.
    pub(super) fn prepare<'v>(&'v self, root: &'v Value, max_labels: usize) -> Prepared<'v> {
        match (&self.resource.fixed, &self.metric.fixed) {
            (Some(inherited), Some(own)) => self.prepare_fixed(inherited, own, root),
            _ => self.prepare_variable(root, max_labels),
        }
    }

    fn prepare_fixed<'v>(
        &'v self,
        inherited: &'v [Fixed],
        own: &'v [Fixed],
        root: &'v Value,
    ) -> Prepared<'v> {
        let mut prepared = Prepared::default();
        let (mut inherited, mut own) = (inherited.iter().peekable(), own.iter().peekable());
        loop {
            let order = match (inherited.peek(), own.peek()) {
                (Some(inherited), Some(own)) => inherited.name.cmp(&own.name),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let inherited = inherited.next_if(|_| order.is_le());
            let own = own.next_if(|_| order.is_ge());
            let Some(name) = own.or(inherited).map(|label| label.name.as_str()) else {
                return prepared;
            };
            let value = own
                .and_then(|own| self.metric.find(own, root, |_| true))
                .or_else(|| {
                    // If the metric has the same key as the resource, both keys have the same label name, so `own`
                    // exists.
                    let is_used = |key: &str| own.is_none() || !self.metric.paths.has_key(key);
                    self.resource.find(inherited?, root, is_used)
                });
            let constant = |label: Option<&'v Fixed>| label?.constant.as_deref();
            match (value, constant(own).or_else(|| constant(inherited))) {
                (Some(value), _) => write(&mut prepared.text, name, &text(value)),
                (None, Some(constant)) => prepared.text.extend_from_slice(constant),
                (None, None) => continue,
            }
            prepared.end(Cow::Borrowed(name));
        }
    }

    fn prepare_variable<'v>(&'v self, root: &'v Value, max_labels: usize) -> Prepared<'v> {
        let (inherited, own) = (&self.resource.paths, &self.metric.paths);
        let is_inherited = |key: &str| !own.has_key(key);
        let mut labels = LabelSet::new(max_labels);
        inherited.fill_stars(root, &mut labels, is_inherited);
        own.fill_stars(root, &mut labels, |_| true);
        inherited.fill_named(root, &mut labels, is_inherited);
        own.fill_named(root, &mut labels, |_| true);
        for (name, value) in self.metric.constants.iter().chain(&self.resource.constants) {
            if !labels.has(name) {
                labels.set(Cow::Borrowed(name), Cow::Borrowed(value));
            }
        }
        let mut prepared = Prepared {
            is_cut: labels.is_cut(),
            ..Prepared::default()
        };
        for (name, value) in labels.sorted() {
            write(&mut prepared.text, &name, &value);
            prepared.end(name);
        }
        prepared
    }
}

// === impl BaseLayer ===

impl BaseLayer {
    pub(super) fn new(paths: Arc<LabelPaths>, constants: BTreeMap<String, String>) -> Self {
        let fixed = paths.fixed().map(|named| {
            let mut fixed: BTreeMap<&str, Fixed> = BTreeMap::new();
            let label = |name: &str| Fixed {
                name: name.to_owned(),
                paths: Vec::new(),
                constant: None,
            };
            for (name, value) in &constants {
                let mut written = Vec::new();
                write(&mut written, name, value);
                fixed.entry(name).or_insert_with(|| label(name)).constant = Some(written);
            }
            for (at, LabelPath { name, .. }) in named.iter().enumerate() {
                let fixed = fixed.entry(name).or_insert_with(|| label(name));
                fixed.paths.push(at);
            }
            fixed.into_values().collect()
        });
        Self {
            paths,
            fixed,
            constants,
        }
    }

    /// Finds the value of a label for an object. Only the paths of keys that `is_used` accepts are read.
    fn find<'v>(
        &self,
        label: &Fixed,
        root: &'v Value,
        is_used: impl Fn(&str) -> bool,
    ) -> Option<&'v Value> {
        let named = self.paths.fixed()?;
        let mut paths = label.paths.iter().rev().filter_map(|&at| named.get(at));
        paths.find_map(|own| own.path.find(root).filter(|_| is_used(&own.key)))
    }
}

// === impl Prepared ===

impl<'v> Prepared<'v> {
    /// The names with their labels as `name="value"`, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name, end)| {
            let label = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (&**name, label)
        })
    }

    /// Whether a label was left out because there were too many labels.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn end(&mut self, name: Cow<'v, str>) {
        self.ends.push((name, self.text.len()));
    }
}

fn write(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    write_label_value(out, value);
    out.push(b'"');
}
