//! Turn the state of Kubernetes objects into Prometheus metrics, inside your own program.
//!
//! A [`Family`] is a metric: a name, a help text, labels, and a closure that appends samples for one
//! object. A [`Collector`] is a resource with its families; the [built-in ones](BuiltIn) are those of
//! kube-state-metrics. A [`StateMetrics`] holds a [`MetricsStore`] per resource, and writes all of
//! them as one [`Exposition`].
//!
//! # Three ways to use it
//!
//! | to ... | start at | and read |
//! |---|---|---|
//! | **link it into an operator** | [`watch`], [`watch::RecordExt`] | [share a watch][share], [`examples/operator.rs`][operator] |
//! | **expose state from an existing service** | [`service`], [`StateMetrics::builder`] | [getting started][start], [`examples/embed_axum.rs`][axum] |
//! | **unit-test families** | [`testing`], [`testing::render`] | [test a family][test], [`examples/unit_test_families.rs`][unit] |
//!
//! Everything else is in [the book][book].
//!
//! [axum]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/examples/embed_axum.rs
//! [book]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/docs/README.md
//! [operator]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/examples/operator.rs
//! [share]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/docs/how-to/share-a-watch.md
//! [start]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/docs/getting-started.md
//! [test]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/docs/how-to/test-a-family.md
//! [unit]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/examples/unit_test_families.rs
//!
//! # In short
//!
//! ```
//! use k8s_openapi::api::core::v1::Node;
//! use kube_state_metrics::{Collector, Family, Format, ExpositionFilter, StateMetrics};
//!
//! let taints = Family::gauge("node_taints", "Taints of the node.").generate(|node: &Node, s| {
//!     let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
//!     s.value(taints.map_or(0, Vec::len));
//! });
//! let nodes = Collector::new().family(taints).fed_by_host();
//! let metrics = StateMetrics::builder().collector(nodes).build()?;
//!
//! let node = serde_json::json!({ "metadata": { "name": "worker-1" } });
//! metrics.feed::<Node>()?.apply_object(&serde_json::from_value(node)?);
//! assert_eq!(
//!     metrics.exposition(Format::Text, ExpositionFilter::default()).to_string(),
//!     "# HELP node_taints Taints of the node.\n# TYPE node_taints gauge\n\
//!      node_taints{node=\"worker-1\"} 0\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | module | brings |
//! |---|---|---|
//! | none | the root, [`families`](mod@families), [`filter`], [`health`] | families, stores, text, health of feeds |
//! | `gzip` | the root | compressed expositions from cached blocks |
//! | `http` | [`service`] | a tower service with content negotiation; includes `gzip` |
//! | `prometheus` | [`self_metrics`] | metrics of the stores themselves, on a registry of the host's |
//! | `watch` | [`watch`] | watching the API server through a [`kube::Client`](https://docs.rs/kube); includes `prometheus` |
//! | `manifests` | [`manifests`] | objects from YAML and JSON files |
//! | `custom-resources` | [`custom_resources`] | families from a configuration |
//! | `cel` | | expressions in such a configuration; includes `custom-resources` |
//! | `testing` | [`testing`] | rendering, assertions and a validity check for tests |
//!
//! The version of Kubernetes is the application's choice: enable a version of `k8s-openapi`, such as
//! its feature `latest`.
//!
//! # When closures misbehave
//!
//! A generator or a base label that panics costs its object the samples of that one family, or the
//! value of that one label; it is counted in [`StoreStats::panics`], and everybody else's metrics
//! stay and go on. A type whose `Deserialize` panics counts as an object that does not decode. What a
//! generator writes is escaped, sanitised and free of repeated series, whatever it does.

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
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

#[cfg(feature = "custom-resources")]
pub mod check;
#[cfg(feature = "custom-resources")]
pub mod custom_resources;
mod decode;
#[cfg(feature = "custom-resources")]
mod dynamic;
mod errors;
pub mod exposition;
pub mod families;
mod family;
pub mod filter;
mod k8s;
mod registry;
mod resource;
mod scope;
#[cfg(feature = "prometheus")]
pub mod self_metrics;
#[cfg(feature = "http")]
pub mod service;
mod source;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use decode::{DecodeError, DecodeReason};
pub use exposition::{Chunks, Exposition, ExpositionFilter, Format};
#[cfg(feature = "gzip")]
pub use exposition::{Encoded, Encoding};
pub use families::BuiltIn;
pub use families::catalogue::{CatalogueEntry, catalogue};
pub use family::{
    Collector, Family, FamilyBuilder, FamilyDescriptor, FamilyGenerator, LabelValue, MetricType,
    Sample, SampleValue, Samples, Stability,
};
pub use registry::{BuildError, BuildProblem, Builder, FeedError, StateMetrics};
#[cfg(feature = "custom-resources")]
pub use registry::{CustomResources, ResourceChanges};
pub use resource::{CollectedResource, ResourceInfo, ResourceName, Scope, StaticScope};
pub use scope::{Shard, ShardError};
pub use source::host::HostSource;
#[cfg(feature = "manifests")]
pub use source::manifests;
#[cfg(feature = "watch")]
pub use source::watch;
pub use source::{Source, SourceFuture, health};
pub use store::{
    CacheStore, MetricsStore, ObjectWriter, StoreReader, StoreStats, StoredObject, Writer,
};

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "http", feature = "testing", feature = "watch"))]
#[doc = include_str!("../README.md")]
struct Readme;
