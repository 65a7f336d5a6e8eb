//! The exposition: stored samples as Prometheus text or OpenMetrics.
//!
//! Each format is a file of `exposition/format/`. Formats that consist of sample lines copy the
//! stored bytes; others read the samples one by one.
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
mod filter;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "gzip")]
mod gzip_chunks;
mod plan;
mod plan_family;
mod repeats;
mod sample;
mod samples;
mod snapshot;

pub use chunks::Chunks;
#[cfg(feature = "gzip")]
pub use encoding::{Encoded, Encoding};
pub use filter::ExpositionFilter;
pub use format::Format;
#[cfg(feature = "gzip")]
pub(crate) use gzip::GzipCache;
pub(crate) use plan::{ConstantLabels, Plan, PlanProblem};
pub use snapshot::Exposition;
