//! Watching a cluster (feature `watch`): every registered resource is listed and followed, and
//! what cannot be is said loudly, in [`Health`] and in metrics.
//!
//! ```no_run
//! use kube_state_metrics::StateMetrics;
//! use kube_state_metrics::watch::{ReadinessPolicy, tuned};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let client = kube::Client::try_from(tuned(kube::Config::infer().await?))?;
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
//! Namespaces and the shard are those of the [`StateMetrics`]: they are said once, where it is
//! built, and hold for what the host feeds as well. A resource whose writer the host took is not
//! watched; feed it from the host's own watch with [`RecordExt::record_into`].
//!
//! Failures keep what is known: it is served on, while retries go on with growing waits and the
//! server's `Retry-After`. Nothing is ever served from a list that is not complete. Objects that
//! do not decode are left out, counted and named in the log.

mod client;
mod connection;
mod failure;
mod follow;
mod frame;
mod health;
mod metrics;
mod reflector;
mod sharding;
mod share;
mod split;
mod target;
mod timing;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus::Registry;
use tokio::task::JoinSet;

pub use client::{tuned, user_agent};
pub use failure::FailureReason;
pub use health::{
    FeedHealth, Health, HealthSnapshot, Readiness, ReadinessPolicy, ResourceHealth, ResourceState,
    Source, UnknownPolicy,
};
pub use share::{Record, RecordExt};
pub use timing::Timing;

use crate::builder::ObjectWriter;
use crate::exposition::Slot;
use crate::resource::{ResourceInfo, Scope};
use crate::{Shard, StateMetrics};
use metrics::WatchMetrics;
use reflector::{Options, Reflector};
use sharding::{OwnPod, ReplicaWriter, ShardControl};
use target::Target;

/// Collects how to watch; [`build`](Self::build) checks all of it at once.
///
/// [`StateMetrics::watch`] makes one.
#[derive(Clone)]
#[must_use = "nothing is watched before `run`"]
pub struct Watch {
    metrics: StateMetrics,
    client: Client,
    node: NodeScope,
    labels: Vec<(String, String)>,
    fields: Vec<(String, String)>,
    options: Options,
    registry: Option<Registry>,
    handover: Duration,
    own_pod: Option<OwnPod>,
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
#[derive(Debug, thiserror::Error)]
#[error("{}", list(problems))]
pub struct WatchError {
    problems: Vec<WatchProblem>,
}

/// One thing that is wrong with how to watch.
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

/// Watches that are ready to run.
#[must_use = "nothing is watched before `run`"]
pub struct Watcher {
    watch: Watch,
    health: Health,
    watch_metrics: WatchMetrics,
    control: Arc<ShardControl>,
}

/// Steers watches from outside. Cloning gives another handle to the same watches.
#[derive(Clone)]
pub struct WatchHandle {
    health: Health,
    metrics: StateMetrics,
    control: Arc<ShardControl>,
}

// === impl StateMetrics ===

impl StateMetrics {
    /// Watches all registered resources but those whose writer was taken.
    #[cfg_attr(docsrs, doc(cfg(feature = "watch")))]
    pub fn watch(&self, client: Client) -> Watch {
        Watch {
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
                timing: Timing::default(),
            },
            registry: None,
            handover: Duration::ZERO,
            own_pod: None,
        }
    }
}

// === impl Watch ===

impl Watch {
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
    /// [`Shard::by_range`]); the rest of it does not matter then.
    pub fn shard_of_pod(mut self, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        self.own_pod = Some(OwnPod {
            namespace: namespace.into(),
            name: name.into(),
        });
        self
    }

    /// Replaces how long to wait for what.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.options.timing = timing;
        self
    }

    /// Checks everything and registers the metrics.
    ///
    /// # Errors
    ///
    /// Names every selector for an unknown resource, and a registry that has the metrics already.
    pub fn build(self) -> Result<Watcher, WatchError> {
        let mut problems = Vec::new();
        for (what, selectors) in [("label", &self.labels), ("field", &self.fields)] {
            for (resource, _) in selectors {
                if !self.metrics.resources().any(|own| is_named(&own, resource)) {
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
        Ok(Watcher {
            watch: self,
            health,
            watch_metrics,
            control: Arc::new(control),
        })
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

    /// The collections to watch for a resource, or `None` where it is left out.
    fn targets(&self, slot: &dyn Slot) -> Option<Vec<Target>> {
        let resource = slot.resource();
        let filter = slot.filter();
        let namespaced = resource.scope() == Scope::Namespaced;
        let node = match &self.node {
            NodeScope::All => None,
            NodeScope::Node(_) | NodeScope::Unscheduled if !namespaced => None,
            _ if !(resource.group().is_empty() && resource.plural() == "pods") => return None,
            NodeScope::Node(name) => Some(format!("spec.nodeName={name}")),
            NodeScope::Unscheduled => Some(String::from("spec.nodeName=")),
        };
        let selectors = |all: &[(String, String)]| -> Vec<String> {
            let own = all.iter().filter(|(name, _)| is_named(resource, name));
            own.map(|(_, selector)| selector.clone()).collect()
        };
        let one_by_one = namespaced && !filter.namespaces.is_empty();
        let denied = if namespaced && !one_by_one {
            target::without_namespaces(&filter.denied)
        } else {
            None
        };
        let fields = denied
            .into_iter()
            .chain(node)
            .chain(selectors(&self.fields));
        let everywhere = Target {
            resource: resource.clone(),
            namespace: None,
            field_selector: target::join(fields),
            label_selector: target::join(selectors(&self.labels)),
        };
        if !one_by_one {
            return Some(vec![everywhere]);
        }
        let namespaces = filter.namespaces.difference(&filter.denied);
        let targets = namespaces.map(|namespace| Target {
            namespace: Some(namespace.clone()),
            ..everywhere.clone()
        });
        Some(targets.collect())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("metrics", &self.metrics)
            .field("node", &self.node)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether a resource goes by a plural name, with or without its group.
fn is_named(resource: &ResourceInfo, name: &str) -> bool {
    resource.plural() == name || resource.to_string() == name
}

// === impl Watcher ===

impl Watcher {
    /// What is known of every resource.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// A handle to steer by while [`run`](Self::run) runs.
    #[must_use]
    pub fn handle(&self) -> WatchHandle {
        WatchHandle {
            health: self.health.clone(),
            metrics: self.watch.metrics.clone(),
            control: Arc::clone(&self.control),
        }
    }

    /// Watches until the future is dropped; it never ends by itself.
    ///
    /// It is to be polled by a [tokio] runtime, on which it starts a task per resource and
    /// namespace. Writers the host took before are respected; what was stored stays when the
    /// future is dropped.
    ///
    /// # Panics
    ///
    /// Passes on the panic of a task, which is always a bug: silence would be worse.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let control = Arc::clone(&self.control);
        tasks.spawn(async move { control.run().await });
        if let Some(pod) = &self.watch.own_pod {
            tasks.spawn(self.replicas(pod.clone()));
            tokio::select! {
                () = self.control.known() => {}
                () = fail_with(&mut tasks) => {}
            }
        }
        for reflector in self.reflectors() {
            tasks.spawn(reflector.run());
        }
        fail_with(&mut tasks).await;
    }

    /// Finds the StatefulSet of the own pod and follows it.
    fn replicas(&self, pod: OwnPod) -> impl Future<Output = ()> + Send + use<> {
        let by_range = self.watch.metrics.shard().is_by_range();
        let (client, health) = (self.watch.client.clone(), self.health.clone());
        let options = Options {
            object_limit: None,
            use_cache: false,
            ..self.watch.options.clone()
        };
        let control = Arc::clone(&self.control);
        async move {
            let replicas = pod.replicas(&client, &health, &options.timing).await;
            let writer = ReplicaWriter::new(control, health.clone(), &replicas, by_range);
            let resource = writer.resource().clone();
            // These requests are no part of the metrics: the resource may be watched as well.
            let Ok(metrics) = WatchMetrics::new() else {
                return;
            };
            let target = Target {
                namespace: Some(pod.namespace),
                field_selector: Some(format!("metadata.name={}", replicas.name)),
                label_selector: None,
                resource: resource.clone(),
            };
            let feed = health.feed(&resource, target.namespace.clone());
            let metrics = metrics.feed(&resource, None);
            let (_, scope) = tokio::sync::watch::channel(reflector::ShardScope::default());
            let writer = Box::new(writer);
            let reflector = Reflector::new(
                client,
                target,
                Arc::new(options),
                writer,
                feed,
                metrics,
                scope,
            );
            reflector.run().await;
        }
    }

    fn reflectors(&self) -> Vec<Reflector> {
        let watch = &self.watch;
        let options = Arc::new(watch.options.clone());
        let (mut reflectors, mut left_out) = (Vec::new(), Vec::new());
        let plan = watch.metrics.plan();
        for (at, slot) in plan.slots().iter().enumerate() {
            if slot.is_host_fed() {
                self.health.start(at, Source::Host, Vec::new());
                continue;
            }
            let Some(targets) = watch.targets(&**slot) else {
                self.health.start(at, Source::LeftOut, Vec::new());
                left_out.push(slot.resource().plural());
                continue;
            };
            let (resource, mut feeds) = (slot.resource(), Vec::new());
            for target in targets {
                let feed = self.health.feed(resource, target.namespace.clone());
                feeds.push(Arc::clone(&feed));
                reflectors.push(Reflector::new(
                    watch.client.clone(),
                    target,
                    Arc::clone(&options),
                    slot.own_writer(),
                    feed,
                    self.watch_metrics.feed(resource, options.object_limit),
                    self.control.subscribe(),
                ));
            }
            self.health.start(at, Source::Watched, feeds);
        }
        if !left_out.is_empty() {
            let resources = left_out.join(", ");
            tracing::warn!(resources, "left out: only pods can be selected by node");
        }
        reflectors
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("watch", &self.watch)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

/// Waits for ever, unless a task panics.
async fn fail_with(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
    std::future::pending().await
}

// === impl WatchHandle ===

impl WatchHandle {
    /// What is known of every resource.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The shard that is served now.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.metrics.shard()
    }

    /// Serves another shard from now on.
    ///
    /// Objects that stay are never interrupted. Those that leave go at once, or after
    /// [`shard_handover`](Watch::shard_handover). For those that come, every resource is listed
    /// anew; a host that feeds a resource itself has to restart its own watch.
    pub fn set_shard(&self, shard: Shard) {
        self.control.set(shard);
    }
}

impl fmt::Debug for WatchHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchHandle")
            .field("health", &self.health)
            .field("shard", &self.shard())
            .finish()
    }
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
