//! Turn the state of Kubernetes objects into Prometheus metrics, inside your own program.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

mod builder;
mod collector;
#[cfg(feature = "custom-resources")]
pub mod custom_resource_state;
mod decode;
mod exposition;
pub mod families;
mod family;
pub mod filter;
#[cfg(feature = "manifests")]
pub mod manifests;
mod resource;
mod sample;
mod scope;
#[cfg(feature = "http")]
pub mod service;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod value;
#[cfg(feature = "watch")]
pub mod watch;

pub use builder::{BuildError, BuildProblem, Builder, NotRegistered, ObjectWriter, StateMetrics};
pub use collector::Collector;
pub use decode::{DecodeError, DecodeReason};
pub use exposition::{Chunks, Exposition, Format, Selection};
#[cfg(feature = "gzip")]
pub use exposition::{Encoded, Encoding};
pub use families::{BuiltIn, CatalogueEntry, families};
pub use family::{Family, FamilyBuilder, FamilyDescriptor, FamilyGenerator, MetricType, Stability};
pub use resource::{Kind, KnownScope, ResourceInfo, Scope};
pub use sample::{LabelValue, Sample, SampleValue, Samples};
pub use scope::{Shard, ShardError};
pub use store::{CacheStore, Entry, MetricsStore, StoreStats, Writer};

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
