//! [`CostCounter`]: series and bytes of samples, by namespace and by label, and examples of label values.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// The series and bytes of a resource or namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CostRow {
    pub(crate) name: String,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
}

/// The cost of a label: the series that have the label, its distinct values, and the bytes of its name and values in
/// all lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelRow {
    pub(crate) name: String,
    /// The number of distinct values, at most [`MOST_VALUES`].
    pub(crate) values: u64,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
}

/// Values of a label in the first samples of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelExamples {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
    /// Whether these samples have further values of the label.
    pub(crate) has_more: bool,
}

/// Counts samples one by one.
#[derive(Default)]
pub(super) struct CostCounter {
    labels: Rows<LabelCounter>,
    /// The row numbers of the labels of the last sample. Most samples have the same labels as the previous sample, so
    /// the next search for a label usually begins at its row.
    last_labels: Vec<usize>,
    namespaces: Rows<CostRow>,
    last_namespace: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct LabelCounter {
    row: LabelRow,
    /// Hashes take less memory than the values. Two values with the same hash are extremely unlikely.
    values: HashSet<u64>,
    last_value: String,
}

/// The maximum number of distinct values that are counted. The maximum limits the memory for a label that has a
/// different value for each object.
pub(crate) const MOST_VALUES: usize = 100_000;
/// Only the label values of this number of first samples of a family can become examples.
const LOOKED_AT: u64 = 500;
/// Maximum number of labels of a family that have examples. Objects may have any number of label names.
const MOST_LABELS: usize = 200;
/// Maximum number of examples of a label.
const MOST_EXAMPLES: usize = 20;
/// Maximum length of an example, in bytes.
const LONGEST_EXAMPLE: usize = 100;

// === impl CostCounter ===

impl CostCounter {
    /// Counts the labels of a sample whose line has this many bytes.
    pub(super) fn count<'s>(
        &mut self,
        labels: impl Iterator<Item = (&'s str, Cow<'s, str>)>,
        bytes: u64,
        mut examples: Option<&mut Vec<LabelExamples>>,
    ) {
        for (position, (name, value)) in labels.enumerate() {
            let number = self.label_number(position, name);
            let hasher = &self.hasher;
            if let Some(label) = self.labels.all.get_mut(number) {
                label.count(&value, hasher);
            }
            if name == "namespace" {
                self.count_namespace(&value, bytes);
            }
            if let Some(examples) = examples.as_deref_mut() {
                add_example(examples, position, name, &value);
            }
        }
    }

    /// Whether the label values of the next sample can become examples. `samples` is the number of samples of the
    /// family so far.
    pub(super) fn takes_examples(samples: u64) -> bool {
        samples < LOOKED_AT
    }

    /// Namespaces and labels, those with the most bytes first.
    pub(super) fn rows(self) -> (Vec<CostRow>, Vec<LabelRow>) {
        let (mut namespaces, labels) = (self.namespaces.all, self.labels.all);
        let mut labels: Vec<_> = labels.into_iter().map(LabelCounter::row).collect();
        namespaces.sort_by(|a, b| (b.bytes.cmp(&a.bytes)).then_with(|| a.name.cmp(&b.name)));
        labels.sort_by(|a, b| (b.bytes.cmp(&a.bytes)).then_with(|| a.name.cmp(&b.name)));
        (namespaces, labels)
    }

    fn label_number(&mut self, position: usize, name: &str) -> usize {
        let is_named = |number: &usize| {
            let label = self.labels.all.get(*number);
            label.is_some_and(|label| label.row.name == name)
        };
        if let Some(number) = self.last_labels.get(position).copied().filter(is_named) {
            return number;
        }
        let number = self.labels.number(name, || LabelCounter::new(name));
        self.last_labels.truncate(position);
        self.last_labels.push(number);
        number
    }

    fn count_namespace(&mut self, namespace: &str, bytes: u64) {
        let last = self.namespaces.all.get(self.last_namespace);
        if last.is_none_or(|last| last.name != namespace) {
            let new = || CostRow::new(namespace);
            self.last_namespace = self.namespaces.number(namespace, new);
        }
        if let Some(row) = self.namespaces.all.get_mut(self.last_namespace) {
            row.add(1, bytes);
        }
    }
}

/// Adds a value to the examples of the label at a position, unless there are enough.
fn add_example(examples: &mut Vec<LabelExamples>, position: usize, name: &str, value: &str) {
    let is_named = |own: &LabelExamples| own.name == name;
    let at = match examples.get(position).is_some_and(is_named) {
        true => Some(position),
        false => examples.iter().position(is_named),
    };
    if at.is_none() && examples.len() >= MOST_LABELS {
        return;
    }
    let at = at.unwrap_or_else(|| {
        examples.push(LabelExamples {
            name: name.to_owned(),
            ..LabelExamples::default()
        });
        examples.len() - 1
    });
    let Some(own) = examples.get_mut(at) else {
        return;
    };
    if own.values.iter().any(|known| known == value) {
        return;
    }
    if own.values.len() < MOST_EXAMPLES && value.len() <= LONGEST_EXAMPLE {
        own.values.push(value.to_owned());
    } else {
        own.has_more = true;
    }
}

// === impl CostRow ===

impl CostRow {
    /// The name for people: samples may have an empty namespace.
    pub(crate) fn shown_name(&self) -> &str {
        match &*self.name {
            "" => "(none)",
            name => name,
        }
    }

    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, series: u64, bytes: u64) {
        self.series += series;
        self.bytes += bytes;
    }
}

// === impl LabelCounter ===

impl LabelCounter {
    fn new(name: &str) -> Self {
        Self {
            row: LabelRow {
                name: name.to_owned(),
                ..LabelRow::default()
            },
            ..Self::default()
        }
    }

    fn count(&mut self, value: &str, hasher: &RandomState) {
        let is_first = self.row.series == 0;
        self.row.series += 1;
        // The sample line contains `name="value",`.
        self.row.bytes += (self.row.name.len() + value.len() + 4) as u64;
        if (is_first || self.last_value != value) && self.values.len() < MOST_VALUES {
            self.values.insert(hasher.hash_one(value));
            value.clone_into(&mut self.last_value);
        }
    }

    fn row(self) -> LabelRow {
        LabelRow {
            values: self.values.len() as u64,
            ..self.row
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_namespaces_are_counted_whatever_their_order() {
        let mut counter = CostCounter::default();
        let mut examples = Vec::new();
        for (labels, bytes) in [
            (&[("namespace", "a"), ("pod", "x")][..], 10),
            (&[("pod", "y"), ("namespace", "a")], 20),
            (&[("namespace", "b"), ("pod", "x")], 5),
            (&[], 7),
            (&[("namespace", "")], 3),
        ] {
            let labels = labels
                .iter()
                .map(|(name, value)| (*name, Cow::Borrowed(*value)));
            counter.count(labels, bytes, Some(&mut examples));
        }
        let (namespaces, labels) = counter.rows();
        let namespaces: Vec<_> = namespaces
            .iter()
            .map(|row| (&*row.name, row.series, row.bytes))
            .collect();
        assert_eq!(namespaces, [("a", 2, 30), ("b", 1, 5), ("", 1, 3)]);
        assert_eq!(CostRow::new("").shown_name(), "(none)");
        let labels: Vec<_> = labels
            .iter()
            .map(|row| (&*row.name, row.values, row.series, row.bytes))
            .collect();
        assert_eq!(labels, [("namespace", 3, 4, 55), ("pod", 2, 3, 24)]);
        let values: Vec<_> = examples.iter().map(|own| own.values.join(" ")).collect();
        assert_eq!(values, ["a b ", "x y"]);
    }

    #[test]
    fn examples_are_few_and_short() {
        let mut examples = Vec::new();
        for number in 0..30 {
            add_example(&mut examples, 0, "pod", &number.to_string());
        }
        add_example(&mut examples, 1, "note", &"x".repeat(101));
        assert_eq!(examples.len(), 2);
        assert!(examples[0].has_more && examples[0].values.len() == MOST_EXAMPLES);
        assert!(examples[1].has_more && examples[1].values.is_empty());
    }
}
