//! [`ClusterWatch`]: lists and watches all registered resources. There is one task per resource or, if each namespace
//! is watched separately, one task per resource and namespace.

use std::fmt;
use std::sync::Arc;

use prometheus::Registry;
use tokio::task::JoinSet;

use super::config::WatchConfig;
use super::context::WatchContext;
#[cfg(feature = "custom-resources")]
use super::definitions::DefinitionWatch;
use super::handle::WatchHandle;
use super::join_watches;
use super::replicas;
use super::store_watches::{StoreWatch, StoreWatches};
use crate::source::health::{EXPENSIVE, Health, ReadinessPolicy};
use crate::source::plan_follower::PlanFollower;
use crate::source::{Source, SourceFuture};

/// A configured watch of a cluster.
///
/// [`run`](Self::run) starts the watch.
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
    context: WatchContext,
    /// The watch of the CustomResourceDefinitions; `None` if it is disabled.
    #[cfg(feature = "custom-resources")]
    definitions: Option<DefinitionWatch>,
}

// === impl ClusterWatch ===

impl ClusterWatch {
    /// Creates a watch. `registry` receives the metrics of the watch.
    ///
    /// # Errors
    ///
    /// Returns an error if the metrics of the watch cannot be registered.
    pub(super) fn new(
        config: WatchConfig,
        registry: Option<&Registry>,
    ) -> Result<Self, prometheus::Error> {
        let context = WatchContext::new(config, registry)?;
        Ok(Self {
            #[cfg(feature = "custom-resources")]
            definitions: (context.config.discovers_custom_resources)
                .then(|| DefinitionWatch::new(&context)),
            context,
        })
    }

    /// The health of all resources.
    #[must_use]
    pub fn health(&self) -> Health {
        self.context.health.clone()
    }

    /// Returns a handle with which you can control the running watch.
    #[must_use]
    pub fn handle(&self) -> WatchHandle {
        WatchHandle::new(
            self.context.health.clone(),
            self.context.config.metrics.clone(),
            Arc::clone(&self.context.shards),
        )
    }

    /// Lists and watches until the future is dropped.
    ///
    /// The future never resolves.
    ///
    /// The future needs a [tokio] runtime. It spawns one task per resource. If each namespace is watched separately, it
    /// spawns one task per resource and namespace. Resources that the host feeds are not watched. When a configuration
    /// of custom resources adds or removes a resource, the watch of this resource starts or stops. When the future is
    /// dropped, the stores keep their samples.
    ///
    /// # Panics
    ///
    /// Panics if a task of the watch panics. This is a bug of the crate.
    pub async fn run(self) {
        let context = &self.context;
        let mut tasks = JoinSet::new();
        let shards = Arc::clone(&context.shards);
        tasks.spawn(async move { shards.run().await });
        let log = Arc::clone(&context.log);
        tasks.spawn(async move { log.run().await });
        tasks.spawn(log_incomplete_start(context.health.clone()));
        if let Some(pod) = &context.config.own_pod {
            tasks.spawn(replicas::follow(context.clone(), pod.clone()));
            tokio::select! {
                () = context.shards.known() => {}
                () = fail_with(&mut tasks) => {}
            }
        }
        let mut changes = context.config.metrics.current_plan().changes();
        #[cfg(feature = "custom-resources")]
        if let Some(definitions) = self.definitions {
            tasks.spawn(definitions.run());
        }
        for reflector in join_watches::reflectors(context) {
            tasks.spawn(reflector.run());
        }
        let mut follower = PlanFollower::default();
        loop {
            follow_plan(&mut follower, context, &mut tasks).await;
            context.health.started();
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = fail_with(&mut tasks) => {}
            }
        }
    }
}

impl Source for ClusterWatch {
    fn health(&self) -> Health {
        Self::health(self)
    }

    fn run(self: Box<Self>) -> SourceFuture {
        Box::pin((*self).run())
    }
}

impl fmt::Debug for ClusterWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterWatch")
            .field("metrics", &self.context.config.metrics)
            .field("health", &self.context.health)
            .finish_non_exhaustive()
    }
}

/// The number of resources whose watches start together. After each group of this size, other tasks can run before the
/// next watches start.
const STARTED_AT_ONCE: usize = 32;

/// Stops the watches of removed resources and starts the watches of new resources.
async fn follow_plan(
    follower: &mut PlanFollower<StoreWatch>,
    context: &WatchContext,
    tasks: &mut JoinSet<()>,
) {
    let mut watches = StoreWatches {
        context,
        tasks,
        left_out: Vec::new(),
    };
    let plan = context.config.metrics.plan();
    let added = follower.stop_removed(&plan, &mut watches);
    for (at, store) in added.iter().enumerate() {
        if at > 0 && at % STARTED_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        follower.start(&plan, store, &mut watches);
    }
    if !watches.left_out.is_empty() {
        let resources = watches.left_out.join(", ");
        tracing::warn!(
            resources,
            "these resources are not watched, because only pods can be selected by node; export them \
             with another watch that selects no node"
        );
    }
    // If a watched resource has new families, its watches must list the objects again.
    context.shards.check_for_lists();
}

/// Waits until the watch is ready. Then logs the resources whose first list is not complete.
async fn log_incomplete_start(health: Health) {
    let readiness = health.ready(ReadinessPolicy::Default).await;
    if !readiness.waiting.is_empty() {
        let resources = readiness.waiting.iter().map(|own| {
            let error = own.last_error.as_deref().unwrap_or("no answer");
            let reason = if own.is_expensive() { EXPENSIVE } else { error };
            format!("{} ({reason})", own.resource)
        });
        let resources = resources.collect::<Vec<_>>().join(", ");
        tracing::warn!(
            resources,
            "ready, but these resources could not be listed; the other resources are served"
        );
    }
}

/// Waits forever. If one of the tasks panics, this function also panics.
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
