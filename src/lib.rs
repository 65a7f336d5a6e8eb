//! Turn the state of Kubernetes objects into Prometheus metrics, inside your own program.
//!
//! A [`Family`] is a metric: a name, a help text, labels, and a closure that appends samples for one
//! object. A [`Collector`] is a resource with its families; the [built-in ones](BuiltIn) are those of
//! kube-state-metrics. A [`StateMetrics`] holds a [`MetricsStore`] per resource, and writes all of
//! them as one [`Exposition`].
//!
//! | to ... | start at |
//! |---|---|
//! | link it into an operator | [`StateMetrics::builder`], [`StateMetrics::writer`], feature `watch` |
//! | expose state from an existing service | [`StateMetrics::exposition`], feature `http` |
//! | test families against fixture objects | [`MetricsStore`], [`CacheStore::get`] |
//!
//! ```
//! use k8s_openapi::api::core::v1::Node;
//! use kube_state_metrics::{Collector, Family, Format, Selection, StateMetrics};
//!
//! let taints = Family::gauge("node_taints", "Taints of the node.").generate(|node: &Node, s| {
//!     let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
//!     s.value(taints.map_or(0, Vec::len));
//! });
//! let metrics = StateMetrics::builder().collector(Collector::new().family(taints)).build()?;
//!
//! let node = serde_json::json!({ "metadata": { "name": "worker-1" } });
//! metrics.writer::<Node>()?.apply_object(&serde_json::from_value(node)?);
//! assert_eq!(
//!     metrics.exposition(Format::Text, Selection::default()).to_string(),
//!     "# HELP node_taints Taints of the node.\n# TYPE node_taints gauge\n\
//!      node_taints{node=\"worker-1\"} 0\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod shared;
mod state_metrics;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod value;
#[cfg(feature = "watch")]
pub mod watch;

pub use builder::{BuildError, BuildProblem, Builder};
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
pub use state_metrics::{NotRegistered, StateMetrics};
pub use store::{CacheStore, Entry, MetricsStore, ObjectWriter, StoreStats, Writer};

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "http", feature = "watch"))]
#[doc = include_str!("../README.md")]
struct Readme;
