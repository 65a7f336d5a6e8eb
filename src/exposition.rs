//! Returns the stored samples as Prometheus text, as OpenMetrics, or one by one.
//!
//! [`Exposition::chunks`] copies the stored bytes. [`Exposition::families`] and
//! [`Exposition::samples`] read the samples: for counts, for comparisons, or to write them in
//! another format.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use kube_state_metrics::exposition::FamilySamples;
//! use kube_state_metrics::exposition::{ExpositionFilter, Format};
//! use kube_state_metrics::StateMetrics;
//!
//! /// The names of all labels of a family.
//! fn label_names<'a>(family: &FamilySamples<'a>) -> BTreeSet<&'a str> {
//!     family.samples().flat_map(|sample| sample.labels().map(|(name, _)| name)).collect()
//! }
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
//! for family in exposition.families() {
//!     println!("{}: {:?}", family.name(), label_names(&family));
//! }
//! # Ok::<(), kube_state_metrics::registry::BuildError>(())
//! ```
//!
//! Sources: [Prometheus text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/),
//! [OpenMetrics 1.0](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).

mod chunks;
mod cursor;
#[cfg(feature = "gzip")]
mod encoding;
mod family_column;
mod family_metadata;
mod family_rows;
mod family_size;
mod filter;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "gzip")]
mod gzip_chunks;
mod header_names;
mod host_metrics;
mod new_samples;
mod plan;
mod plan_family;
mod repeats;
mod row_part;
mod sample;
mod samples;
mod snapshot;
mod step;

pub use chunks::Chunks;
#[cfg(feature = "gzip")]
pub use encoding::{Encoded, Encoding};
pub use family_size::FamilySize;
pub use filter::ExpositionFilter;
pub use format::Format;
#[cfg(feature = "gzip")]
pub(crate) use gzip::GzipCache;
pub use host_metrics::HostMetrics;
pub(crate) use plan::{ConstantLabels, Plan, PlanProblem};
pub use sample::StoredSample;
pub use samples::FamilySamples;
pub use snapshot::Exposition;
#[cfg(feature = "http")]
pub(crate) use step::Step;
