//! Lists and watches every registered resource of a cluster (feature `watch`), and reports failures in
//! [`Health`](crate::source::health::Health), in the log and in metrics.
//!
//! ```no_run
//! use kube_state_metrics::StateMetrics;
//! use kube_state_metrics::source::health::ReadinessPolicy;
//! use kube_state_metrics::source::watch::configure_for_watching;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let client = kube::Client::try_from(configure_for_watching(kube::Config::infer().await?))?;
//! let registry = prometheus::Registry::new();
//!
//! let watch = metrics.watch(client).registry(&registry).build()?;
//! let health = watch.health();
//! tokio::spawn(watch.run());
//! health.ready(ReadinessPolicy::Default).await;
//! # Ok(())
//! # }
//! ```
//!
//! A resource that the server refuses to list does not delay readiness, unless the server refuses all resources. A
//! resource that fails for another reason delays readiness for [at most a minute](WatchBuilder::readiness_deadline).
//! [`Readiness`](crate::source::health::Readiness) names the refused resources and the failing resources.
//!
//! A watch uses the namespaces and the shard of the [`StateMetrics`](crate::StateMetrics). A resource that the host
//! feeds is not watched. The host can feed the resource from an existing watch with [`RecordExt::record_into`].
//!
//! While a resource cannot be listed or watched, its last samples are served. Requests are retried with a growing
//! backoff that respects `Retry-After`. A list is served only when it is complete. Objects that do not decode are
//! skipped, counted and named in the log.

mod audit;
mod blocking_sink;
mod buffer_budget;
mod builder;
mod client;
mod cluster_watch;
mod config;
mod connection;
mod context;
#[cfg(feature = "custom-resources")]
mod definitions;
mod encoding;
mod errors;
mod event_splitter;
mod failure;
mod failure_log;
mod handle;
mod join_watches;
mod json_list;
mod json_nesting;
mod list_batches;
mod list_bounds;
mod list_meta;
mod list_splitter;
mod logged_feed;
mod metrics;
mod next_bytes;
mod object_buffer;
mod outage;
mod oversized;
mod own_pod;
mod paged_list;
mod part_buffer;
mod partial_objects;
mod record;
mod reflector;
mod replicas;
mod representation;
mod request;
mod shard_control;
mod sink;
mod split_error;
mod store_watches;
mod streaming_list;
mod timeouts;
mod turn;
mod watch_audit;
mod watch_changes;
mod watch_event;
mod watch_stream;

pub use builder::WatchBuilder;
pub use client::{configure_for_watching, user_agent};
pub use cluster_watch::ClusterWatch;
pub use errors::{WatchError, WatchProblem};
pub use handle::WatchHandle;
pub use record::{Record, RecordExt};
pub use timeouts::WatchTimeouts;
