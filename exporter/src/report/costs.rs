//! [`CostCounter`]: counts the series and bytes of samples, by namespace and by label, and collects examples of label
//! values. In this file, a *row* is a row of a table in a report.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// A row with the series and bytes of a resource or namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CostRow {
    pub(crate) name: String,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
}

/// A row with the cost of a label: its series, its distinct values, and its bytes. The bytes are those of its name and
/// its values in all sample lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelRow {
    pub(crate) name: String,
    /// The number of distinct values. Values beyond [`MOST_VALUES`] are not counted.
    pub(crate) values: u64,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
}

/// Examples of the values that a label has in the samples of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelExamples {
    pub(crate) name: String,
    /// The first distinct values, at most [`MOST_EXAMPLES`].
    pub(crate) values: Vec<String>,
    /// Whether the label has further values, which are not in `values`.
    pub(crate) has_more: bool,
}

/// Counts the series and bytes of samples. The caller passes one sample after another.
#[derive(Default)]
pub(super) struct CostCounter {
    labels: Rows<LabelCounter>,
    /// For each label of the previous sample, the index of its row in `labels`. Usually, a sample has the same label
    /// names as the previous sample. So the counter finds the rows of its labels without a search.
    last_labels: Vec<usize>,
    namespaces: Rows<CostRow>,
    last_namespace: usize,
    /// The name of the family of the previous sample.
    family: String,
    /// A number for the current family. The number increases each time a sample belongs to another family than the
    /// previous sample.
    family_number: u64,
    hasher: RandomState,
}

#[derive(Default)]
struct LabelCounter {
    row: LabelRow,
    /// The last family that has a sample with this label, as its [`CostCounter::family_number`], and the index of the
    /// label in the list of examples of this family. The index is `None` if the list already contains too many other
    /// labels.
    examples: Option<(u64, Option<usize>)>,
    /// The hashes of the distinct values. Hashes need less memory than values, and two different values almost never
    /// have the same hash.
    values: HashSet<u64>,
    last_value: String,
}

/// Maximum number of distinct values that are counted. Without this limit, a label with a different value for each
/// object could need too much memory.
pub(crate) const MOST_VALUES: usize = 100_000;
/// Maximum number of labels in the list of examples of a family. This maximum is necessary because the Kubernetes
/// labels of objects can have any number of different names.
const MOST_LABELS: usize = 200;
/// Maximum number of example values of a label.
const MOST_EXAMPLES: usize = 20;
/// Maximum length of an example value, in bytes.
const LONGEST_EXAMPLE: usize = 100;

// === impl CostCounter ===

impl CostCounter {
    /// Counts a sample of `family`, its labels and its namespace. The function adds the values of the labels to
    /// `examples`, the list of examples of the family. `bytes` is the length of the sample line.
    pub(super) fn count<'s>(
        &mut self,
        family: &str,
        labels: impl Iterator<Item = (&'s str, Cow<'s, str>)>,
        bytes: u64,
        examples: &mut Vec<LabelExamples>,
    ) {
        if self.family != family {
            family.clone_into(&mut self.family);
            self.family_number += 1;
        }
        for (position, (name, value)) in labels.enumerate() {
            let number = self.label_number(position, name);
            let (hasher, family) = (&self.hasher, self.family_number);
            if let Some(label) = self.labels.all.get_mut(number) {
                label.count(&value, hasher);
                if let Some(own) = label.examples_in(family, examples) {
                    own.add(&value);
                }
            }
            if name == "namespace" {
                self.count_namespace(&value, bytes);
            }
        }
    }

    /// Returns the rows of namespaces and the rows of labels. Rows with more bytes come first.
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

// === impl LabelExamples ===

impl LabelExamples {
    /// Creates an empty list of examples of a label.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a value to the examples. If there are enough examples, only records that there are more values.
    fn add(&mut self, value: &str) {
        let is_full = self.values.len() >= MOST_EXAMPLES;
        // Most calls return here: labels such as `pod` identify the object and have many values, so their examples are
        // full.
        if is_full && self.has_more || self.values.iter().any(|known| known == value) {
            return;
        }
        if is_full || value.len() > LONGEST_EXAMPLE {
            self.has_more = true;
        } else {
            self.values.push(value.to_owned());
        }
    }
}

// === impl CostRow ===

impl CostRow {
    /// Returns the name that reports show: `(none)` if the name is empty. For example, samples may have an empty
    /// namespace.
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
        // The number 4 stands for the other characters of the label in the sample line: `="` and `",`.
        self.row.bytes += (self.row.name.len() + value.len() + 4) as u64;
        if (is_first || self.last_value != value) && self.values.len() < MOST_VALUES {
            self.values.insert(hasher.hash_one(value));
            value.clone_into(&mut self.last_value);
        }
    }

    /// Returns the examples of the label in a family; `None` if the family already has examples of too many other
    /// labels.
    fn examples_in<'e>(
        &mut self,
        family: u64,
        examples: &'e mut Vec<LabelExamples>,
    ) -> Option<&'e mut LabelExamples> {
        let known = self.examples.filter(|(known, _)| *known == family);
        let at = match known {
            Some((_, at)) => at,
            None => {
                let name = &self.row.name;
                let mut at = examples.iter().position(|own| own.name == *name);
                if at.is_none() && examples.len() < MOST_LABELS {
                    at = Some(examples.len());
                    examples.push(LabelExamples::new(name));
                }
                self.examples = Some((family, at));
                at
            }
        };
        examples.get_mut(at?)
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
            counter.count("family", labels, bytes, &mut examples);
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
        let mut pod = LabelExamples::new("pod");
        for number in 0..30 {
            pod.add(&number.to_string());
        }
        let mut note = LabelExamples::new("note");
        note.add(&"x".repeat(101));
        assert!(pod.has_more && pod.values.len() == MOST_EXAMPLES);
        assert!(note.has_more && note.values.is_empty());
    }

    #[test]
    fn each_family_has_examples_of_a_limited_number_of_labels() {
        let mut counter = CostCounter::default();
        let mut families: [Vec<LabelExamples>; 2] = Default::default();
        let names: Vec<_> = (0..MOST_LABELS + 1)
            .map(|number| format!("label_{number}"))
            .collect();
        // This test alternates between samples of different families, and changes the order of the labels.
        for value in ["a", "b", "a"] {
            for (family, examples) in families.iter_mut().enumerate() {
                for name in names.iter().rev().chain(&names) {
                    let labels = [(&**name, Cow::Borrowed(value))].into_iter();
                    counter.count(&family.to_string(), labels, 10, examples);
                }
            }
        }
        for examples in &families {
            assert_eq!(examples.len(), MOST_LABELS);
            assert!(
                examples
                    .iter()
                    .all(|own| own.values == ["a", "b"] && !own.has_more)
            );
            assert_eq!(examples[0].name, names[MOST_LABELS]);
        }
    }
}
