//! [`StoredSample`]: one sample of an exposition.

use std::borrow::Cow;
use std::fmt;

use bytes::BytesMut;

use super::family_metadata::FamilyMetadata;
use crate::store::SampleLine;

/// One sample of an [`Exposition`](crate::exposition::Exposition). `Display` writes the sample as a line. The line is
/// the same in both text formats.
///
/// A sample borrows from the exposition. Label values are unescaped only when they are read. A value without escapes is
/// not copied.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::exposition::{ExpositionFilter, Format};
/// use kube_state_metrics::{Collector, Family, StateMetrics};
/// use serde_json::json;
///
/// let seen = Family::gauge("pod_seen", "Always 7.")
///     .generate(|_: &Pod, s| s.label("team", "the \"shop\"").value(7));
/// let pods = Collector::new().family(seen).fed_by_host();
/// let metrics = StateMetrics::builder().collector(pods).build()?;
/// let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "a", "namespace": "b" } }))?;
/// metrics.feed()?.apply_object(&pod);
///
/// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
/// let sample = exposition.samples().next().expect("the pod has a sample");
/// assert_eq!((sample.name(), sample.value(), sample.start_time()), ("pod_seen", 7.0, None));
/// let labels = [("namespace", "b"), ("pod", "a"), ("team", "the \"shop\"")];
/// assert!(sample.labels().eq(labels.map(|(name, value)| (name, value.into()))));
/// let line = r#"pod_seen{namespace="b",pod="a",team="the \"shop\""} 7"#;
/// assert_eq!((sample.to_string(), sample.line_len()), (line.to_owned(), line.len() + 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct StoredSample<'a> {
    family: &'a FamilyMetadata,
    line: SampleLine<'a>,
}

// === impl StoredSample ===

impl<'a> StoredSample<'a> {
    pub(super) fn new(family: &'a FamilyMetadata, line: SampleLine<'a>) -> Self {
        Self { family, line }
    }

    /// The name of the family.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.family.name()
    }

    /// The names and the values of the labels, in the order of the text formats.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        self.line.labels()
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.line.value()
    }

    /// The time at which a counter started, as Unix time in seconds. For all current families, the result is `None`,
    /// because Kubernetes objects do not contain this time.
    #[must_use]
    pub fn start_time(&self) -> Option<f64> {
        None
    }

    /// The length of the sample line in the text formats, in bytes. The newline is included.
    #[must_use]
    pub fn line_len(&self) -> usize {
        self.line.len()
    }

    /// Appends the sample as a line of the text formats, with a newline.
    pub(in crate::exposition) fn write_line(&self, out: &mut BytesMut) {
        self.line.write(out);
    }
}

impl fmt::Display for StoredSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = BytesMut::with_capacity(self.line_len());
        self.write_line(&mut line);
        f.write_str(String::from_utf8_lossy(&line).trim_end_matches('\n'))
    }
}

impl fmt::Debug for StoredSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredSample")
            .field(&self.to_string())
            .finish()
    }
}
