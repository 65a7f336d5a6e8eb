//! The base labels, that is the labels that all samples of an object share. A family renders these labels once for each
//! object.
//!
//! In this module, a *resource* is an item of `spec.resources` in the configuration, and a *metric* is an item of the
//! resource's `metrics`. Both can set labels, each from a path (`labelsFromPath`) or as a constant (`commonLabels`).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::labels::{Label, LabelPath, LabelPaths, LabelSet, text};
use crate::k8s::write_label_value;

/// The sources of the base labels of one metric. The labels that the resource sets are in memory only once, and all
/// metrics of the resource share them. With separate copies for each metric, the memory would grow with the number of
/// labels times the number of metrics.
///
/// If a path and a constant set the same label, the value from the path is used. If the metric and its resource set the
/// same label, the label of the metric is used.
#[derive(Debug)]
pub(super) struct Base {
    resource: Arc<BaseLayer>,
    metric: BaseLayer,
}

/// The sources of those base labels that a resource sets for all its metrics, or that one metric sets.
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
    /// Indexes of the paths that can set this label. If several of these paths find a value, the label gets the value
    /// of the last path in this list.
    paths: Vec<usize>,
    /// The label with its constant value, as text; `None` if no constant sets the label.
    constant: Option<Vec<u8>>,
}

/// The base labels of an object, sorted by name and escaped.
#[derive(Debug, Default)]
pub(super) struct Prepared<'v> {
    text: Vec<u8>,
    labels: Vec<PreparedLabel<'v>>,
    /// Whether the limit on labels has removed a label.
    is_cut: bool,
}

#[derive(Debug)]
struct PreparedLabel<'v> {
    name: Cow<'v, str>,
    /// The offset in [`Prepared::text`] at which the text of the label ends.
    end: usize,
    /// See [`Label::is_from_star`].
    is_from_star: bool,
}

/// A base label of an object.
pub(super) struct BaseLabel<'p> {
    pub(super) name: &'p str,
    /// The text `name="value"`.
    pub(super) text: &'p [u8],
    /// See [`Label::is_from_star`].
    pub(super) is_from_star: bool,
}

// === impl Base ===

impl Base {
    pub(super) fn new(resource: Arc<BaseLayer>, metric: BaseLayer) -> Self {
        Self { resource, metric }
    }

    /// Renders the base labels of an object. Of the labels from keys with `*`, renders at most `max_labels`.
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
                    // A path of the metric replaces the path of the resource if both have the same key in
                    // `labelsFromPath`. Both paths then set the same label, so `own` exists.
                    let is_used = |key: &str| own.is_none() || !self.metric.paths.has_key(key);
                    self.resource.find(inherited?, root, is_used)
                });
            let constant = |label: Option<&'v Fixed>| label?.constant.as_deref();
            match (value, constant(own).or_else(|| constant(inherited))) {
                (Some(value), _) => write(&mut prepared.text, name, &text(value)),
                (None, Some(constant)) => prepared.text.extend_from_slice(constant),
                (None, None) => continue,
            }
            prepared.end(Cow::Borrowed(name), false);
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
        for Label {
            name,
            value,
            is_from_star,
        } in labels.sorted()
        {
            write(&mut prepared.text, &name, &value);
            prepared.end(name, is_from_star);
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

    /// Finds the value of a label in an object. Each path belongs to a key of `labelsFromPath`. Ignores a path if
    /// `is_used` returns `false` for its key.
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
    /// Returns the labels, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = BaseLabel<'_>> {
        let mut start = 0;
        self.labels.iter().map(move |label| {
            let text = self.text.get(start..label.end).unwrap_or_default();
            start = label.end;
            BaseLabel {
                name: &label.name,
                text,
                is_from_star: label.is_from_star,
            }
        })
    }

    /// The number of labels.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the limit on labels has removed a label.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn end(&mut self, name: Cow<'v, str>, is_from_star: bool) {
        self.labels.push(PreparedLabel {
            name,
            end: self.text.len(),
            is_from_star,
        });
    }
}

fn write(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    write_label_value(out, value);
    out.push(b'"');
}
