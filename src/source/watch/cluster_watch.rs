//! [`ClusterWatch`]: a task per resource and namespace, for the resources of the current plan.

use std::fmt;
use std::future::Future;
use std::ptr::addr_eq;
use std::sync::Arc;

use prometheus::Registry;
use tokio::task::{AbortHandle, JoinSet};

use super::config::WatchConfig;
use super::feed::FeedState;
use super::handle::WatchHandle;
use super::health::{FeedOrigin, Health};
use super::metrics::WatchMetrics;
use super::reflector::{Options, Reflector, ShardScope};
use super::request::Target;
use super::sharding::{OwnPod, ReplicaWriter, ShardControl};
use crate::store::{AnyStore, ObjectWriter};

/// A configured watch of a cluster. [`run`](Self::run) starts it.
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
/// let watch = metrics.watch(client).build()?;
/// let (health, handle) = (watch.health(), watch.handle());
/// let running = tokio::spawn(watch.run());
/// assert_eq!(health.resources().len(), handle.health().resources().len());
/// running.abort(); // the stored samples stay
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is watched before `run`"]
pub struct ClusterWatch {
    config: WatchConfig,
    health: Health,
    watch_metrics: WatchMetrics,
    control: Arc<ShardControl>,
}

/// The watches of one resource.
struct Running {
    store: Arc<dyn AnyStore>,
    tasks: Vec<AbortHandle>,
    feeds: Vec<Arc<FeedState>>,
}

// === impl ClusterWatch ===

impl ClusterWatch {
    /// # Errors
    ///
    /// If the registry refuses the metrics of the watch.
    pub(super) fn new(
        config: WatchConfig,
        registry: Option<&Registry>,
    ) -> Result<Self, prometheus::Error> {
        let health = Health::new(config.metrics.clone());
        let watch_metrics = WatchMetrics::new()?;
        if let Some(registry) = registry {
            watch_metrics.register(registry, &health)?;
        }
        let control = ShardControl::new(
            config.metrics.clone(),
            watch_metrics.clone(),
            config.shard_handover,
            config.own_pod.is_none(),
        );
        if let Some(pod) = &config.own_pod {
            let problem = format!(
                "looking for the StatefulSet of pod {}/{}",
                pod.namespace, pod.name
            );
            health.set_sharding(Some(problem));
        }
        Ok(Self {
            config,
            health,
            watch_metrics,
            control: Arc::new(control),
        })
    }

    /// The health of every resource.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// A handle that controls the watch while [`run`](Self::run) runs.
    #[must_use]
    pub fn handle(&self) -> WatchHandle {
        WatchHandle::new(
            self.health.clone(),
            self.config.metrics.clone(),
            Arc::clone(&self.control),
        )
    }

    /// Watches until the future is dropped; it never ends by itself.
    ///
    /// It is to be polled by a [tokio] runtime, on which it starts a task per resource and
    /// namespace. Writers the host took before are respected, resources that are added or removed
    /// later are watched or not from then on. What was stored stays when the future is dropped.
    ///
    /// # Panics
    ///
    /// Passes on the panic of a task, which is always a bug: silence would be worse.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let control = Arc::clone(&self.control);
        tasks.spawn(async move { control.run().await });
        if let Some(pod) = &self.config.own_pod {
            tasks.spawn(self.replicas(pod.clone()));
            tokio::select! {
                () = self.control.known() => {}
                () = fail_with(&mut tasks) => {}
            }
        }
        let mut changes = self.config.metrics.current_plan().changes();
        let mut running = Vec::new();
        #[cfg(feature = "custom-resources")]
        if self.config.discovers_custom_resources {
            tasks.spawn(self.definitions().run());
        }
        loop {
            self.follow_plan(&mut running, &mut tasks);
            self.health.begin();
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = fail_with(&mut tasks) => {}
            }
        }
    }

    /// Ends the watches of resources that are gone and begins those of new ones.
    fn follow_plan(&self, running: &mut Vec<Running>, tasks: &mut JoinSet<()>) {
        let plan = self.config.metrics.plan();
        let same =
            |a: &Arc<dyn AnyStore>, b: &Arc<dyn AnyStore>| addr_eq(Arc::as_ptr(a), Arc::as_ptr(b));
        self.health.arrange(&plan);
        running.retain(|own| {
            let stays = plan.stores().iter().any(|store| same(store, &own.store));
            if !stays {
                own.tasks.iter().for_each(AbortHandle::abort);
                self.watch_metrics.forget(own.store.resource());
            }
            stays
        });
        let mut left_out = Vec::new();
        let mut stores: Vec<_> = plan.stores().iter().collect();
        // Who is fed along with another finds that one running.
        stores.sort_by_key(|store| plan.feeder_of(&***store).is_some());
        for store in stores {
            if running.iter().any(|own| same(store, &own.store)) {
                continue;
            }
            let mut own = Running {
                store: Arc::clone(store),
                tasks: Vec::new(),
                feeds: Vec::new(),
            };
            let feeder = plan.feeder_of(&**store);
            let feeder =
                feeder.and_then(|feeder| running.iter().find(|own| same(feeder, &own.store)));
            if store.is_host_fed() {
                self.health.start(store, FeedOrigin::Host, Vec::new());
            } else if let Some(targets) = self.config.targets(&**store) {
                let reflectors: Vec<_> = match feeder {
                    Some(feeder) => {
                        own.feeds.clone_from(&feeder.feeds);
                        Vec::new()
                    }
                    None => (targets.into_iter())
                        .map(|target| self.reflector(store, target))
                        .collect(),
                };
                own.feeds
                    .extend(reflectors.iter().map(|own| Arc::clone(&own.feed)));
                // Made known before they begin.
                self.health
                    .start(store, FeedOrigin::Watched, own.feeds.clone());
                let started = reflectors.into_iter().map(|own| tasks.spawn(own.run()));
                own.tasks.extend(started);
            } else {
                self.health.start(store, FeedOrigin::LeftOut, Vec::new());
                left_out.push(store.resource().label());
            }
            running.push(own);
        }
        // Where a resource has more families now, its watches list anew.
        self.control.look_again();
        if !left_out.is_empty() {
            let resources = left_out.join(", ");
            tracing::warn!(resources, "left out: only pods can be selected by node");
        }
    }

    fn reflector(&self, store: &Arc<dyn AnyStore>, target: Target) -> Reflector {
        let (config, resource) = (&self.config, store.resource());
        let options = Arc::new(config.options.clone());
        Reflector::new(
            config.client.clone(),
            target.clone(),
            Arc::clone(&options),
            store.object_writer(),
            self.health.feed(resource, target.namespace),
            self.watch_metrics.feed(resource, options.object_limit),
            self.control.subscribe(),
        )
    }

    /// The reflector of the definitions of custom resources.
    #[cfg(feature = "custom-resources")]
    fn definitions(&self) -> Reflector {
        let writer = super::definitions::DefinitionWriter::new(
            self.config.metrics.clone(),
            self.watch_metrics.definitions().clone(),
        );
        let resource = writer.resource().clone();
        let feed = self.health.feed(&resource, None);
        self.health
            .add_definitions(&resource, writer.known(), Arc::clone(&feed));
        let target = Target::all(resource);
        unsharded(
            &self.config,
            &self.watch_metrics,
            Box::new(writer),
            target,
            feed,
        )
    }

    /// Finds the StatefulSet of the own pod and follows it.
    fn replicas(&self, pod: OwnPod) -> impl Future<Output = ()> + Send + use<> {
        let (config, health) = (self.config.clone(), self.health.clone());
        let control = Arc::clone(&self.control);
        async move {
            let replicas = pod
                .replicas(&config.client, &health, &config.options.timeouts)
                .await;
            let by_range = config.metrics.shard().is_by_range();
            let writer = ReplicaWriter::new(control, health.clone(), &replicas, by_range);
            // These requests are not counted: the resource may be watched for its metrics as well.
            let Ok(metrics) = WatchMetrics::new() else {
                return;
            };
            let target = Target {
                namespace: Some(pod.namespace),
                field_selector: Some(format!("metadata.name={}", replicas.name)),
                ..Target::all(writer.resource().clone())
            };
            let feed = health.feed(&target.resource, target.namespace.clone());
            let reflector = unsharded(&config, &metrics, Box::new(writer), target, feed);
            reflector.run().await;
        }
    }
}

/// A reflector of objects that do not belong to one shard.
fn unsharded(
    config: &WatchConfig,
    metrics: &WatchMetrics,
    writer: Box<dyn ObjectWriter>,
    target: Target,
    feed: Arc<FeedState>,
) -> Reflector {
    let options = Arc::new(Options {
        object_limit: None,
        use_cache: false,
        ..config.options.clone()
    });
    let metrics = metrics.feed(&target.resource, None);
    let (_, scope) = tokio::sync::watch::channel(ShardScope::default());
    let client = config.client.clone();
    Reflector::new(client, target, options, writer, feed, metrics, scope)
}

impl fmt::Debug for ClusterWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterWatch")
            .field("metrics", &self.config.metrics)
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
