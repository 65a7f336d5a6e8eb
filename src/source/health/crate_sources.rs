//! The methods of [`Health`] that only the sources of this crate call, such as a watch.

use std::sync::Arc;
#[cfg(all(feature = "custom-resources", feature = "watch"))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

#[cfg(all(feature = "custom-resources", feature = "watch"))]
use super::feed::FeedReporter;
use super::feed::FeedState;
use super::resource::FeedOrigin;
#[cfg(feature = "watch")]
use super::tracked::TrackedResource;
use super::{Health, HealthLimits};
#[cfg(feature = "watch")]
use crate::joins::SourceFeed;
use crate::registry::StateMetrics;
#[cfg(all(feature = "custom-resources", feature = "watch"))]
use crate::resource::ResourceInfo;
use crate::store::AnyStore;

impl Health {
    /// Creates the health for a source of this crate. The source has not started yet.
    pub(in crate::source) fn before_start(
        metrics: &StateMetrics,
        origin: FeedOrigin,
        limits: HealthLimits,
    ) -> Self {
        Self::of_origin(metrics, origin, limits, false)
    }

    /// Reports that the source has started the feeds of all resources.
    pub(in crate::source) fn started(&self) {
        self.inner.is_started.store(true, Ordering::Release);
        self.notify();
    }

    /// Sets the kind of source that feeds a resource, and the feeds of the resource.
    pub(in crate::source) fn set_feeds(
        &self,
        store: &Arc<dyn AnyStore>,
        origin: FeedOrigin,
        feeds: Vec<Arc<FeedState>>,
    ) {
        self.follow_plan();
        let mut resources = self.inner.resources.write();
        if let Some(tracked) = resources.of_store(store) {
            tracked.set_feeds(origin, feeds);
        }
        drop(resources);
        self.notify();
    }
}

#[cfg(feature = "watch")]
impl Health {
    pub(in crate::source) fn metrics(&self) -> &StateMetrics {
        &self.inner.metrics
    }

    /// Sets the reason why the shard is not known. `None` means that the shard is known.
    pub(in crate::source) fn set_sharding(&self, problem: Option<String>) {
        *self.inner.sharding.lock() = problem;
        self.notify();
    }

    /// Adds a resource whose objects only provide joined labels.
    pub(in crate::source) fn add_join_source(
        &self,
        source: SourceFeed,
        feeds: Vec<Arc<FeedState>>,
    ) {
        let tracked = TrackedResource::source(source, self.inner.origin, feeds);
        self.inner.resources.write().tracked.push(tracked);
        self.notify();
    }

    /// Adds a resource that has no store. `count` is the number of its objects.
    #[cfg(feature = "custom-resources")]
    pub(in crate::source) fn add_counted(
        &self,
        info: &ResourceInfo,
        count: Arc<AtomicU64>,
        feed: &FeedReporter,
    ) {
        let feed = Arc::clone(feed.state());
        let counted = TrackedResource::counted(info, count, self.inner.origin, feed);
        self.inner.resources.write().tracked.push(counted);
        self.notify();
    }
}
