//! Exports the state of Kubernetes objects as Prometheus metrics, inside your program.
//!
//! There are three ways to use the crate. [`guide`] shows a complete project for each of them.
//!
//! **An operator** shares its existing watches: each event feeds the metrics and also reaches the controller
//! ([`guide::share_a_watch`]):
//!
#![cfg_attr(feature = "watch", doc = "```no_run")]
#![cfg_attr(not(feature = "watch"), doc = "```ignore")]
//! # use futures::StreamExt;
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::runtime::{WatchStreamExt, watcher};
//! use kube_state_metrics::source::watch::RecordExt;
//! use kube_state_metrics::{BuiltIn, StateMetrics};
//!
//! # async fn operator(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = StateMetrics::builder().default_resources().fed_by_host(BuiltIn::Pods).build()?;
//! let events = watcher(kube::Api::<Pod>::all(client.clone()), watcher::Config::default());
//! let pods = events.default_backoff().record_into(metrics.feed::<Pod>()?);
//! tokio::spawn(metrics.watch(client).build()?.run()); // the crate watches everything but pods
//! # pods.for_each(|_| std::future::ready(())).await;
//! # Ok(())
//! # }
//! ```
//!
//! **A service that already has metrics** serves the metrics of the cluster and its own metrics in one response
//! ([`guide::service`], [`guide::own_metrics`]):
//!
#![cfg_attr(all(feature = "http", feature = "prometheus"), doc = "```")]
#![cfg_attr(not(all(feature = "http", feature = "prometheus")), doc = "```ignore")]
//! use kube_state_metrics::exposition::HostMetrics;
//! use kube_state_metrics::{BuiltIn, StateMetrics};
//! use prometheus::{Registry, TextEncoder};
//!
//! let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
//! let registry = Registry::new(); // the registry of the service
//! let service = metrics.service().append(move |_format| {
//!     let own = TextEncoder::new().encode_to_string(&registry.gather());
//!     HostMetrics::text(own.unwrap_or_default())
//! });
//! # drop(service);
//! // With axum: Router::new().route_service("/metrics", service)
//! # Ok::<(), kube_state_metrics::registry::BuildError>(())
//! ```
//!
//! **A unit test** compares the samples of an object with the expected ones
//! ([`guide::test_a_family`]):
//!
//! ```
//! use k8s_openapi::api::core::v1::Node;
//! use kube_state_metrics::testing::render;
//! use kube_state_metrics::{Collector, Family};
//!
//! let taints = Family::gauge("node_taints", "Number of taints of the node.");
//! let nodes = Collector::new().family(taints.generate(|node: &Node, s| {
//!     let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
//!     s.value(taints.map_or(0, Vec::len));
//! }));
//! render(nodes, serde_json::json!({ "metadata": { "name": "worker-1" } }))
//!     .assert_eq(r#"node_taints{node="worker-1"} 0"#);
//! ```
//!
//! # The parts
//!
//! A [`Family`] is a metric: a name, a help text, labels, and a closure that appends samples for one object. A
//! [`Collector`] is a resource with its families. The [built-in collectors](BuiltIn) have the same metrics as
//! kube-state-metrics. A [`StateMetrics`] has a [`MetricsStore`] per resource, and writes the samples of all stores as
//! one [`Exposition`](exposition::Exposition).
//!
//! [The book][book] explains how these types work together, and describes all metrics, flags and configurations. The
//! [examples] are complete programs.
//!
//! [book]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/blob/main/docs/README.md
//! [examples]: https://github.com/kube-state-metrics-rs/kube-state-metrics-rs/tree/main/examples
//!
//! # Features
//!
//! | feature | module | adds |
//! |---|---|---|
//! | none | the root, [`families`](mod@families), [`filter`], [`source::health`] | families, stores, text, health of feeds |
//! | `gzip` | [`exposition`] | compressed expositions from cached blocks |
//! | `http` | [`service`] | a tower service with content negotiation; includes `gzip` |
//! | `prometheus` | [`self_metrics`] | metrics of the stores, for a registry of the host |
//! | `watch` | [`source::watch`] | watching the API server through a [`kube::Client`](https://docs.rs/kube); includes `prometheus` |
//! | `manifests` | [`source::manifests`] | objects from YAML and JSON files |
//! | `custom-resources` | [`custom_resources`] | families from a configuration |
//! | `cel` | | CEL expressions in a configuration of custom resources; includes `custom-resources` |
//! | `testing` | [`testing`] | rendering, assertions and a validity check for tests |
//!
//! The application chooses the version of Kubernetes: enable a version feature of `k8s-openapi`, such as `latest`.
//!
//! # Panics in closures
//!
//! If the generator of a family panics for an object, the object has no samples of this family. If the closure of a
//! base label panics, the value of the label is empty. [`StoreStats::panics`](store::StoreStats::panics) counts the
//! panics of both kinds. A panic does not affect other metrics. If the `Deserialize` implementation of a type panics,
//! the store handles the object like an object that cannot be decoded. The store always escapes the output of a
//! generator, makes label names valid, and drops repeated series.

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
pub mod custom_resources;
mod decode;
#[cfg(feature = "custom-resources")]
mod dynamic;
mod errors;
pub mod exposition;
pub mod families;
pub mod family;
pub mod filter;
// The module contains only documentation. CI tests the code of the guide as complete projects, so doc tests skip it.
#[cfg(all(doc, not(doctest)))]
pub mod guide;
mod joins;
mod k8s;
mod limits;
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
#[cfg(any(feature = "custom-resources", feature = "manifests"))]
mod yaml;

#[doc(inline)]
pub use families::BuiltIn;
#[doc(inline)]
pub use family::{Collector, Family, FamilyGenerator};
#[doc(inline)]
pub use registry::StateMetrics;
#[doc(inline)]
pub use store::{CacheStore, MetricsStore};

/// Runs the examples of the README as doc tests.
#[cfg(all(doctest, feature = "http", feature = "testing", feature = "watch"))]
#[doc = include_str!("../README.md")]
struct Readme;
