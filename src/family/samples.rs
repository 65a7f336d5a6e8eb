//! The writer a generator appends samples to: labels, escaping, numbers and the duplicate check.
//!
//! A sample line is `name{base labels` and a *tail*, `,phase="Running"} 1`. The name belongs to the
//! family and the base labels to the object, so generators write tails only.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use super::dictionary::{DictionaryColumn, ObjectDictionary};
use super::values::{LabelValue, SampleValue};
use crate::filter::LabelAllowlist;
use crate::k8s::{
    is_valid_label_name, label_names, sanitize_label, write_f64, write_map_label_name,
};

/// From this many samples of one object in one family on, duplicates are looked up by hash.
const HASHED_FROM: usize = 32;

/// The samples of one object in one family, while a generator appends them.
///
/// A sample whose labels equal those of an earlier one is dropped: one object never yields two
/// equal series. A label name that is not valid is sanitised, one that the sample already has is
/// left out, and a negative value of a counter drops its sample.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let family = Family::gauge("demo", "Shows what can be written.").generate(|pod: &Pod, s| {
///     s.value(1); // base labels only
///     s.maybe_value(pod.spec.as_ref().and_then(|spec| spec.priority)); // nothing: it has none
///     s.label("a", "x").label("b", 2).value(true); // labels of its own
///     s.state_set("phase", &["Running", "Failed"], "Running");
///     let labels = pod.metadata.labels.iter().flatten();
///     let mut sample = s.sample();
///     for (key, value) in labels {
///         sample = sample.label(key, value); // names from data are made valid
///     }
///     sample.value(3);
///     assert!(!s.is_empty() && s.len() == 5);
/// });
/// let pod = json!({ "metadata": { "name": "p", "namespace": "n", "labels": { "app/team": "t" } } });
/// render(&family, pod).assert_eq(r#"
///     demo{namespace="n",pod="p"} 1
///     demo{namespace="n",pod="p",a="x",b="2"} 1
///     demo{namespace="n",pod="p",phase="Running"} 1
///     demo{namespace="n",pod="p",phase="Failed"} 0
///     demo{namespace="n",pod="p",app_team="t"} 3
/// "#);
/// ```
pub struct Samples<'a> {
    lines: &'a mut SampleBuffer,
    context: FamilyContext<'a>,
}

/// One sample, while its labels are appended; [`value`](Sample::value) completes it.
///
/// Without a value the sample is not written.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let family = Family::gauge("node_facts", "Labels of the node.").generate(|node: &Node, s| {
///     let labels = node.metadata.labels.iter().flatten();
///     let labels = labels.map(|(key, value)| (key.as_str(), value.as_str()));
///     s.label("arch", "arm64").map_labels("label", labels).value(1);
///     s.label("lost", true).maybe_value(None::<i64>); // no value, no sample
/// });
/// let node = json!({ "metadata": { "name": "a", "labels": { "topology.kubernetes.io/zone": "b" } } });
/// render(&family, node)
///     .assert_eq(r#"node_facts{node="a",arch="arm64",label_topology_kubernetes_io_zone="b"} 1"#);
/// ```
#[must_use = "a sample is written when it gets its value"]
pub struct Sample<'s, 'a> {
    samples: &'s mut Samples<'a>,
    start: usize,
}

/// What a family needs to know while it writes.
#[derive(Clone, Copy)]
pub(crate) struct FamilyContext<'a> {
    /// Label names that stand in front of every tail: constants and base labels.
    pub(crate) reserved_names: &'a [Cow<'static, str>],
    /// Negative values are dropped.
    pub(crate) counter: bool,
    /// Which keys an allowlisted family shows.
    pub(crate) allowlist: Option<&'a LabelAllowlist>,
}

/// The reusable memory behind [`Samples`]: tails of one object, one cell per family.
#[derive(Debug, Default)]
pub(crate) struct SampleBuffer {
    text: Vec<u8>,
    /// Per sample of the current family: where its tail starts and where its labels end.
    marks: Vec<(usize, usize)>,
    /// Label names of the current sample, as ranges of `text`.
    names: Vec<(usize, usize)>,
    /// Values that samples of the object repeat.
    dictionary: ObjectDictionary,
    seen: HashMap<u64, usize>,
    hasher: RandomState,
    duplicates: u64,
    panics: u64,
}

// === impl Samples ===

impl<'a> Samples<'a> {
    pub(crate) fn new(lines: &'a mut SampleBuffer, context: FamilyContext<'a>) -> Self {
        lines.marks.clear();
        lines.seen.clear();
        Self { lines, context }
    }

    /// Appends a sample without labels of its own.
    pub fn value(&mut self, value: impl SampleValue) {
        self.sample().value(value);
    }

    /// Appends a sample without labels of its own, or nothing where there is no value.
    pub fn maybe_value(&mut self, value: Option<impl SampleValue>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Starts a sample with a first label.
    pub fn label<'s>(&'s mut self, name: &str, value: impl LabelValue) -> Sample<'s, 'a> {
        self.sample().label(name, value)
    }

    /// Starts a sample without labels, for callers that add them one by one.
    pub fn sample<'s>(&'s mut self) -> Sample<'s, 'a> {
        let start = self.lines.text.len();
        self.lines.names.clear();
        Sample {
            samples: self,
            start,
        }
    }

    /// Appends one sample per state, labelled `name`: 1 for the one equal to `current`, else 0.
    pub fn state_set(&mut self, name: &str, states: &[&str], current: &str) {
        for state in states {
            self.label(name, *state).value(*state == current);
        }
    }

    /// How many samples the object has in this family so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.marks.len()
    }

    /// Whether the object has no sample in this family so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.marks.is_empty()
    }

    /// Whether an allowlisted family shows `key`.
    pub(crate) fn allows(&self, key: &str) -> bool {
        self.context.allowlist.is_some_and(|list| list.matches(key))
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

// === impl Sample ===

impl fmt::Debug for Sample<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample").finish_non_exhaustive()
    }
}

impl Sample<'_, '_> {
    /// Appends a label.
    pub fn label(self, name: &str, value: impl LabelValue) -> Self {
        if is_valid_label_name(name) {
            self.push(name, value)
        } else {
            self.push(&sanitize_label(name), value)
        }
    }

    /// Appends a label whose value other samples of the object repeat, in this family or another.
    ///
    /// The exposition is the same; the store needs less memory.
    pub(crate) fn dictionary_label<'v>(
        mut self,
        column: DictionaryColumn,
        name: &str,
        value: impl Into<Option<&'v str>>,
    ) -> Self {
        if !self.begin_label(name) {
            return self;
        }
        let lines = self.lines();
        lines.text.extend_from_slice(b"=\"");
        let value = value.into().unwrap_or_default();
        lines.dictionary.write(column, value, &mut lines.text);
        lines.text.push(b'"');
        self
    }

    /// Appends one label per entry of a string map, named `prefix_` and the sanitised key.
    ///
    /// `entries` come in ascending order of their keys. Keys are sanitised as in the reference
    /// (`app.kubernetes.io/name` gives `label_app_kubernetes_io_name`, `camelCase` gives
    /// `label_camel_case`); keys that collide all get a suffix, `_conflict1` and so on.
    pub fn map_labels<'m>(
        mut self,
        prefix: &str,
        entries: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) -> Self {
        let (text, count) = (self.lines().text.len(), self.lines().names.len());
        for (key, value) in entries.clone() {
            if !self.push_map_label(prefix, key, value) {
                // Collisions are rare; only they pay for names of their own.
                self.lines().text.truncate(text);
                self.lines().names.truncate(count);
                let names = label_names(prefix, entries.clone().map(|(key, _)| key));
                for (name, (_, value)) in names.iter().zip(entries) {
                    self = self.push(name, value);
                }
                break;
            }
        }
        self
    }

    /// Completes the sample where there is a value; else there is no sample.
    pub fn maybe_value(self, value: Option<impl SampleValue>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Completes the sample.
    pub fn value(mut self, value: impl SampleValue) {
        let Some(value) = value.number() else {
            return;
        };
        if self.samples.context.counter && (value < 0.0 || value.is_nan()) {
            return;
        }
        let start = self.start;
        let open = self.is_open();
        let lines = self.lines();
        lines
            .text
            .extend_from_slice(if open { b"} " } else { b" " });
        let labels_end = lines.text.len();
        if lines.is_repeated(start, labels_end) {
            lines.duplicates += 1;
            return;
        }
        write_f64(&mut lines.text, value);
        lines.text.push(b'\n');
        lines.mark(start, labels_end);
        self.start = lines.text.len();
    }

    /// Appends a label whose name is valid, and which the sample does not have yet.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn known(self, name: &str, value: impl LabelValue) -> Self {
        self.written(name, |lines| {
            lines.text.extend_from_slice(name.as_bytes());
            lines.write_value(value);
        })
    }

    /// The same for a label that is written already, as `name="value"`.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn prepared(self, name: &str, label: &[u8]) -> Self {
        self.written(name, |lines| lines.text.extend_from_slice(label))
    }

    #[cfg(feature = "custom-resources")]
    fn written(mut self, name: &str, write: impl FnOnce(&mut SampleBuffer)) -> Self {
        if self
            .samples
            .context
            .reserved_names
            .iter()
            .any(|taken| taken == name)
        {
            return self;
        }
        let separator = if self.is_open() { b',' } else { b'{' };
        let lines = self.lines();
        lines.text.push(separator);
        write(lines);
        self
    }

    fn lines(&mut self) -> &mut SampleBuffer {
        self.samples.lines
    }

    /// Whether an opening brace has been written, here or in front of the tail.
    fn is_open(&self) -> bool {
        !self.samples.context.reserved_names.is_empty()
            || self.samples.lines.text.len() > self.start
    }

    fn push(mut self, name: &str, value: impl LabelValue) -> Self {
        if self.begin_label(name) {
            self.lines().write_value(value);
        }
        self
    }

    /// Appends the name of a label, unless the sample has that label already.
    fn begin_label(&mut self, name: &str) -> bool {
        if self
            .samples
            .context
            .reserved_names
            .iter()
            .any(|taken| taken == name)
        {
            return false;
        }
        let separator = if self.is_open() { b',' } else { b'{' };
        let lines = self.lines();
        if lines.has_name(name.as_bytes()) {
            return false;
        }
        lines.text.push(separator);
        let from = lines.text.len();
        lines.text.extend_from_slice(name.as_bytes());
        lines.names.push((from, lines.text.len()));
        true
    }

    /// Appends a label named after a map key, unless the sample already has that name.
    fn push_map_label(&mut self, prefix: &str, key: &str, value: &str) -> bool {
        let separator = if self.is_open() { b',' } else { b'{' };
        let lines = self.lines();
        lines.text.push(separator);
        let from = lines.text.len();
        write_map_label_name(&mut lines.text, prefix, key);
        let to = lines.text.len();
        let (earlier, name) = lines.text.split_at(from);
        let repeated = (lines.names.iter()).any(|&(a, b)| earlier.get(a..b) == Some(name));
        if repeated {
            return false;
        }
        lines.names.push((from, to));
        lines.write_value(value);
        true
    }
}

impl Drop for Sample<'_, '_> {
    fn drop(&mut self) {
        // What was not completed, or turned out to be a duplicate, leaves no trace.
        self.samples.lines.text.truncate(self.start);
    }
}

// === impl SampleBuffer ===

impl SampleBuffer {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.dictionary.clear();
        self.duplicates = 0;
        self.panics = 0;
    }

    /// The repeated values of the samples since the last [`clear`](Self::clear).
    pub(crate) fn dictionary(&self) -> &ObjectDictionary {
        &self.dictionary
    }

    /// All tails written since the last [`clear`](Self::clear), one after another.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many samples were dropped as duplicates since the last [`clear`](Self::clear).
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Undoes what was written behind `start` before a closure panicked.
    pub(crate) fn discard_after_panic(&mut self, start: usize) {
        self.text.truncate(start);
        self.panics += 1;
    }

    /// How many generators panicked since the last [`clear`](Self::clear).
    pub(crate) fn panics(&self) -> u64 {
        self.panics
    }

    fn write_value(&mut self, value: impl LabelValue) {
        self.text.extend_from_slice(b"=\"");
        value.write_to(&mut self.text);
        self.text.push(b'"');
    }

    fn has_name(&self, name: &[u8]) -> bool {
        (self.names.iter()).any(|&(a, b)| b - a == name.len() && self.text.get(a..b) == Some(name))
    }

    fn is_repeated(&self, start: usize, labels_end: usize) -> bool {
        let labels = self.text.get(start..labels_end);
        let equals =
            |&(a, b): &(usize, usize)| b - a == labels_end - start && self.text.get(a..b) == labels;
        if self.marks.len() < HASHED_FROM {
            return self.marks.iter().any(equals);
        }
        // Two different label sets with one hash: look at all, so that none is lost.
        match self.seen.get(&self.hasher.hash_one(labels)) {
            None => false,
            Some(&first) => {
                self.marks.get(first).is_some_and(equals) || self.marks.iter().any(equals)
            }
        }
    }

    fn mark(&mut self, start: usize, labels_end: usize) {
        self.marks.push((start, labels_end));
        let from = match self.marks.len() {
            n if n < HASHED_FROM => return,
            HASHED_FROM => 0,
            n => n - 1,
        };
        for (index, &(a, b)) in self.marks.iter().enumerate().skip(from) {
            let hash = self.hasher.hash_one(self.text.get(a..b));
            self.seen.entry(hash).or_insert(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails(taken: &[Cow<'static, str>], write: impl FnOnce(&mut Samples<'_>)) -> String {
        let mut lines = SampleBuffer::default();
        let context = FamilyContext {
            reserved_names: taken,
            counter: false,
            allowlist: None,
        };
        write(&mut Samples::new(&mut lines, context));
        String::from_utf8(lines.text).unwrap()
    }

    const BASE: &[Cow<'static, str>] = &[Cow::Borrowed("namespace"), Cow::Borrowed("pod")];

    #[test]
    fn a_tail_continues_the_base_labels() {
        let text = tails(BASE, |s| {
            s.value(1);
            s.label("phase", "Running").label("n", 3).value(true);
        });
        assert_eq!(text, "} 1\n,phase=\"Running\",n=\"3\"} 1\n");
    }

    #[test]
    fn without_base_labels_a_tail_opens_the_braces_or_has_none() {
        let text = tails(&[], |s| {
            s.value(0.5);
            s.label("a", "x").label("b", None::<&str>).value(2);
        });
        assert_eq!(text, " 0.5\n{a=\"x\",b=\"\"} 2\n");
    }

    #[test]
    fn equal_label_sets_keep_the_first_value_only() {
        let text = tails(BASE, |s| {
            s.label("a", "x").value(1);
            s.label("a", "x").value(2);
            s.value(3);
            s.value(4);
        });
        assert_eq!(text, ",a=\"x\"} 1\n} 3\n");
    }

    #[test]
    fn duplicates_among_many_samples_are_found_by_hash() {
        let text = tails(BASE, |s| {
            for round in 0..2 {
                for n in 0..1000 {
                    s.label("n", n).value(round);
                }
            }
            assert_eq!(s.len(), 1000);
        });
        assert_eq!(text.lines().count(), 1000);
        assert!(text.lines().all(|line| line.ends_with("} 0")));
    }

    #[test]
    fn a_repeated_or_taken_label_name_is_left_out() {
        let text = tails(BASE, |s| {
            s.label("a", "1")
                .label("a", "2")
                .label("pod", "3")
                .label("b-c", "4")
                .value(1);
        });
        assert_eq!(text, ",a=\"1\",b_c=\"4\"} 1\n");
    }

    #[test]
    fn an_unfinished_sample_leaves_no_trace() {
        let text = tails(BASE, |s| {
            let _ = s.label("a", "1");
            s.label("b", "2").value(1);
        });
        assert_eq!(text, ",b=\"2\"} 1\n");
    }

    #[test]
    fn a_counter_has_no_negative_samples() {
        let mut lines = SampleBuffer::default();
        let context = FamilyContext {
            reserved_names: BASE,
            counter: true,
            allowlist: None,
        };
        let mut samples = Samples::new(&mut lines, context);
        samples.label("a", "1").value(-1);
        samples.label("a", "1").value(0);
        assert_eq!(lines.text(), b",a=\"1\"} 0\n");
    }

    #[test]
    fn colliding_map_keys_all_get_suffixes() {
        let entries = [("a-b", "dash"), ("a.b", "dot"), ("c", "1")];
        let text = tails(BASE, |s| {
            s.sample().map_labels("label", entries.into_iter()).value(1);
        });
        assert_eq!(
            text,
            ",label_a_b_conflict1=\"dash\",label_a_b_conflict2=\"dot\",label_c=\"1\"} 1\n"
        );
    }
}
