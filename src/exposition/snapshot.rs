//! [`Exposition`]: one consistent state of all stores.

use std::sync::Arc;

use bytes::BytesMut;

use super::family_column::FamilyColumn;
use super::family_rows::FamilyRows;
use super::filter::ExpositionFilter;
use super::format::Format;
#[cfg(feature = "gzip")]
use super::gzip::GzipCache;
use super::plan::Plan;
use super::plan_family::PlanFamily;
use super::repeats::{RepeatedSamples, Selection};
use crate::store::StoreSnapshot;

/// One consistent snapshot of all stores. It can be written as text.
///
/// An exposition shares the memory of the stores. The stores can change while the exposition is read.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_state_metrics::exposition::{Format, ExpositionFilter};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let builder = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
/// let metrics = builder.all_fed_by_host().build()?;
/// let shop = serde_json::from_value(serde_json::json!({ "metadata": { "name": "shop" } }))?;
/// metrics.feed::<Namespace>()?.apply_object(&shop);
///
/// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
/// assert_eq!(exposition.format(), Format::Text);
/// let mut bytes = Vec::new();
/// exposition.clone().write_to(&mut bytes)?;
/// assert_eq!(bytes, exposition.to_string().as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exposition {
    plan: Arc<Plan>,
    snapshots: Arc<[StoreSnapshot]>,
    format: Format,
    filter: Arc<ExpositionFilter>,
    /// Further lines, which are written after the last family.
    appended: Vec<u8>,
    #[cfg(feature = "gzip")]
    gzip: Arc<GzipCache>,
}

// === impl Exposition ===

impl Exposition {
    pub(crate) fn new(plan: Arc<Plan>, format: Format, filter: ExpositionFilter) -> Self {
        Self {
            snapshots: plan.snapshots(),
            plan,
            format,
            filter: Arc::new(filter),
            appended: Vec::new(),
            #[cfg(feature = "gzip")]
            gzip: Arc::default(),
        }
    }

    /// Uses `cache` for compressed text.
    #[cfg(feature = "gzip")]
    pub(crate) fn with_cache(mut self, cache: &Arc<GzipCache>) -> Self {
        self.gzip = Arc::clone(cache);
        self
    }

    /// Adds lines after the last family. The lines must have the format of the exposition.
    pub(super) fn with_appended(mut self, lines: &[u8]) -> Self {
        self.appended.extend_from_slice(lines);
        self
    }

    /// Writes the text after the last family: the added lines, and the last line of the format (`# EOF` in
    /// OpenMetrics).
    pub(super) fn write_end(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.appended);
        out.extend_from_slice(self.format.spec().terminator());
    }

    /// The format of the exposition.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    #[cfg(feature = "gzip")]
    pub(super) fn cache(&self) -> &Arc<GzipCache> {
        &self.gzip
    }

    pub(super) fn filter(&self) -> &ExpositionFilter {
        &self.filter
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(super) fn snapshots(&self) -> &Arc<[StoreSnapshot]> {
        &self.snapshots
    }

    /// Whether the filter includes the resource of a column.
    pub(super) fn includes_column(&self, column: &FamilyColumn) -> bool {
        let store = self.plan.stores().get(column.store);
        store.is_some_and(|store| self.filter.includes_resource(store.resource()))
    }

    /// Whether the filter includes the object of a row.
    pub(super) fn includes_row(&self, page: &FamilyRows<'_>, row: usize) -> bool {
        self.filter.includes_row(page, row)
    }

    /// Returns the rows of a family that the filter includes; `None` if it includes all rows that can have repeated
    /// samples.
    pub(super) fn selection(&self, family: &PlanFamily) -> Option<Selection> {
        let columns = family.columns();
        let mut searched = columns.iter().filter(|column| column.may_repeat);
        let excludes_rows =
            self.filter.has_namespaces() || searched.any(|column| !self.includes_column(column));
        let columns = columns.iter().map(|column| self.includes_column(column));
        excludes_rows.then(|| Selection::new(&self.filter, columns))
    }

    /// Returns the samples of a family that this exposition does not contain because an earlier included sample has the
    /// same series. The method can search in all series of the family without a pause.
    pub(super) fn repeated_samples(&self, family: &PlanFamily) -> Arc<RepeatedSamples> {
        family.repeated_samples(&self.snapshots, || self.selection(family))
    }
}
