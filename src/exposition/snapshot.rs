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
    filter: ExpositionFilter,
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
            filter,
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
        !self.filter.has_namespaces() || self.filter.includes_key(page.page.key(row))
    }
}
