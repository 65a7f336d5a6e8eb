//! [`WatchContext`]: the configuration, the health and the metrics that all reflectors of a cluster watch share.

use std::sync::Arc;

use prometheus::Registry;
use tokio::sync::watch;

use super::audit::Rotation;
use super::buffer_budget::BufferBudget;
use super::config::WatchConfig;
use super::failure_log::FailureLog;
use super::logged_feed::LoggedFeed;
use super::metrics::WatchMetrics;
use super::reflector::{Options, Reflector, ShardScope};
use super::request::Target;
use super::shard_control::ShardControl;
use super::sink::ListWatchSink;
use crate::joins::SourceFeed;
use crate::source::health::{FeedOrigin, Health, HealthLimits};
use crate::store::{AnyStore, JoinWriter, WatchWriter};

/// The configuration, the health and the metrics that all reflectors of a cluster watch share.
#[derive(Clone)]
pub(super) struct WatchContext {
    pub(super) config: WatchConfig,
    pub(super) health: Health,
    pub(super) metrics: WatchMetrics,
    pub(super) shards: Arc<ShardControl>,
    pub(super) log: Arc<FailureLog>,
    rotation: Arc<Rotation>,
}

// === impl WatchContext ===

impl WatchContext {
    /// Creates the context, and registers the metrics of the watch in `registry`.
    ///
    /// # Errors
    ///
    /// Returns an error if the metrics of the watch cannot be registered.
    pub(super) fn new(
        mut config: WatchConfig,
        registry: Option<&Registry>,
    ) -> Result<Self, prometheus::Error> {
        let budget = BufferBudget::new(config.feed_buffer_limit, config.object_size_limit);
        let budget = Arc::new(budget);
        config.options.budget = Arc::clone(&budget);
        let limits = HealthLimits {
            readiness_deadline: config.readiness_deadline,
            forget_forbidden_after: config.options.forget_forbidden_after,
        };
        let health = Health::before_start(&config.metrics, FeedOrigin::Watched, limits);
        let metrics = WatchMetrics::new()?;
        if let Some(registry) = registry {
            metrics.register(registry, &health, &budget)?;
        }
        let shards = ShardControl::new(
            config.metrics.clone(),
            metrics.clone(),
            config.handover(),
            config.own_pod.is_none(),
        );
        if let Some(pod) = &config.own_pod {
            let problem = format!("looking for the StatefulSet of pod {pod}");
            health.set_sharding(Some(problem));
        }
        Ok(Self {
            config,
            health,
            metrics,
            shards: Arc::new(shards),
            log: Arc::default(),
            rotation: Arc::default(),
        })
    }

    pub(super) fn feed(&self, target: &Target) -> LoggedFeed {
        let namespace = &target.namespace;
        let reporter = self.health.feed(namespace.clone());
        let log = Arc::clone(&self.log);
        LoggedFeed::new(reporter, &target.resource, namespace.clone(), log)
    }

    /// Returns a reflector that feeds a store.
    pub(super) fn store_reflector(
        &self,
        store: &dyn AnyStore,
        target: Target,
    ) -> Reflector<Box<dyn WatchWriter>> {
        let options = self.config.options.clone();
        let metrics = self.metrics.feed(&target.resource, options.object_limit);
        let mut reflector = Reflector::new(
            self.config.client.clone(),
            options,
            store.watch_writer(),
            self.feed(&target),
            metrics,
            self.shards.subscribe(),
            target,
        );
        // Samples of this shard may get joined labels from objects of all shards. So if the objects of this store
        // provide joined labels, the reflector reads the objects of all shards.
        reflector.reads_all_shards = store.source_kind().is_some();
        reflector.with_audits(&self.rotation)
    }

    /// Returns a reflector for objects that only provide joined labels.
    pub(super) fn source_reflector(
        &self,
        source: SourceFeed,
        target: Target,
        feed: LoggedFeed,
    ) -> Reflector<Box<dyn WatchWriter>> {
        let sink: Box<dyn WatchWriter> = Box::new(JoinWriter::new(source).with_required_names());
        let mut reflector = self.unsharded_reflector(sink, target, feed, &self.metrics);
        reflector.reads_only_metadata = true;
        reflector
    }

    /// Returns a reflector that lists the objects of all shards. `metrics` counts its requests.
    pub(super) fn unsharded_reflector<S: ListWatchSink>(
        &self,
        sink: S,
        target: Target,
        feed: LoggedFeed,
        metrics: &WatchMetrics,
    ) -> Reflector<S> {
        let options = Options {
            object_limit: None,
            use_cache: false,
            // Keep the objects when the server forbids them: they have no samples that could become stale.
            forget_forbidden_after: None,
            ..self.config.options.clone()
        };
        let (_, scope) = watch::channel(ShardScope::default());
        let metrics = metrics.feed(&target.resource, None);
        let client = self.config.client.clone();
        Reflector::new(client, options, sink, feed, metrics, scope, target)
    }
}
