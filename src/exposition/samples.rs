//! The samples of an [`Exposition`]: as families, or one after another.

use std::fmt;
use std::sync::Arc;

use super::family_rows::FamilyRows;
use super::plan_family::PlanFamily;
use super::repeats::RepeatedSamples;
use super::sample::StoredSample;
use super::snapshot::Exposition;
use crate::family::MetricType;

/// One family of an [`Exposition`]. The family has at least one sample.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::exposition::{ExpositionFilter, Format};
/// use kube_state_metrics::family::MetricType;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
/// use serde_json::json;
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).all_fed_by_host().build()?;
/// let node = json!({ "metadata": { "name": "worker-1" }, "spec": { "unschedulable": true } });
/// metrics.feed::<Node>()?.apply_object(&serde_json::from_value(node)?);
///
/// let filter = ExpositionFilter::default().families(["kube_node_spec_unschedulable"]);
/// let exposition = metrics.exposition(Format::Text, filter);
/// let family = exposition.families().next().expect("the node has a sample");
/// assert_eq!(family.name(), "kube_node_spec_unschedulable");
/// assert_eq!(family.metric_type(), MetricType::Gauge);
/// assert_eq!(family.unit(), None);
/// assert!(family.help().starts_with("[STABLE] "));
/// assert_eq!(family.header().lines().count(), 2);
/// assert_eq!(family.samples().map(|sample| sample.value()).sum::<f64>(), 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FamilySamples<'a> {
    exposition: &'a Exposition,
    family: &'a PlanFamily,
    /// The numbers of the samples that repeat an earlier series.
    repeated: Arc<RepeatedSamples>,
}

// === impl FamilySamples ===

impl<'a> FamilySamples<'a> {
    pub(super) fn new(
        exposition: &'a Exposition,
        family: &'a PlanFamily,
        repeated: Arc<RepeatedSamples>,
    ) -> Self {
        Self {
            exposition,
            family,
            repeated,
        }
    }

    /// The name of the family, with which every sample starts.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.family.metadata().name()
    }

    /// The help text. It can start with a marker such as `[STABLE]`.
    #[must_use]
    pub fn help(&self) -> &'a str {
        self.family.metadata().help()
    }

    /// The type of the family. If collectors declare the family with different types, the result is
    /// [`MetricType::Gauge`], or [`MetricType::Unknown`] if one of the types is a counter or unknown. A format may
    /// write a more general type.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.family.metadata().metric_type()
    }

    /// The base unit with which the name ends, such as `seconds` or `bytes`.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.family.metadata().unit()
    }

    /// The header, that is the lines before the samples, in the format of the exposition.
    #[must_use]
    pub fn header(&self) -> &'a str {
        let header = self.family.header(self.exposition.format());
        std::str::from_utf8(header).unwrap_or_default()
    }

    /// The number of samples that the exposition does not contain, because another object that the filter includes has
    /// the same series.
    ///
    /// A family can have repeated series in three cases: the base labels do not identify the object, several collectors
    /// declare the family, or a sample has its own label with the name and the value of a joined label.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.repeated.len()
    }

    /// The samples, in the order of the exposition.
    pub fn samples(&self) -> impl Iterator<Item = StoredSample<'a>> + use<'a> {
        let (exposition, repeated) = (self.exposition, Arc::clone(&self.repeated));
        let (family, metadata) = (self.family, self.family.metadata());
        let samples = family.columns().iter().flat_map(move |column| {
            let includes_column = exposition.includes_column(column);
            let rows = FamilyRows::all(column, exposition.snapshots()).flat_map(FamilyRows::rows);
            rows.flat_map(move |(page, row)| {
                let is_included = includes_column && exposition.includes_row(&page, row);
                let lines = page.sample_lines(row);
                lines.map(move |line| {
                    let sample = StoredSample::new(metadata, line);
                    (column.may_repeat, is_included, sample)
                })
            })
        });
        // The search for repeats reads all samples, so samples that the filter excludes also have numbers.
        let mut numbers = 0..;
        samples.filter_map(move |(may_repeat, is_included, sample)| {
            let number = may_repeat.then(|| numbers.next()).flatten();
            let is_repeated = number.is_some_and(|number| repeated.contains(number));
            (is_included && !is_repeated).then_some(sample)
        })
    }
}

impl fmt::Debug for FamilySamples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilySamples")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

// === impl Exposition ===

impl Exposition {
    /// The families that have at least one sample, in the order of the exposition.
    pub fn families(&self) -> impl Iterator<Item = FamilySamples<'_>> {
        let families = self.plan().families().iter();
        let families =
            families.filter(|family| self.filter().includes_family(family.metadata().name()));
        let families = families.map(|family| {
            let repeated = self.repeated_samples(family);
            FamilySamples::new(self, family, repeated)
        });
        families.filter(|family| family.samples().next().is_some())
    }

    /// The samples of all families, in the order of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{ExpositionFilter, Format};
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// assert_eq!(exposition.samples().count(), 0, "no objects yet");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    pub fn samples(&self) -> impl Iterator<Item = StoredSample<'_>> {
        self.families().flat_map(|family| family.samples())
    }
}

#[cfg(test)]
mod tests;
