//! [`WatchBuilder`]: configures a watch of a cluster.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus::Registry;

use super::blocking_sink::ThreadPermits;
use super::buffer_budget::BufferBudget;
use super::cluster_watch::ClusterWatch;
use super::config::{NodeScope, WatchConfig};
use super::errors::{WatchError, WatchProblem};
use super::own_pod::OwnPod;
use super::reflector::Options;
use super::timeouts::WatchTimeouts;
use crate::registry::StateMetrics;
use crate::resource::ResourceName;

/// Configures a watch of a cluster.
///
/// [`StateMetrics::watch`] creates the builder. [`build`](Self::build) reports all problems of the configuration
/// together.
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
/// The default readiness deadline. It is less than a minute, so that a program is usually ready within a minute.
const READINESS_DEADLINE: Duration = Duration::from_secs(55);
const AUDIT_INTERVAL: Duration = Duration::from_secs(300);
const MIN_AUDIT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_AUDIT_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);
const FORGET_FORBIDDEN_AFTER: Duration = Duration::from_secs(3600);
/// API servers accept requests of up to 3 MiB. The JSON of the object in a response may be several times as large.
const OBJECT_SIZE_LIMIT: usize = 16 << 20;
const FEED_BUFFER_LIMIT: usize = 64 << 20;
/// The largest clusters have about a million objects of a resource, so this limit does not affect them.
const MAX_LIST_OBJECTS: u64 = 5_000_000;

// === impl StateMetrics ===

impl StateMetrics {
    /// Creates the builder of a watch of all registered resources, except the resources that the host feeds.
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
                    // This is a placeholder. `WatchContext` replaces it by a budget with the configured limits.
                    budget: Arc::new(BufferBudget::new(None, None)),
                    permits: ThreadPermits::new(),
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
    /// Cluster-scoped resources are also watched. Other namespaced resources are not watched, because an API server
    /// cannot select them by node. The log has a warning about them. If you also call
    /// [`unscheduled_pods`](Self::unscheduled_pods), this method has no effect.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        if !matches!(self.config.node, NodeScope::Unscheduled) {
            self.config.node = NodeScope::Node(name.into());
        }
        self
    }

    /// Watches only pods that are not assigned to a node.
    ///
    /// For the other resources, the same rules apply as for [`node`](Self::node).
    pub fn unscheduled_pods(mut self) -> Self {
        self.config.node = NodeScope::Unscheduled;
        self
    }

    /// Watches only the objects of a resource that match a [label
    /// selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors).
    ///
    /// If you set several selectors for a resource, an object must match all of them.
    ///
    /// `resource` is a [name](ResourceName) with or without the group, such as `deployments` or `deployments.apps`.
    pub fn label_selector(
        mut self,
        resource: impl Into<ResourceName>,
        selector: impl Into<String>,
    ) -> Self {
        let selectors = &mut self.config.label_selectors;
        selectors.push((resource.into(), selector.into()));
        self
    }

    /// Watches only the objects of a resource that match a [field
    /// selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/).
    ///
    /// If you set several selectors for a resource, an object must match all of them.
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

    /// Limits the number of objects of a list.
    ///
    /// The default is 0, which means no limit.
    ///
    /// The server decides which objects a limited list contains. Objects that are created after the list are also
    /// stored. If each namespace is watched separately, the limit applies to each namespace. A limit disables streaming
    /// lists.
    pub fn object_limit(mut self, objects: u64) -> Self {
        self.config.options.object_limit = (objects > 0).then_some(objects);
        self
    }

    /// Limits the size of an object in a response of the API server (JSON or protobuf), in bytes; 16 MiB by default.
    ///
    /// Zero disables the limit.
    ///
    /// A larger object is skipped and has no samples. Other objects are not affected. The log names the object, and
    /// [`ResourceHealth::oversized`](crate::source::health::ResourceHealth::oversized) and the metric
    /// `kube_state_metrics_oversized_objects_total` count it. The name is searched in the bytes up to the limit, but at
    /// most in the first 1 MiB. If the name is not found, the log shows `<unnamed>`, and samples of an earlier version
    /// of the object stay until the next list.
    pub fn object_size_limit(mut self, bytes: usize) -> Self {
        self.config.object_size_limit = (bytes > 0).then_some(bytes);
        self
    }

    /// Limits the memory for objects that have not completely arrived, for all feeds of the watch together, in bytes;
    /// 64 MiB by default.
    ///
    /// Zero disables the limit. Buffers of up to 64 KiB do not count.
    ///
    /// A feed that needs more memory stops reading until other feeds have completed their objects. No data is lost. A
    /// feed that reads one object for 10 s fails if another feed has waited for 10 s. So objects that never end do not
    /// stop all feeds. One object of the [maximum size](Self::object_size_limit) can always be read. Therefore, if the
    /// limit is less than twice the maximum size, the memory can exceed the limit by up to the maximum size. The
    /// metrics `kube_state_metrics_feed_buffer_bytes`, `kube_state_metrics_feed_buffer_peak_bytes` and
    /// `kube_state_metrics_feed_buffer_waits_total` show the memory in use. If your program runs several watches, each
    /// watch has its own limit.
    pub fn feed_buffer_limit(mut self, bytes: usize) -> Self {
        self.config.feed_buffer_limit = (bytes > 0).then_some(bytes);
        self
    }

    /// Sets the maximum number of objects in a list; five million by default.
    ///
    /// Zero disables the limit.
    ///
    /// A list with more objects fails, so that an endless list does not fill the memory. Before it fails, the samples
    /// of all its objects are in memory. So choose a number of objects whose samples fit into the memory of the
    /// process.
    pub fn max_list_objects(mut self, objects: u64) -> Self {
        self.config.options.max_list_objects = (objects > 0).then_some(objects);
        self
    }

    /// Requests objects in protobuf instead of JSON, for the kinds that have a protobuf encoding; enabled by default.
    ///
    /// Protobuf needs fewer bytes and less CPU time than JSON, in this process and in the API server. The samples are
    /// the same. Custom resources are always requested in JSON. If a family reads a field that this version of the
    /// crate does not know in protobuf, the kind is also requested in JSON. The watch also accepts a response in JSON.
    pub fn protobuf(mut self, enabled: bool) -> Self {
        self.config.options.protobuf = enabled;
        self
    }

    /// Accepts lists from the cache of the API server; disabled by default.
    ///
    /// A list from the cache causes less load for the server, but may be some seconds old. After the list, the watch
    /// receives the changes since then.
    pub fn use_api_server_cache(mut self, on: bool) -> Self {
        self.config.options.use_cache = on;
        self
    }

    /// Requests [streaming lists](https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists);
    /// enabled by default.
    ///
    /// If the server does not support streaming lists, the watch requests normal lists, in pages.
    pub fn streaming_lists(mut self, on: bool) -> Self {
        self.config.options.streaming = on;
        self
    }

    /// Sets the number of objects in a page of a list; 500 by default.
    ///
    /// A page is decoded while it arrives. Therefore, the page size affects the load of the server, but not the memory
    /// of this process.
    pub fn page_size(mut self, objects: u64) -> Self {
        self.config.options.page_size = objects.max(1);
        self
    }

    /// Sets the timeout of a streaming list; 60 s by default. Zero disables the timeout.
    ///
    /// The timeout is at least three times the duration of the last complete list.
    ///
    /// The timeout applies to the time in which the list waits for the server, from the request to the end of the list.
    /// This includes the time in which the server sends objects slowly. It does not include the time in which the watch
    /// applies objects, or waits until other feeds free memory. After the timeout, the watch requests a list in pages,
    /// and logs this once. An hour later, it requests streaming lists again.
    pub fn list_deadline(mut self, time: Duration) -> Self {
        self.config.options.list_deadline = non_zero(time);
        self
    }

    /// Sets how long the [default readiness policy](crate::source::health::ReadinessPolicy::Default) waits for failing
    /// resources; 55 s by default.
    ///
    /// Zero means that the policy waits without a limit.
    ///
    /// The time starts when the first list of any requested resource is complete. After this time, the program becomes
    /// ready with the resources that are complete. The log, [`Readiness`](crate::source::health::Readiness) and the
    /// metric `kube_state_metrics_ready_without` name the missing resources. If a list still receives objects,
    /// readiness waits for this list even after this time.
    pub fn readiness_deadline(mut self, time: Duration) -> Self {
        self.config.readiness_deadline = non_zero(time);
        self
    }

    /// Sets how long the stored objects of a resource stay while the server forbids the resource (403); 1 h by default.
    ///
    /// Zero means that the objects are never removed. Time in which the server does not answer or fails for another
    /// reason does not count.
    ///
    /// Until their removal, the samples of the objects are served, but do not change.
    /// [`ResourceHealth::removal_seconds`](crate::source::health::ResourceHealth::removal_seconds) and the metric
    /// `kube_state_metrics_forbidden_removal_seconds` show the remaining time.
    pub fn forget_forbidden_after(mut self, time: Duration) -> Self {
        self.config.options.forget_forbidden_after = non_zero(time);
        self
    }

    /// Sets the time between two audits of a watch; 5 min by default.
    ///
    /// An audit checks whether the watch has missed changes. Zero disables audits.
    ///
    /// A watch cannot detect that an event was lost, or that its bookmarks come from a server that no longer receives
    /// changes. Therefore, an audit requests the number of objects of the resource. The request is a list that is
    /// limited to one object. The audit compares this number with the number of objects that the watch has received up
    /// to the same resource version. If the numbers differ, or if the watch does not reach this version within two
    /// minutes, the audit lists the metadata of all objects. It compares this metadata with the stored objects. Even
    /// without such a reason, the audits compare the objects of one resource in about every third interval. The
    /// resources take turns. Changes that the watch receives during an audit are not reported as differences. If two
    /// comparisons find the same difference, the resource is listed again. If the list does not remove the difference,
    /// further lists become rarer, down to one list in twelve intervals.
    ///
    /// [`ResourceHealth::audit_difference`](crate::source::health::ResourceHealth::audit_difference) and the metric
    /// `kube_state_metrics_audit_difference` show the number of objects that differ. The metric
    /// `kube_state_metrics_audit_relists_total` counts the lists that audits have caused. Each interval is up to a
    /// tenth shorter or longer, at random, so that watches do not send their requests at the same time. The minimum
    /// interval is a second, and the maximum is a year.
    ///
    /// Some resources are not audited: resources with a selector, resources with an [object limit](Self::object_limit),
    /// and resources that only provide joined labels. With a selector, even a list of one object may cost the API
    /// server as much as a list of all objects.
    pub fn audit_interval(mut self, interval: Duration) -> Self {
        let bounded = |own: Duration| own.clamp(MIN_AUDIT_INTERVAL, MAX_AUDIT_INTERVAL);
        self.config.options.audit_interval = non_zero(interval).map(bounded);
        self
    }

    /// Registers the metrics of the watch in `registry`: metrics about requests, events, objects, health and the shard.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Sets how long objects are still served after they have moved to another shard.
    ///
    /// The default is 30 s with [`shard_of_pod`](Self::shard_of_pod), otherwise zero.
    ///
    /// Choose the time that another instance needs to start and to list its objects. During this time, two instances
    /// serve the objects, so that there is no gap in their series. If the shards follow a StatefulSet, the objects are
    /// also served until all replicas of the StatefulSet are ready, but for at most ten minutes. Zero means that
    /// objects are removed at once.
    pub fn shard_handover(mut self, time: Duration) -> Self {
        self.config.shard_handover = Some(time);
        self
    }

    /// Determines the shard from the StatefulSet that controls the pod of this program.
    ///
    /// When the number of replicas changes, the shard changes.
    ///
    /// No resource is watched before the shard is known. If the ordinal of the pod is not less than the number of
    /// replicas, the program serves no objects. Objects that move to another replica are still served for the time
    /// [`shard_handover`](Self::shard_handover). The shard of the [`StateMetrics`] determines only the partition (see
    /// [`Shard::by_range`](crate::scope::Shard::by_range)).
    pub fn shard_of_pod(mut self, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        self.config.own_pod = Some(OwnPod {
            namespace: namespace.into(),
            name: name.into(),
        });
        self
    }

    /// Watches the CustomResourceDefinitions, to find which configured kinds exist in the cluster; disabled by default.
    ///
    /// With this option, do not call [`set_known_kinds`](crate::registry::CustomResources::set_known_kinds). The option
    /// requires the permission to list and watch `customresourcedefinitions`. Built-in kinds are always known.
    #[cfg(feature = "custom-resources")]
    #[cfg_attr(docsrs, doc(cfg(feature = "custom-resources")))]
    pub fn discover_custom_resources(mut self, on: bool) -> Self {
        self.config.discovers_custom_resources = on;
        self
    }

    /// Sets the timeouts, and the pauses before failed requests are repeated.
    pub fn timeouts(mut self, timeouts: WatchTimeouts) -> Self {
        self.config.options.timeouts = timeouts;
        self
    }

    /// Checks the configuration and registers the metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if a selector is for an unknown resource, or if the registry already contains the metrics. The
    /// error contains all problems.
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

    /// Builds and runs the watch, for a host that does not need its health or its handle.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`build`](Self::build). The errors are also logged, so that you see them even if
    /// nothing awaits the future. If there is no error, the future never resolves.
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

/// Returns the time. If the time is zero, returns `None`, which disables a limit.
fn non_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}
