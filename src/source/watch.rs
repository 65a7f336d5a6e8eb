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
//! If the server refuses to list a resource, the resource does not delay readiness. But if the server refuses all
//! resources, the watch does not become ready. If requests for a resource fail for another reason, the resource delays
//! readiness for [at most a minute](WatchBuilder::readiness_deadline). [`Readiness`](crate::source::health::Readiness)
//! names the refused resources and the failing resources.
//!
//! The watch requests only the objects in the namespaces and the shard of the [`StateMetrics`](crate::StateMetrics).
//! The watch does not request a resource that the host feeds. The host can feed such a resource from its own watch,
//! with [`RecordExt::record_into`].
//!
//! While a resource cannot be listed or watched, its last samples are served. Failed requests are repeated after a
//! growing pause, or after the time in the header `Retry-After`. The objects of a list are served when the list is
//! complete. An object that cannot be decoded is skipped and counted, and the log names the object.

mod audit;
mod batch_memory;
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
mod expensive_list;
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
mod listed_expensive;
mod logged_feed;
mod metrics;
mod next_bytes;
mod object_buffer;
mod outage;
mod oversized;
mod own_pod;
mod page_size;
mod paged_list;
mod part_buffer;
mod partial_objects;
mod postponed_objects;
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
mod token_words;
mod turn;
mod watch_audit;
mod watch_changes;
mod watch_event;
mod watch_objects;
mod watch_postponed;
mod watch_stream;

pub use builder::WatchBuilder;
pub use client::{configure_for_watching, user_agent};
pub use cluster_watch::ClusterWatch;
pub use errors::{WatchError, WatchProblem};
pub use failure::failure_of_request;
pub use handle::WatchHandle;
pub use record::{Record, RecordExt};
pub use timeouts::WatchTimeouts;
pub use token_words::without_tokens;
