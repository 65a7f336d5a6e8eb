//! [`StoreWatches`]: starts and stops the watches that feed each store. A store may have one watch per namespace.

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::context::WatchContext;
use super::request::Target;
use crate::source::health::{FeedOrigin, FeedState};
use crate::source::plan_follower::StoreFeeder;
use crate::store::AnyStore;

/// Starts and stops the watches of each store.
pub(super) struct StoreWatches<'a> {
    pub(super) context: &'a WatchContext,
    pub(super) tasks: &'a mut JoinSet<()>,
    /// Resources that are not watched, because the exporter watches only some pods: the pods of one node, or the pods
    /// without a node.
    pub(super) left_out: Vec<String>,
}

/// The watches of one store.
pub(super) enum StoreWatch {
    FedByHost,
    LeftOut,
    Watched {
        feeds: Vec<Arc<FeedState>>,
        /// The tasks of the watches; empty if the watches of another store also feed this store.
        tasks: Vec<AbortHandle>,
    },
}

// === impl StoreWatches ===

impl StoreWatches<'_> {
    fn watch(&mut self, store: &Arc<dyn AnyStore>, targets: Vec<Target>) -> StoreWatch {
        let reflectors = targets.into_iter();
        let reflectors = reflectors.map(|target| self.context.store_reflector(&**store, target));
        let reflectors: Vec<_> = reflectors.collect();
        let feeds: Vec<_> = reflectors.iter().map(|own| own.feed.state()).collect();
        // The health gets the feeds before the feeds start, so that it receives their first reports.
        let health = &self.context.health;
        health.set_feeds(store, FeedOrigin::Watched, feeds.clone());
        let tasks = reflectors
            .into_iter()
            .map(|own| self.tasks.spawn(own.run()));
        let tasks = tasks.collect();
        StoreWatch::Watched { feeds, tasks }
    }
}

impl StoreFeeder for StoreWatches<'_> {
    type Feed = StoreWatch;

    fn start(&mut self, store: &Arc<dyn AnyStore>, leader: Option<&StoreWatch>) -> StoreWatch {
        let health = &self.context.health;
        if store.is_host_fed() {
            health.set_feeds(store, FeedOrigin::Host, Vec::new());
            return StoreWatch::FedByHost;
        }
        let Some(targets) = self.context.config.targets(&**store) else {
            health.set_feeds(store, FeedOrigin::LeftOut, Vec::new());
            self.left_out.push(store.resource().label());
            return StoreWatch::LeftOut;
        };
        if let Some(StoreWatch::Watched { feeds, .. }) = leader {
            health.set_feeds(store, FeedOrigin::Watched, feeds.clone());
            return StoreWatch::Watched {
                feeds: feeds.clone(),
                tasks: Vec::new(),
            };
        }
        self.watch(store, targets)
    }

    fn stop(&mut self, store: &dyn AnyStore, watch: StoreWatch) {
        if let StoreWatch::Watched { tasks, .. } = watch {
            tasks.iter().for_each(AbortHandle::abort);
        }
        self.context.metrics.forget(store.resource());
    }
}
