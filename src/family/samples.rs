//! [`Samples`] and [`Sample`]: the output of a generator.
//!
//! A sample line consists of a start, `name{base labels`, and a *tail*, such as `,phase="Running"} 1`. The start is the
//! same for all samples of an object in a family. Therefore, generators write only tails.

use std::fmt;

use super::referenced_labels::DictionaryColumn;
use super::sample_buffer::SampleBuffer;
#[cfg(feature = "custom-resources")]
use super::sample_policy::Room;
use super::sample_policy::{DropReason, SamplePolicy};
use super::values::{LabelValue, SampleValue};
use crate::k8s::{
    is_valid_label_name, label_names, sanitize_label, write_f64, write_map_label_name,
};
use crate::limits::Limit;

/// Receives the samples of one object in one family from a generator.
///
/// A sample with the same labels as an earlier sample is dropped, so that one object never has two equal series. As in
/// Prometheus, a label with an empty value is the same as no label, and the order of labels has no meaning. In an
/// invalid label name, `_` replaces the invalid characters. If two labels of a sample have the same name, the second
/// label is left out. A sample of a counter is dropped if its value is negative or not a number. Samples and labels
/// beyond the [limits](crate::registry::Limits) are left out.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let family = Family::gauge("demo", "Shows what can be written.");
/// let family = family.labels(["a", "b", "phase", "app_*"]).generate(|pod: &Pod, s| {
///     s.value(1); // base labels only
///     s.maybe_value(pod.spec.as_ref().and_then(|spec| spec.priority)); // nothing: it has none
///     s.label("a", "x").label("b", 2).value(true); // labels after the base labels
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
    buffer: &'a mut SampleBuffer,
    policy: SamplePolicy<'a>,
}

/// One sample, to which the generator appends labels and then a value.
///
/// [`value`](Sample::value) completes the sample. A sample without a value is dropped.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let family = Family::gauge("node_facts", "Labels of the node.").labels(["arch", "label_*"]);
/// let family = family.generate(|node: &Node, s| {
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
    /// The offset in the buffer at which the tail of the sample begins.
    start: usize,
    /// The limit that the sample exceeds. If this is not `None`, nothing is written.
    exceeds: Option<Limit>,
}

// === impl Samples ===

impl<'a> Samples<'a> {
    pub(crate) fn new(buffer: &'a mut SampleBuffer, policy: SamplePolicy<'a>) -> Self {
        buffer.begin_family();
        Self { buffer, policy }
    }

    /// Appends a sample that has only the base labels.
    pub fn value(&mut self, value: impl SampleValue) {
        self.sample().value(value);
    }

    /// Appends a sample that has only the base labels.
    ///
    /// If `value` is `None`, appends nothing.
    pub fn maybe_value(&mut self, value: Option<impl SampleValue>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// Starts a sample and appends its first label.
    pub fn label<'s>(&'s mut self, name: &str, value: impl LabelValue) -> Sample<'s, 'a> {
        self.sample().label(name, value)
    }

    /// Starts a sample to which you can add labels in a loop.
    pub fn sample<'s>(&'s mut self) -> Sample<'s, 'a> {
        let start = self.buffer.begin_sample();
        let exceeds = self.reached_limit();
        Sample {
            samples: self,
            start,
            exceeds,
        }
    }

    /// Appends one sample per state, with the label `name`: 1 for the state that equals `current`, otherwise 0.
    pub fn state_set(&mut self, name: &str, states: &[&str], current: &str) {
        for state in states {
            self.label(name, *state).value(*state == current);
        }
    }

    /// How many samples of the object this family has so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.sample_count()
    }

    /// Whether this family has no sample of the object yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the samples have reached a limit, so that a further sample would be left out.
    ///
    /// Call this method in nested loops before each sample, and end the loops if the method returns `true`. Otherwise
    /// the loops can run for minutes for one object. If the method returns `true`, it also counts that the object has
    /// exceeded the limit.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_state_metrics::{Family, testing::render};
    /// use serde_json::json;
    ///
    /// let pairs = Family::gauge("pairs", "Pairs.").labels(["a", "b"]).generate(|_: &Pod, s| {
    ///     for pair in (0..1_000_000).flat_map(|a| (0..1_000_000).map(move |b| (a, b))) {
    ///         if s.is_full() {
    ///             break;
    ///         }
    ///         s.label("a", pair.0).label("b", pair.1).value(1);
    ///     }
    ///     assert_eq!(s.len(), 10_000);
    /// });
    /// render(&pairs, json!({ "metadata": { "name": "p", "namespace": "n" } }));
    /// ```
    pub fn is_full(&mut self) -> bool {
        let reached = self.reached_limit();
        if let Some(limit) = reached {
            self.buffer.count_exceeded(limit);
        }
        reached.is_some()
    }

    fn reached_limit(&self) -> Option<Limit> {
        self.policy.reached(self.buffer.written())
    }

    /// The numbers of samples, labels and bytes that the family may still write for the object. A generator that
    /// collects samples before it writes them needs these numbers.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn room(&self) -> Room {
        self.policy.room(self.buffer.written())
    }

    /// Counts that the generator left out samples or labels because of a limit.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn count_exceeded(&mut self, limit: Limit) {
        self.buffer.count_exceeded(limit);
    }

    /// Declares that the generator has counted an error. Each event of the object must count the error again.
    /// Therefore, the store must call the generator for each event, even if the fields that the family reads have not
    /// changed.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn count_events(&mut self) {
        self.buffer.count_events();
    }

    /// Whether the allowlist matches `key`, the key of a label or an annotation.
    pub(crate) fn allows(&self, key: &str) -> bool {
        self.policy.admits_key(key)
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
        if self.exceeds.is_some() {
            self
        } else if is_valid_label_name(name) {
            self.push(name, value)
        } else {
            self.push(&sanitize_label(name), value)
        }
    }

    /// Appends a label whose value also occurs in other samples of the object, in this family or in another family.
    ///
    /// The exposition is the same as with `label`, but the store needs less memory.
    pub(crate) fn referenced_label<'v>(
        mut self,
        column: DictionaryColumn,
        name: &str,
        value: impl Into<Option<&'v str>>,
    ) -> Self {
        if !self.begin_label(name) {
            return self;
        }
        let buffer = self.buffer();
        buffer.text.extend_from_slice(b"=\"");
        let value = value.into().unwrap_or_default();
        buffer.dictionary.write(column, value, &mut buffer.text);
        buffer.note_referenced(value);
        buffer.text.push(b'"');
        self
    }

    /// Appends one label per entry of a map of strings.
    ///
    /// The name of each label consists of `prefix`, `_` and the sanitised key.
    ///
    /// `entries` must be in ascending order of their keys. Keys are sanitised as in kube-state-metrics. For example,
    /// with the prefix `label`, the key `app.kubernetes.io/name` becomes `label_app_kubernetes_io_name`, and
    /// `camelCase` becomes `label_camel_case`. If several keys result in the same name, each of these labels gets a
    /// suffix: `_conflict1`, `_conflict2` and so on.
    pub fn map_labels<'m>(
        mut self,
        prefix: &str,
        entries: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) -> Self {
        let mark = self.buffer().mark();
        for (key, value) in entries.clone() {
            if !self.admits_label() {
                break;
            }
            if !self.push_map_label(prefix, key, value) {
                // The list of all names needs memory. So create it only if several keys result in the same name, which
                // is rare.
                self.buffer().truncate(mark);
                let keys = entries.clone().map(|(key, _)| key);
                let names = label_names(prefix, keys.take(self.free_labels()));
                if entries.clone().nth(names.len()).is_some() {
                    self.buffer().count_exceeded(Limit::LabelsPerSample);
                }
                for (name, (_, value)) in names.iter().zip(entries) {
                    self = self.push(name, value);
                }
                break;
            }
        }
        self
    }

    /// Completes the sample.
    ///
    /// If `value` is `None`, the sample is dropped.
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
        if let Some(limit) = self.exceeds {
            return self.buffer().count_exceeded(limit);
        }
        let (start, policy) = (self.start, self.samples.policy);
        let end_of_labels: &[u8] = if self.has_labels() { b"} " } else { b" " };
        let buffer = self.buffer();
        buffer.text.extend_from_slice(end_of_labels);
        let labels_end = buffer.text.len();
        buffer.count_written();
        // If the label replaces a joined label, the sample differs from a sample with the joined label.
        let keeps = |name: &str| policy.replaces_joined(name.as_bytes());
        if let Err(reason) = policy.admit(value, || buffer.is_repeated(start, keeps)) {
            return buffer.count_dropped(reason);
        }
        write_f64(&mut buffer.text, value);
        buffer.text.push(b'\n');
        let exposed = buffer.exposed_len(start, policy.base_len());
        if !policy.admits_text(buffer.written().text.saturating_add(exposed)) {
            return buffer.count_exceeded(Limit::TextPerObject);
        }
        buffer.count_text(exposed);
        buffer.note_sample(start, labels_end);
        self.start = buffer.text.len();
    }

    /// Appends a label without a check of its name: the name must be valid, and must sort after the names of the
    /// earlier labels. All labels of all samples of the family must be appended with this method or with
    /// [`unchecked_label_text`](Self::unchecked_label_text).
    #[cfg(feature = "custom-resources")]
    pub(crate) fn unchecked_label(self, name: &str, value: impl LabelValue) -> Self {
        self.write_unchecked(name, |buffer| {
            buffer.text.extend_from_slice(name.as_bytes());
            buffer.write_value(value);
        })
    }

    /// Does the same as [`unchecked_label`](Self::unchecked_label), but `label` is the complete text `name="value"`,
    /// with an escaped value.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn unchecked_label_text(self, name: &str, label: &[u8]) -> Self {
        self.write_unchecked(name, |buffer| buffer.write_label(label))
    }

    #[cfg(feature = "custom-resources")]
    fn write_unchecked(mut self, name: &str, write: impl FnOnce(&mut SampleBuffer)) -> Self {
        if self.admits_label() && !self.samples.policy.is_reserved(name.as_bytes()) {
            let separator = self.separator();
            self.count_joined(name.as_bytes());
            let buffer = self.buffer();
            buffer.text.push(separator);
            buffer.note_name(buffer.text.len(), name.len());
            buffer.sort_labels();
            write(buffer);
        }
        self
    }

    fn buffer(&mut self) -> &mut SampleBuffer {
        self.samples.buffer
    }

    /// Whether the sample already has labels: labels in the tail, constant labels or base labels.
    fn has_labels(&self) -> bool {
        self.samples.policy.has_reserved_names() || self.samples.buffer.text.len() > self.start
    }

    /// The byte before the next label: `{` before the first label, otherwise a comma.
    fn separator(&self) -> u8 {
        if self.has_labels() { b',' } else { b'{' }
    }

    fn push(mut self, name: &str, value: impl LabelValue) -> Self {
        if self.begin_label(name) {
            self.buffer().write_value(value);
        }
        self
    }

    /// The number of labels that the generator may still add to this sample.
    fn free_labels(&self) -> usize {
        let written = self.samples.buffer.label_count();
        self.samples.policy.max_labels().saturating_sub(written)
    }

    /// Whether the generator may add another label to this sample.
    fn admits_label(&mut self) -> bool {
        if self.exceeds.is_some() {
            return false;
        }
        let is_admitted = self.free_labels() > 0;
        if !is_admitted {
            self.buffer().count_exceeded(Limit::LabelsPerSample);
        }
        is_admitted
    }

    /// Appends the name of a label and returns `true`. Returns `false` and appends nothing if the policy refuses the
    /// label, or if the sample already has a label with this name.
    fn begin_label(&mut self, name: &str) -> bool {
        if !self.admits_label() || self.samples.policy.is_reserved(name.as_bytes()) {
            return false;
        }
        let separator = self.separator();
        let buffer = self.buffer();
        if buffer.has_name(name.as_bytes()) {
            return false;
        }
        buffer.text.push(separator);
        let start = buffer.text.len();
        buffer.text.extend_from_slice(name.as_bytes());
        buffer.note_name(start, name.len());
        self.count_joined(name.as_bytes());
        true
    }

    /// Counts the label with this name, if it replaces a joined label.
    fn count_joined(&mut self, name: &[u8]) {
        if self.samples.policy.replaces_joined(name) {
            self.buffer().count_dropped(DropReason::JoinedLabel);
        }
    }

    /// Appends a label for an entry of a map. Returns `false` if the policy refuses the name of the label, or if the
    /// sample already has a label with this name. After `false`, the text still contains the name, and the caller must
    /// remove it.
    fn push_map_label(&mut self, prefix: &str, key: &str, value: &str) -> bool {
        let separator = self.separator();
        let Samples { buffer, policy } = &mut *self.samples;
        buffer.text.push(separator);
        let start = buffer.text.len();
        write_map_label_name(&mut buffer.text, prefix, key);
        let name = buffer.text.get(start..).unwrap_or_default();
        let replaces_joined = policy.replaces_joined(name);
        if policy.is_reserved(name) || buffer.repeats_name(start) {
            return false;
        }
        if replaces_joined {
            buffer.count_dropped(DropReason::JoinedLabel);
        }
        buffer.note_name(start, buffer.text.len() - start);
        buffer.write_value(value);
        true
    }
}

impl Drop for Sample<'_, '_> {
    fn drop(&mut self) {
        // Remove the text of the sample if it has no value, or if the policy drops it.
        self.samples.buffer.text.truncate(self.start);
    }
}

#[cfg(test)]
mod tests;
