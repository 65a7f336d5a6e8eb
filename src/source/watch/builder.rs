//! [`WatchBuilder`]: configures a watch of a cluster.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus::Registry;

use super::blocking_sink::one_at_a_time;
use super::buffer_budget::BufferBudget;
use super::cluster_watch::ClusterWatch;
use super::config::{NodeScope, WatchConfig};
use super::errors::{WatchError, WatchProblem};
use super::list_batches::batch_permits;
use super::own_pod::OwnPod;
use super::reflector::Options;
use super::timeouts::WatchTimeouts;
use crate::registry::StateMetrics;
use crate::resource::ResourceName;

/// Configures a watch of a cluster. [`StateMetrics::watch`] creates the builder, and [`build`](Self::build) reports all
/// problems together.
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
/// use kube_state_metrics::source::watch::WatchTimeouts;
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
/// // One instance on every node of the cluster, and one for pods without a node:
/// let (on_a_node, unscheduled) = (watch().node("worker-1"), watch().unscheduled_pods());
/// // Two options that reduce the load of the server:
/// let cheap = watch().use_api_server_cache(true).object_limit(10_000);
/// // A replica of a StatefulSet, which serves its shard:
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
    config: WatchConfig,
    registry: Option<Registry>,
}

const LIST_DEADLINE: Duration = Duration::from_secs(60);
/// The default readiness deadline is below one minute, so that a start takes less than a minute.
const READINESS_DEADLINE: Duration = Duration::from_secs(55);
const AUDIT_INTERVAL: Duration = Duration::from_secs(300);
const MIN_AUDIT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_AUDIT_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);
const FORGET_FORBIDDEN_AFTER: Duration = Duration::from_secs(3600);
/// API servers accept requests of up to 3 MiB. The JSON of an object may be several times as large.
const OBJECT_SIZE_LIMIT: usize = 16 << 20;
const FEED_BUFFER_LIMIT: usize = 64 << 20;
/// The largest clusters have about a million objects of a resource.
const MAX_LIST_OBJECTS: u64 = 5_000_000;

// === impl StateMetrics ===

impl StateMetrics {
    /// Configures a watch of all registered resources, except those that the host feeds.
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
            config: WatchConfig {
                metrics: self.clone(),
                client,
                node: NodeScope::All,
                label_selectors: Vec::new(),
                field_selectors: Vec::new(),
                options: Options {
                    streaming: true,
                    use_cache: false,
                    object_limit: None,
                    page_size: 500,
                    max_list_objects: Some(MAX_LIST_OBJECTS),
                    // `WatchContext` replaces this budget by a budget with the configured limits.
                    budget: Arc::new(BufferBudget::new(None, None)),
                    large_objects: one_at_a_time(),
                    list_batches: batch_permits(),
                    protobuf: true,
                    list_deadline: Some(LIST_DEADLINE),
                    forget_forbidden_after: Some(FORGET_FORBIDDEN_AFTER),
                    timeouts: WatchTimeouts::default(),
                    audit_interval: Some(AUDIT_INTERVAL),
                },
                object_size_limit: Some(OBJECT_SIZE_LIMIT),
                feed_buffer_limit: Some(FEED_BUFFER_LIMIT),
                shard_handover: None,
                readiness_deadline: Some(READINESS_DEADLINE),
                own_pod: None,
                discovers_custom_resources: false,
            },
            registry: None,
        }
    }
}

// === impl WatchBuilder ===

impl WatchBuilder {
    /// Watches only the pods of one node.
    ///
    /// Cluster-scoped resources are also watched. Other namespaced resources cannot be selected by node, so they are
    /// not watched, and a warning is logged. [`unscheduled_pods`](Self::unscheduled_pods) overrides this setting.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        if !matches!(self.config.node, NodeScope::Unscheduled) {
            self.config.node = NodeScope::Node(name.into());
        }
        self
    }

    /// Watches only pods that are not assigned to a node. Other resources are treated as in [`node`](Self::node).
    pub fn unscheduled_pods(mut self) -> Self {
        self.config.node = NodeScope::Unscheduled;
        self
    }

    /// Watches only the objects of a resource that match a
    /// [label selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors).
    /// An object must match all selectors of its resource.
    ///
    /// `resource` is a [name](ResourceName) with or without the group: `deployments`,
    /// `deployments.apps`.
    pub fn label_selector(
        mut self,
        resource: impl Into<ResourceName>,
        selector: impl Into<String>,
    ) -> Self {
        let selectors = &mut self.config.label_selectors;
        selectors.push((resource.into(), selector.into()));
        self
    }

    /// Watches only the objects of a resource that match a
    /// [field selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/).
    /// An object must match all selectors of its resource.
    ///
    /// `resource` is a name as in [`label_selector`](Self::label_selector).
    pub fn field_selector(
        mut self,
        resource: impl Into<ResourceName>,
        selector: impl Into<String>,
    ) -> Self {
        let selectors = &mut self.config.field_selectors;
        selectors.push((resource.into(), selector.into()));
        self
    }

    /// Limits the number of objects that are stored from a list. Default: 0, which means no limit.
    ///
    /// The server chooses the objects of a limited list. Objects that are created after the list are also stored. If
    /// namespaces are watched one by one, the limit applies to each namespace. A limit disables streaming lists.
    pub fn object_limit(mut self, objects: u64) -> Self {
        self.config.options.object_limit = (objects > 0).then_some(objects);
        self
    }

    /// Limits the size of an object as the API server sends it (JSON or protobuf), in bytes; 16 MiB by default. Zero
    /// disables the limit.
    ///
    /// A larger object is skipped while its bytes arrive, and has no samples; other objects are not affected. The name
    /// of the object is read from the bytes up to the limit, at most from the first 1 MiB. If these bytes do not
    /// contain the name, the log shows `<unnamed>`, and samples of an earlier version of the object stay until the next
    /// list. [`ResourceHealth::oversized`](crate::source::health::ResourceHealth::oversized) and the metric
    /// `kube_state_metrics_oversized_objects_total` count the skipped object, and the log names it.
    pub fn object_size_limit(mut self, bytes: usize) -> Self {
        self.config.object_size_limit = (bytes > 0).then_some(bytes);
        self
    }

    /// Limits the total bytes of incomplete objects that all feeds of the watch buffer; 64 MiB by default. Zero
    /// disables the limit. Buffers of up to 64 KiB do not count.
    ///
    /// A feed that needs more memory stops reading until other feeds have finished their objects, so no data is lost.
    /// One object of the [maximum size](Self::object_size_limit) can always be read. A feed with an incomplete object fails if
    /// another feed waits for its memory for 10 s, so that objects that never end do not stop all feeds. If the limit is less than twice
    /// this size, the feeds may exceed the limit by up to this size. The metrics
    /// `kube_state_metrics_feed_buffer_bytes`, `kube_state_metrics_feed_buffer_peak_bytes` and
    /// `kube_state_metrics_feed_buffer_waits_total` show the usage. Each running watch has a separate limit.
    pub fn feed_buffer_limit(mut self, bytes: usize) -> Self {
        self.config.feed_buffer_limit = (bytes > 0).then_some(bytes);
        self
    }

    /// Limits the number of objects that the server may send in a list, five million by default. Zero
    /// disables the limit.
    ///
    /// A list with more objects fails, so that an endless list does not fill the memory. Until the list fails, the
    /// samples of its objects need memory. Choose a number of objects whose samples fit into the memory of the process.
    pub fn max_list_objects(mut self, objects: u64) -> Self {
        self.config.options.max_list_objects = (objects > 0).then_some(objects);
        self
    }

    /// Requests protobuf for the kinds that have a protobuf encoding; enabled by default.
    ///
    /// Protobuf needs fewer bytes and less CPU time than JSON, in this process and in the API server. The samples are
    /// the same. Custom resources are requested in JSON. If a family reads a field that is newer than this crate, the
    /// kind is also requested in JSON. A server or a proxy may answer in JSON at any time.
    pub fn protobuf(mut self, enabled: bool) -> Self {
        self.config.options.protobuf = enabled;
        self
    }

    /// Accepts lists from the API server's cache; disabled by default.
    ///
    /// A list from the cache costs the server less, but the list may be some seconds old. The watch after the list
    /// receives the missing changes.
    pub fn use_api_server_cache(mut self, on: bool) -> Self {
        self.config.options.use_cache = on;
        self
    }

    /// Requests [streaming lists](https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists);
    /// enabled by default.
    ///
    /// If the server does not support streaming lists, the watch falls back to paged lists.
    pub fn streaming_lists(mut self, on: bool) -> Self {
        self.config.options.streaming = on;
        self
    }

    /// The number of objects in a page of a list, 500 by default.
    ///
    /// Pages are decoded while they arrive. Therefore, the page size affects the load of the server, not the memory of
    /// this process.
    pub fn page_size(mut self, objects: u64) -> Self {
        self.config.options.page_size = objects.max(1);
        self
    }

    /// Sets the timeout of a streaming list: 60 s by default, or three times the duration of the last complete list if
    /// that is longer. The timeout also applies while the server sends objects. Zero disables the timeout.
    ///
    /// The time includes the wait for the response, but not the time in which the list waits for memory of other
    /// feeds. After the timeout, the watch falls back to a paged list and logs the fallback once. Streaming lists are
    /// requested again an hour later.
    pub fn list_deadline(mut self, time: Duration) -> Self {
        self.config.options.list_deadline = non_zero(time);
        self
    }

    /// Sets how long the [default readiness policy](crate::source::health::ReadinessPolicy::Default) waits for failing
    /// resources, 55 s by default. Zero disables the limit.
    ///
    /// The time starts with the first complete list of a requested resource, when the API server is known to work.
    /// After the deadline, the complete resources are served. The log, [`Readiness`](crate::source::health::Readiness)
    /// and the metric `kube_state_metrics_ready_without` name the missing resources. Readiness also waits beyond the
    /// deadline for a list that receives objects.
    pub fn readiness_deadline(mut self, time: Duration) -> Self {
        self.config.readiness_deadline = non_zero(time);
        self
    }

    /// Sets how long the stored objects of a resource stay while the server forbids the resource (403), 1 h by default.
    /// Zero keeps them forever. The time excludes periods in which the server does not answer or fails in another way.
    ///
    /// Until their removal, the objects are served and become stale.
    /// [`ResourceHealth::removal_seconds`](crate::source::health::ResourceHealth::removal_seconds) and the metric
    /// `kube_state_metrics_forbidden_removal_seconds` show the remaining time.
    pub fn forget_forbidden_after(mut self, time: Duration) -> Self {
        self.config.options.forget_forbidden_after = non_zero(time);
        self
    }

    /// Sets the time between two audits of a watch, 5 min by default. Zero disables audits.
    ///
    /// A watch cannot detect that an event was lost, or that its bookmarks come from a server that no longer receives
    /// changes. Therefore, an audit requests a list of one object, whose metadata has the number of objects of the
    /// resource. The audit compares this number with the number of objects that the watch has received up to the same
    /// resource version. If the numbers differ, or if the watch does not reach this version within two minutes, the
    /// audit immediately lists and compares the metadata of all objects. In addition, once per interval, an audit
    /// compares the metadata of about one resource without such a reason. The resources take turns. Changes that the
    /// watch receives during an audit are not reported as differences. If two comparisons find the same difference, the
    /// resource is listed again. If these lists do not remove the difference, they become rarer, down to one list in
    /// twelve intervals.
    ///
    /// [`ResourceHealth::audit_difference`](crate::source::health::ResourceHealth::audit_difference) and the metric
    /// `kube_state_metrics_audit_difference` show the number of objects that differ, and
    /// `kube_state_metrics_audit_relists_total` counts the lists that an audit has caused. Each interval is up to a
    /// tenth shorter or longer, at random, so that watches do not send their requests at the same time. Intervals below
    /// a second count as a second, and intervals above a year as a year.
    ///
    /// Resources with selectors are not audited, because a list with a selector may cost the API server as much as a
    /// list of all objects. Resources with an [object limit](Self::object_limit), and resources that only provide
    /// joined labels, are not audited either.
    pub fn audit_interval(mut self, interval: Duration) -> Self {
        let bounded = |own: Duration| own.clamp(MIN_AUDIT_INTERVAL, MAX_AUDIT_INTERVAL);
        self.config.options.audit_interval = non_zero(interval).map(bounded);
        self
    }

    /// Registers the metrics of the watch: requests, events, objects, health, shard.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Sets how long objects are served after they moved to another shard. Default: 30 s with
    /// [`shard_of_pod`](Self::shard_of_pod), otherwise zero.
    ///
    /// Choose the time that other instances need to start and to list. With this time, a change of the shards causes a
    /// short overlap of the series, but no gap. If the shards follow a StatefulSet, and its replicas are not ready
    /// after this time, the objects are served longer: until the replicas are ready, but for at most ten minutes. Zero
    /// disables both periods.
    pub fn shard_handover(mut self, time: Duration) -> Self {
        self.config.shard_handover = Some(time);
        self
    }

    /// Takes the shard from the StatefulSet that controls this pod, and changes the shard when the number of replicas
    /// changes.
    ///
    /// No resource is watched before the shard is known. A replica whose ordinal is not below the number of replicas
    /// serves no objects. Objects that move to another replica are served for the
    /// [`shard_handover`](Self::shard_handover). Only the kind of partition is taken from the shard of the
    /// [`StateMetrics`] (see [`Shard::by_range`](crate::scope::Shard::by_range)).
    pub fn shard_of_pod(mut self, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        self.config.own_pod = Some(OwnPod {
            namespace: namespace.into(),
            name: name.into(),
        });
        self
    }

    /// Watches the definitions of custom resources, so that the configured kinds are watched while
    /// the cluster serves them; disabled by default.
    ///
    /// This option replaces calls of [`set_known_kinds`](crate::registry::CustomResources::set_known_kinds), and
    /// requires the permission to list and watch `customresourcedefinitions`. Built-in kinds are always known.
    #[cfg(feature = "custom-resources")]
    #[cfg_attr(docsrs, doc(cfg(feature = "custom-resources")))]
    pub fn discover_custom_resources(mut self, on: bool) -> Self {
        self.config.discovers_custom_resources = on;
        self
    }

    /// Replaces the timeouts and backoffs.
    pub fn timeouts(mut self, timeouts: WatchTimeouts) -> Self {
        self.config.options.timeouts = timeouts;
        self
    }

    /// Checks the configuration and registers the metrics.
    ///
    /// # Errors
    ///
    /// If a selector is for an unknown resource, or if the registry already contains the metrics. All problems are
    /// reported together.
    pub fn build(self) -> Result<ClusterWatch, WatchError> {
        let mut problems = self.config.unknown_selectors();
        match ClusterWatch::new(self.config, self.registry.as_ref()) {
            Ok(watch) if problems.is_empty() => Ok(watch),
            Ok(_) => Err(WatchError::new(problems)),
            Err(error) => {
                problems.push(WatchProblem::Registry(error));
                Err(WatchError::new(problems))
            }
        }
    }

    /// Builds and runs the watch, for hosts that need neither its health nor its handle.
    ///
    /// # Errors
    ///
    /// The same as [`build`](Self::build). The errors are also logged, so that they are visible if the task is not
    /// awaited. Without errors, the future never resolves.
    pub fn run(self) -> impl Future<Output = Result<(), WatchError>> + Send + use<> {
        let watch = self.build().inspect_err(|error| {
            for problem in error.problems() {
                tracing::error!(
                    %problem,
                    "the watch does not start; correct its configuration and start the program again"
                );
            }
        });
        async move {
            watch?.run().await;
            Ok(())
        }
    }
}

impl fmt::Debug for WatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder")
            .field("metrics", &self.config.metrics)
            .field("node", &self.config.node)
            .field("options", &self.config.options)
            .finish_non_exhaustive()
    }
}

/// Returns the time; `None` if the time is zero, which disables a limit.
fn non_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}
