//! [`Limits`]: the maximum number and size of the samples of one object, and the maximum number of custom resource
//! kinds.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::errors::shortened;

/// Limits on the samples of one object, and on the number of kinds that a configuration of custom resources selects.
///
/// If an object exceeds a limit, only the samples and labels that exceed the limit are left out. [`StoreStats`] counts
/// how often objects exceed each limit, and [`StoreReader::exceeded_limits`] names the first object that exceeded each
/// limit. The value 0 disables a limit.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::registry::Limits;
/// use kube_state_metrics::{Collector, Family, StateMetrics};
/// use serde_json::json;
///
/// let squares = Family::gauge("squares", "Squares.").generate(|_: &Pod, s| {
///     for number in 0..100 {
///         s.label("number", number).value(number * number);
///     }
/// });
/// let metrics = StateMetrics::builder()
///     .collector(Collector::new().family(squares))
///     .limits(Limits::default().samples_per_family(10))
///     .all_fed_by_host()
///     .build()?;
/// let pod = serde_json::from_value(json!({ "metadata": { "name": "a", "namespace": "b" } }))?;
/// metrics.feed::<Pod>()?.apply_object(&pod);
///
/// let store = &metrics.stores()[0];
/// assert_eq!((store.stats().series, store.stats().over_sample_limit), (10, 1));
/// assert_eq!(store.exceeded_limits()[0].first_object, "b/a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`StoreStats`]: crate::store::StoreStats
/// [`StoreReader::exceeded_limits`]: crate::store::StoreReader::exceeded_limits
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum number of samples that a family writes for one object; 10,000 by default. Repeated samples also count.
    /// The text of all these samples together has a limit, too: 1 KiB times this maximum.
    pub samples_per_family: usize,
    /// Maximum number of labels that a family writes in one sample; 1,024 by default. Base labels and constant labels
    /// do not count.
    pub labels_per_sample: usize,
    /// Maximum length of the text of all samples of one object in the exposition, in bytes; 16 MiB by default. The
    /// names of the families do not count. A sample that would exceed the limit is left out. If the samples exceed the
    /// limit only because of their joined labels, no sample of the object has joined labels.
    pub text_per_object: usize,
    /// Maximum cost of the CEL expressions of one family for one object; 1,000,000 by default, which is about a tenth
    /// of a second.
    ///
    /// Each operation, each call of a function and each iteration of a loop costs 1. Each value that an operation
    /// reads, copies or creates also costs 1. The items of a list or map are also values. Every 10 bytes of text cost
    /// 1. If the limit is exceeded, the family has no further samples of this object, and the store counts an error.
    pub expression_cost: u64,
    /// Maximum number of kinds that a configuration of custom resources selects by wildcards; 1,000 by default. Each
    /// kind needs a watch. If there are more kinds, some kinds are left out. Kinds that already have metrics take
    /// precedence over new kinds. Among the new kinds, kinds with older definitions take precedence. If definitions are
    /// equally old, the name of the kind decides, in alphabetical order.
    ///
    /// Independently of this limit, all kinds of a configuration together have at most
    /// [`Config::MAX_FAMILIES`](crate::custom_resources::Config::MAX_FAMILIES) families.
    ///
    /// [`CustomResources::kinds_left_out`](crate::registry::CustomResources::kinds_left_out) returns the kinds that are
    /// left out.
    pub wildcard_kinds: usize,
}

/// A limit that an object can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Limit {
    /// The limit [`Limits::samples_per_family`].
    SamplesPerFamily,
    /// The limit [`Limits::labels_per_sample`].
    LabelsPerSample,
    /// The limit [`Limits::text_per_object`].
    TextPerObject,
    /// The limit [`Limits::expression_cost`].
    ExpressionCost,
}

/// Counts how often objects have exceeded a limit, and remembers the first of these objects.
#[derive(Debug, Default)]
pub(crate) struct LimitCounter {
    count: AtomicU64,
    first_object: OnceLock<String>,
}

// === impl Limits ===

impl Limits {
    /// Sets the maximum number of samples that a family writes for one object; 0 disables the limit.
    #[must_use]
    pub fn samples_per_family(mut self, samples: usize) -> Self {
        self.samples_per_family = samples;
        self
    }

    /// Sets the maximum number of labels that a family writes in one sample; 0 disables the limit.
    #[must_use]
    pub fn labels_per_sample(mut self, labels: usize) -> Self {
        self.labels_per_sample = labels;
        self
    }

    /// Sets the maximum length of the text of all samples of one object, in bytes; 0 disables the limit.
    #[must_use]
    pub fn text_per_object(mut self, bytes: usize) -> Self {
        self.text_per_object = bytes;
        self
    }

    /// Sets the maximum cost of the CEL expressions of one family for one object; 0 disables the limit.
    #[must_use]
    pub fn expression_cost(mut self, cost: u64) -> Self {
        self.expression_cost = cost;
        self
    }

    /// Sets the maximum number of kinds that a configuration of custom resources selects by wildcards; 0 disables the
    /// limit.
    #[must_use]
    pub fn wildcard_kinds(mut self, kinds: usize) -> Self {
        self.wildcard_kinds = kinds;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples_per_family: 10_000,
            labels_per_sample: 1_024,
            text_per_object: 16 << 20,
            expression_cost: 1_000_000,
            wildcard_kinds: 1_000,
        }
    }
}

// === impl Limit ===

impl Limit {
    /// The name of the limit in the label `reason` of the metric `kube_state_metrics_limit_exceeded_total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SamplesPerFamily => "sample_limit",
            Self::LabelsPerSample => "label_limit",
            Self::TextPerObject => "text_limit",
            Self::ExpressionCost => "expression_limit",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl LimitCounter ===

impl LimitCounter {
    /// Adds `count` to the number of times that objects have exceeded the limit. `key` is the key of the object.
    pub(crate) fn add(&self, count: u64, key: &str) {
        if count > 0 {
            self.first_object.get_or_init(|| shortened(key.to_owned()));
            self.count.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The first object that exceeded the limit, as `namespace/name` or `name`. A text of more than 1 KiB is truncated.
    /// `None` if the count is 0.
    pub(crate) fn first_object(&self) -> Option<&str> {
        self.first_object.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_an_object_is_truncated_in_reports() {
        let counter = LimitCounter::default();
        counter.add(1, &"x".repeat(5_000_000));
        let first = counter.first_object().unwrap();
        assert!(first.len() < 1_100, "{} bytes", first.len());
        assert!(first.ends_with("x... (5000000 bytes)"));
    }
}
