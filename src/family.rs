//! Metric families: the name and meaning of a metric, and the code that generates its samples.
//!
//! A [`Family`] consists of a [`FamilyDescriptor`] and a [`FamilyGenerator`]. A [`Collector`] consists of a resource
//! and its families. A generator writes [`Samples`] into a buffer that the store reuses.

mod builder;
mod collector;
mod descriptor;
mod generator;
pub(crate) mod label_text;
pub(crate) mod normalized_labels;
pub(crate) mod referenced_labels;
mod sample_buffer;
mod sample_policy;
mod samples;
mod series_set;
mod text_set;
mod values;
pub(crate) mod work;

pub use builder::{Family, FamilyBuilder};
pub use collector::Collector;
pub(crate) use collector::{BaseLabel, BaseSource};
pub(crate) use descriptor::Allowlisted;
pub use descriptor::{FamilyDescriptor, MetricType, Stability};
pub use generator::FamilyGenerator;
pub(crate) use sample_buffer::SampleBuffer;
#[cfg(feature = "custom-resources")]
pub(crate) use sample_policy::Room;
pub(crate) use sample_policy::{DropCounts, SamplePolicy};
pub use samples::{Sample, Samples};
pub use values::{LabelValue, SampleValue};
pub(crate) use values::{sealed, unix_seconds};
