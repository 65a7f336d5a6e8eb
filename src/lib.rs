//! Turn the state of Kubernetes objects into Prometheus metrics, inside your own program.
//!
//! A [`Family`] is a metric: a name, a help text, labels, and a closure that appends samples for one
//! object. A [`Collector`] is a resource with its families; the [built-in ones](BuiltIn) are those of
//! kube-state-metrics. A [`StateMetrics`] holds a [`MetricsStore`] per resource, and writes all of
//! them as one [`Exposition`](exposition::Exposition).
//!
//! # Three ways to use it
//!
//! | to ... | start at | and read |
//! |---|---|---|
//! | **link it into an operator** | [`source::watch`], [`source::watch::RecordExt`] | [share a watch][share], [`examples/operator.rs`][operator] |
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
//! use kube_state_metrics::exposition::{Format, ExpositionFilter};
//! use kube_state_metrics::{Collector, Family, StateMetrics};
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
//! | none | the root, [`families`](mod@families), [`filter`], [`source::health`] | families, stores, text, health of feeds |
//! | `gzip` | [`exposition`] | compressed expositions from cached blocks |
//! | `http` | [`service`] | a tower service with content negotiation; includes `gzip` |
//! | `prometheus` | [`self_metrics`] | metrics of the stores themselves, on a registry of the host's |
//! | `watch` | [`source::watch`] | watching the API server through a [`kube::Client`](https://docs.rs/kube); includes `prometheus` |
//! | `manifests` | [`source::manifests`] | objects from YAML and JSON files |
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
//! value of that one label; it is counted in [`StoreStats::panics`](store::StoreStats::panics), and everybody else's metrics
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
pub mod family;
pub mod filter;
mod k8s;
pub mod registry;
pub mod resource;
mod scope;
#[cfg(feature = "prometheus")]
pub mod self_metrics;
#[cfg(feature = "http")]
pub mod service;
pub mod source;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

#[doc(inline)]
pub use families::BuiltIn;
#[doc(inline)]
pub use family::{Collector, Family, FamilyGenerator};
#[doc(inline)]
pub use registry::StateMetrics;
#[doc(inline)]
pub use store::{CacheStore, MetricsStore};

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "http", feature = "testing", feature = "watch"))]
#[doc = include_str!("../README.md")]
struct Readme;
