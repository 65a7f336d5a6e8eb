//! [`Limits`]: the maximum number of samples and labels of one object.

use std::fmt;

/// The limits on the samples and labels of one object.
///
/// Samples and labels beyond a limit are left out; everything else of the object stays. [`StoreStats`] counts these
/// cases, and [`StoreReader::exceeded_limits`] names the first object. The value 0 disables a limit.
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
    /// Maximum number of samples that a family writes for one object; 10,000 by default. Repeated samples are
    /// included. The limit also bounds the text of these samples to an average of 1 KiB each.
    pub samples_per_family: usize,
    /// Maximum number of labels that a family writes in one sample, without base labels and constant
    /// labels; 1,024 by default.
    pub labels_per_sample: usize,
}

/// A limit that an object can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::samples_per_family`].
    SamplesPerFamily,
    /// [`Limits::labels_per_sample`].
    LabelsPerSample,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples_per_family: 10_000,
            labels_per_sample: 1_024,
        }
    }
}

// === impl Limit ===

impl Limit {
    /// The value of the label `reason` of `kube_state_metrics_limit_exceeded_total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SamplesPerFamily => "sample_limit",
            Self::LabelsPerSample => "label_limit",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
