//! Watching a cluster (feature `watch`): every registered resource is listed and followed, and
//! what cannot be is said loudly, in [`Health`] and in metrics.
//!
//! ```no_run
//! use kube_state_metrics::StateMetrics;
//! use kube_state_metrics::watch::{ReadinessPolicy, configure_for_watching};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let client = kube::Client::try_from(configure_for_watching(kube::Config::infer().await?))?;
//! let registry = prometheus::Registry::new();
//!
//! let watcher = metrics.watch(client).registry(&registry).build()?;
//! let health = watcher.health();
//! tokio::spawn(watcher.run());
//! health.ready(ReadinessPolicy::Default).await;
//! # Ok(())
//! # }
//! ```
//!
//! The same against a server that has nothing to offer, which is an answer too:
//!
//! ```
//! use kube_state_metrics::StateMetrics;
//! use kube_state_metrics::watch::ReadinessPolicy;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = tower::service_fn(|_| async {
//!     http::Response::builder().status(404).body(kube::client::Body::empty())
//! });
//! let client = kube::Client::new(service, "default");
//! let metrics = StateMetrics::builder().resources(["pods"]).build()?;
//! let watcher = metrics.watch(client).build()?;
//! let health = watcher.health();
//! tokio::spawn(watcher.run());
//! let readiness = health.ready(ReadinessPolicy::Default).await;
//! assert_eq!(readiness.refused[0].resource, "pods");
//! # Ok(())
//! # }
//! ```
//!
//! Namespaces and the shard are those of the [`StateMetrics`]: they are said once, where it is
//! built, and hold for what the host feeds as well. A resource whose writer the host took is not
//! watched; feed it from the host's own watch with [`RecordExt::record_into`].
//!
//! Failures keep what is known: it is served on, while retries go on with growing waits and the
//! server's `Retry-After`. Nothing is ever served from a list that is not complete. Objects that
//! do not decode are left out, counted and named in the log.

mod client;
mod connection;
#[cfg(feature = "custom-resources")]
mod definitions;
mod failure;
mod feed;
mod health;
mod json_splitter;
mod metrics;
mod outage;
mod readiness;
mod record;
mod reflector;
mod request;
mod sharding;
mod timeouts;
mod watch_event;
mod watch_stream;
mod watcher;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus::Registry;

pub use client::{configure_for_watching, user_agent};
pub use failure::FailureReason;
pub use health::{FeedHealth, FeedOrigin, Health, HealthSnapshot, ResourceHealth, ResourceState};
pub use readiness::{Readiness, ReadinessPolicy, UnknownPolicy};
pub use record::{Record, RecordExt};
pub use timeouts::WatchTimeouts;
pub use watcher::{ClusterWatch, WatchHandle};

use crate::StateMetrics;
use crate::resource::ResourceInfo;
use metrics::WatchMetrics;
use reflector::Options;
use sharding::{OwnPod, ShardControl};

/// Collects how to watch; [`build`](Self::build) checks all of it at once.
///
/// [`StateMetrics::watch`] makes one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use std::time::Duration;
///
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::watch::WatchTimeouts;
///
/// let metrics = StateMetrics::builder().resources(["pods", "nodes", "deployments"]).build()?;
/// let registry = prometheus::Registry::new();
/// let watch = || metrics.watch(client.clone());
///
/// let watcher = watch()
///     .label_selector("deployments.apps", "team=shop")
///     .field_selector("pods", "status.phase=Running")
///     .page_size(200)
///     .streaming_lists(true)
///     .timeouts(WatchTimeouts::default())
///     .registry(&registry)
///     .build()?;
/// tokio::spawn(watcher.run()); // it never ends
///
/// // On every node of the cluster, and once for pods that have none yet:
/// let (on_a_node, unscheduled) = (watch().node("worker-1"), watch().unscheduled_pods());
/// // Two that are easy on the server, each in its own way:
/// let cheap = watch().use_api_server_cache(true).object_limit(10_000);
/// // A replica of a StatefulSet, which serves its share:
/// let replica = watch().shard_of_pod("monitoring", "ksm-1").shard_handover(Duration::from_secs(30));
/// # #[cfg(feature = "custom-resources")]
/// let custom = watch().discover_custom_resources(true);
/// for watch in [on_a_node, unscheduled, cheap, replica] {
///     drop(watch.build()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is watched before `run`"]
pub struct WatchBuilder {
    metrics: StateMetrics,
    client: Client,
    node: NodeScope,
    labels: Vec<(String, String)>,
    fields: Vec<(String, String)>,
    options: Options,
    registry: Option<Registry>,
    handover: Duration,
    own_pod: Option<OwnPod>,
    #[cfg(feature = "custom-resources")]
    definitions: bool,
}

/// Which pods are watched.
#[derive(Clone, Debug, Default)]
enum NodeScope {
    #[default]
    All,
    /// Those of a node.
    Node(String),
    /// Those of no node yet.
    Unscheduled,
}

/// Everything that is wrong with how to watch.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let watch = metrics.watch(client).label_selector("pod", "team=shop");
/// let error = watch.build().unwrap_err();
/// assert_eq!(error.problems().len(), 1);
/// assert!(error.to_string().contains("`pod`, which is not registered; there are pods"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}", list(problems))]
pub struct WatchError {
    problems: Vec<WatchProblem>,
}

/// One thing that is wrong with how to watch.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = tower::service_fn(|_| async {
/// #     http::Response::builder().status(404).body(kube::client::Body::empty())
/// # });
/// # let client = kube::Client::new(service, "default"); // a server that knows nothing
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::watch::WatchProblem;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let registry = prometheus::Registry::new();
/// let first = metrics.watch(client.clone()).registry(&registry).build()?;
/// let error = metrics.watch(client).registry(&registry).build().unwrap_err();
/// assert!(matches!(error.problems(), [WatchProblem::Registry(_)]));
/// # drop(first);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchProblem {
    /// A selector for a resource that is not registered.
    #[error("the {what} selector is for `{resource}`, which is not registered; there are {known}")]
    UnknownResource {
        /// `label` or `field`.
        what: &'static str,
        /// The name given.
        resource: String,
        /// The names there are.
        known: String,
    },
    /// The registry does not take the metrics of the watching.
    #[error(
        "cannot register the metrics of the watching: {0}; give each watch a registry of its own"
    )]
    Registry(prometheus::Error),
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Watches all registered resources but those whose writer was taken.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let service = tower::service_fn(|_| async {
    /// #     http::Response::builder().status(404).body(kube::client::Body::empty())
    /// # });
    /// # let client = kube::Client::new(service, "default"); // a server that knows nothing
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// tokio::spawn(metrics.watch(client).run());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "watch")))]
    pub fn watch(&self, client: Client) -> WatchBuilder {
        WatchBuilder {
            metrics: self.clone(),
            client,
            node: NodeScope::All,
            labels: Vec::new(),
            fields: Vec::new(),
            options: Options {
                streaming: true,
                use_cache: false,
                object_limit: None,
                page_size: 500,
                timeouts: WatchTimeouts::default(),
            },
            registry: None,
            handover: Duration::ZERO,
            own_pod: None,
            #[cfg(feature = "custom-resources")]
            definitions: false,
        }
    }
}

// === impl WatchBuilder ===

impl WatchBuilder {
    /// Watches only the pods of a node.
    ///
    /// Other namespaced resources cannot be selected by node and are left out, with a warning;
    /// cluster-scoped ones are watched. [`unscheduled_pods`](Self::unscheduled_pods) wins where
    /// both are called.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        if !matches!(self.node, NodeScope::Unscheduled) {
            self.node = NodeScope::Node(name.into());
        }
        self
    }

    /// Watches only the pods that no node has yet; the rest is as for [`node`](Self::node).
    pub fn unscheduled_pods(mut self) -> Self {
        self.node = NodeScope::Unscheduled;
        self
    }

    /// Watches only the objects of a resource that a
    /// [label selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors)
    /// selects; several for one resource must all hold.
    ///
    /// `resource` is a plural name, with or without the group: `deployments`, `deployments.apps`.
    pub fn label_selector(
        mut self,
        resource: impl fmt::Display,
        selector: impl Into<String>,
    ) -> Self {
        self.labels.push((resource.to_string(), selector.into()));
        self
    }

    /// Watches only the objects of a resource that a
    /// [field selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/)
    /// selects; several for one resource must all hold.
    pub fn field_selector(
        mut self,
        resource: impl fmt::Display,
        selector: impl Into<String>,
    ) -> Self {
        self.fields.push((resource.to_string(), selector.into()));
        self
    }

    /// Takes at most so many objects from a list; 0, the default, is no limit.
    ///
    /// Which ones is up to the server. Objects that are added later come on top. Each namespace
    /// has the limit where namespaces are watched one by one. There are no streaming lists then.
    pub fn object_limit(mut self, objects: u64) -> Self {
        self.options.object_limit = (objects > 0).then_some(objects);
        self
    }

    /// Takes whatever version of a list the server has at hand; off by default.
    ///
    /// It costs the server less and may be some seconds old. The watch then catches up.
    pub fn use_api_server_cache(mut self, on: bool) -> Self {
        self.options.use_cache = on;
        self
    }

    /// Asks for [streaming lists](https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists);
    /// on by default.
    ///
    /// A server that does not have them is asked for pages instead.
    pub fn streaming_lists(mut self, on: bool) -> Self {
        self.options.streaming = on;
        self
    }

    /// Objects to ask for in a page of a list, 500 by default.
    ///
    /// No page is held in memory, so this is only about what a single answer costs the server.
    pub fn page_size(mut self, objects: u64) -> Self {
        self.options.page_size = objects.max(1);
        self
    }

    /// Registers the metrics of the watching: requests, events, objects, health, shard.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// How long objects are still served after another shard has taken them over; not at all by
    /// default.
    ///
    /// A time as long as a list takes turns the gap of a change of shards into a short overlap.
    pub fn shard_handover(mut self, time: Duration) -> Self {
        self.handover = time;
        self
    }

    /// Takes the shard from the StatefulSet that the own pod is a replica of, and follows its
    /// number of replicas.
    ///
    /// Nothing is watched before the shard is known; a replica that is not needed any more serves
    /// nothing. The partition is that of the shard the [`StateMetrics`] was built with (see
    /// [`Shard::by_range`](crate::Shard::by_range)); the rest of it does not matter then.
    pub fn shard_of_pod(mut self, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        self.own_pod = Some(OwnPod {
            namespace: namespace.into(),
            name: name.into(),
        });
        self
    }

    /// Watches the definitions of custom resources, so that the kinds of a configuration are
    /// watched as they come, change their versions and go; off by default.
    ///
    /// It takes the place of [`set_known_kinds`](StateMetrics::set_known_kinds), and needs the
    /// right to list and watch `customresourcedefinitions`. Built-in kinds are always known.
    #[cfg(feature = "custom-resources")]
    #[cfg_attr(docsrs, doc(cfg(feature = "custom-resources")))]
    pub fn discover_custom_resources(mut self, on: bool) -> Self {
        self.definitions = on;
        self
    }

    /// Replaces how long to wait for what.
    pub fn timeouts(mut self, timeouts: WatchTimeouts) -> Self {
        self.options.timeouts = timeouts;
        self
    }

    /// Checks everything and registers the metrics.
    ///
    /// # Errors
    ///
    /// Names every selector for an unknown resource, and a registry that has the metrics already.
    pub fn build(self) -> Result<ClusterWatch, WatchError> {
        let mut problems = Vec::new();
        #[cfg(feature = "custom-resources")]
        let all_known = !self.definitions;
        #[cfg(not(feature = "custom-resources"))]
        let all_known = true;
        for (what, selectors) in [("label", &self.labels), ("field", &self.fields)] {
            for (resource, _) in selectors {
                if all_known && !self.metrics.resources().any(|own| is_named(&own, resource)) {
                    let known: Vec<_> = self
                        .metrics
                        .resources()
                        .map(|own| own.plural().to_owned())
                        .collect();
                    problems.push(WatchProblem::UnknownResource {
                        what,
                        resource: resource.clone(),
                        known: known.join(", "),
                    });
                }
            }
        }
        let health = Health::new(self.metrics.clone());
        let watch_metrics = WatchMetrics::new().and_then(|metrics| {
            if let Some(registry) = &self.registry {
                metrics.register(registry, &health)?;
            }
            Ok(metrics)
        });
        let watch_metrics = match watch_metrics {
            Ok(metrics) if problems.is_empty() => metrics,
            Ok(_) => return Err(WatchError { problems }),
            Err(error) => {
                problems.push(WatchProblem::Registry(error));
                return Err(WatchError { problems });
            }
        };
        let control = ShardControl::new(
            self.metrics.clone(),
            watch_metrics.clone(),
            self.handover,
            self.own_pod.is_none(),
        );
        if let Some(pod) = &self.own_pod {
            let problem = format!(
                "looking for the StatefulSet of pod {}/{}",
                pod.namespace, pod.name
            );
            health.set_sharding(Some(problem));
        }
        Ok(ClusterWatch::new(
            self,
            health,
            watch_metrics,
            Arc::new(control),
        ))
    }

    /// Builds and runs, for those who need neither health nor handle.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build), at once; otherwise the future never ends.
    pub fn run(self) -> impl Future<Output = Result<(), WatchError>> + Send + use<> {
        let watcher = self.build();
        async move {
            watcher?.run().await;
            Ok(())
        }
    }
}

impl fmt::Debug for WatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder")
            .field("metrics", &self.metrics)
            .field("node", &self.node)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether a resource goes by a plural name, with or without its group.
fn is_named(resource: &ResourceInfo, name: &str) -> bool {
    resource.plural() == name || resource.to_string() == name || resource.label() == name
}

// === impl WatchError ===

impl WatchError {
    /// The single problems, in the order they were found.
    #[must_use]
    pub fn problems(&self) -> &[WatchProblem] {
        &self.problems
    }
}

fn list(problems: &[WatchProblem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
