//! The labels that all samples of an object share, written once per object and family.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::labels::{LabelPaths, LabelSet, text};
use crate::k8s::write_label_value;

/// The sources of base labels: constants, and paths from the root of the object. Paths take precedence over constants.
#[derive(Debug)]
pub(super) struct Base {
    /// The labels, sorted by name; `None` if the name of a label depends on the object.
    fixed: Option<Vec<Fixed>>,
    constants: Vec<(String, String)>,
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
    /// Whether a label was left out because of the maximum number of labels.
    is_cut: bool,
}

// === impl Base ===

impl Base {
    pub(super) fn new(paths: &LabelPaths, constants: BTreeMap<String, String>) -> Self {
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
            for (at, (name, _)) in named.iter().enumerate() {
                let fixed = fixed.entry(name).or_insert_with(|| label(name));
                fixed.paths.push(at);
            }
            fixed.into_values().collect()
        });
        Self {
            fixed,
            constants: constants.into_iter().collect(),
        }
    }

    /// Writes the labels of an object. If the name of a label depends on the object, writes at most `max_labels`
    /// labels.
    pub(super) fn prepare<'v>(
        &'v self,
        paths: &'v LabelPaths,
        root: &'v Value,
        max_labels: usize,
    ) -> Prepared<'v> {
        let mut prepared = Prepared::default();
        match (&self.fixed, paths.fixed()) {
            (Some(fixed), Some(named)) => {
                for label in fixed {
                    let mut found = label.paths.iter().rev().filter_map(|&at| {
                        let (_, path) = named.get(at)?;
                        path.find(root)
                    });
                    match (found.next(), &label.constant) {
                        (Some(value), _) => {
                            write(&mut prepared.text, &label.name, &text(value));
                        }
                        (None, Some(constant)) => prepared.text.extend_from_slice(constant),
                        (None, None) => continue,
                    }
                    prepared.end(Cow::Borrowed(&label.name));
                }
            }
            _ => {
                let mut labels = LabelSet::new(max_labels);
                paths.fill(root, &mut labels);
                for (name, value) in &self.constants {
                    if !labels.has(name) {
                        labels.set(Cow::Borrowed(name), Cow::Borrowed(value));
                    }
                }
                prepared.is_cut = labels.is_cut();
                for (name, value) in labels.sorted() {
                    write(&mut prepared.text, &name, &value);
                    prepared.end(name);
                }
            }
        }
        prepared
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

    /// Whether a label was left out because of the maximum number of labels.
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
