//! The labels that all samples of an object share, written once per object and family.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::labels::{LabelPaths, LabelSet, text};
use crate::k8s::write_label_value;

/// Where base labels come from: paths from the root of the object, above constants.
#[derive(Debug)]
pub(super) struct Base {
    /// By name; nothing where names come from data.
    fixed: Option<Vec<Fixed>>,
    constants: Vec<(String, String)>,
}

/// A label whose name is known before any object is.
#[derive(Debug)]
struct Fixed {
    name: String,
    /// Places among the named paths; the last that leads to something counts.
    paths: Vec<usize>,
    /// The whole label with the constant value, where there is one.
    constant: Option<Vec<u8>>,
}

/// Base labels of an object, by name, as they are written.
#[derive(Debug, Default)]
pub(super) struct Prepared<'v> {
    text: Vec<u8>,
    /// Names, and where each label ends.
    ends: Vec<(Cow<'v, str>, usize)>,
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

    /// Writes the labels of an object.
    pub(super) fn prepare<'v>(&'v self, paths: &'v LabelPaths, root: &'v Value) -> Prepared<'v> {
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
                let mut labels = LabelSet::default();
                paths.fill(root, &mut labels);
                for (name, value) in &self.constants {
                    if !labels.has(name) {
                        labels.set(Cow::Borrowed(name), Cow::Borrowed(value));
                    }
                }
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
    /// Names with their labels as `name="value"`, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name, end)| {
            let label = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (&**name, label)
        })
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
