//! [`TrackedResource`]: one resource whose health a source reports, and the feeds of this resource.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::failure_reason::FailureReason;
use super::feed::FeedState;
use super::resource::{FeedHealth, FeedOrigin, ResourceHealth, ResourceState};
use crate::joins::SourceFeed;
use crate::resource::{ResourceInfo, ResourceName};
use crate::store::{AnyStore, StoreAddress, StoreStats};

/// One resource, and its feeds.
pub(super) struct TrackedResource {
    info: ResourceInfo,
    /// The store. `None` if the resource has no store.
    store: Option<Arc<dyn AnyStore>>,
    count: Arc<AtomicU64>,
    /// Receives the objects of a resource that only provides joined labels. `None` for any other resource.
    source: Option<SourceFeed>,
    origin: FeedOrigin,
    /// The feeds; `None` before the source has started them.
    feeds: Option<Vec<Arc<FeedState>>>,
}

/// A feed whose state the host reports.
pub(super) struct ReportedFeed {
    pub(super) resource: ResourceName,
    pub(super) feed: Arc<FeedState>,
}

// === impl TrackedResource ===

impl TrackedResource {
    pub(super) fn new(store: &Arc<dyn AnyStore>, origin: FeedOrigin) -> Self {
        Self {
            info: store.resource().clone(),
            store: Some(Arc::clone(store)),
            count: Arc::default(),
            source: None,
            origin,
            feeds: None,
        }
    }

    /// Creates a resource whose objects only provide joined labels.
    #[cfg(feature = "watch")]
    pub(super) fn source(
        source: SourceFeed,
        origin: FeedOrigin,
        feeds: Vec<Arc<FeedState>>,
    ) -> Self {
        Self {
            info: source.kind().info(),
            store: None,
            count: Arc::default(),
            source: Some(source),
            origin,
            feeds: Some(feeds),
        }
    }

    /// Creates a resource that has no store. `count` is the number of its objects.
    #[cfg(all(feature = "custom-resources", feature = "watch"))]
    pub(super) fn counted(
        info: &ResourceInfo,
        count: Arc<AtomicU64>,
        origin: FeedOrigin,
        feed: Arc<FeedState>,
    ) -> Self {
        Self {
            info: info.clone(),
            store: None,
            count,
            source: None,
            origin,
            feeds: Some(vec![feed]),
        }
    }

    #[cfg(any(feature = "manifests", feature = "watch"))]
    pub(super) fn set_feeds(&mut self, origin: FeedOrigin, feeds: Vec<Arc<FeedState>>) {
        self.origin = origin;
        self.feeds = Some(feeds);
    }

    pub(super) fn info(&self) -> &ResourceInfo {
        &self.info
    }

    pub(super) fn is_counted(&self) -> bool {
        self.store.is_none()
    }

    /// The address of the store, if there is one.
    pub(super) fn address(&self) -> Option<StoreAddress> {
        self.store.as_ref().map(StoreAddress::of)
    }

    pub(super) fn stats(&self) -> StoreStats {
        match &self.store {
            Some(store) => store.stats(),
            None => StoreStats {
                objects: match &self.source {
                    Some(source) => source.len() as u64,
                    None => self.count.load(Ordering::Relaxed),
                },
                ..StoreStats::default()
            },
        }
    }

    /// Returns the health of the resource. After the time `forget_after`, objects of a forbidden resource are removed.
    pub(super) fn health(
        &self,
        stats: &StoreStats,
        reported: &[ReportedFeed],
        forget_after: Option<Duration>,
    ) -> ResourceHealth {
        let feeds: Vec<_> = match self.origin {
            FeedOrigin::Host => (reported.iter())
                .filter(|reported| reported.resource.matches(&self.info))
                .map(|reported| reported.feed.health())
                .collect(),
            _ => (self.feeds.iter().flatten())
                .map(|feed| feed.health())
                .collect(),
        };
        let complete = self.is_complete(stats, &feeds);
        let states = feeds.iter().map(|feed| feed.state);
        let state = states.min_by_key(|state| state.rank());
        ResourceHealth {
            resource: self.info.label(),
            api_version: self.info.api_version().into_owned(),
            kind: self.info.kind().to_owned(),
            source: self.origin,
            // `state` is `None` if there are no feeds: the source has not started, the host has no reporter, or all
            // namespaces are denied.
            state: state.unwrap_or(if complete {
                ResourceState::Synced
            } else {
                ResourceState::NotStarted
            }),
            complete,
            refused_seconds: (feeds.iter().filter_map(|feed| feed.refused_seconds))
                .reduce(f64::max),
            removal_seconds: forget_after
                .filter(|_| !self.is_counted() && stats.objects > 0)
                .and_then(|age| removal_seconds(&feeds, age)),
            objects: stats.objects,
            series: stats.series,
            memory_bytes: stats.memory_bytes,
            lists: stats.relists,
            decode_errors: stats.decode_syntax_errors + stats.decode_field_errors,
            oversized: feeds.iter().map(|feed| feed.oversized).sum(),
            is_limited: feeds.iter().any(|feed| feed.is_limited),
            silent_seconds: (feeds.iter().filter_map(|feed| feed.silent_seconds)).reduce(f64::max),
            audit_seconds: (feeds.iter().filter_map(|feed| feed.audit_seconds)).reduce(f64::max),
            audit_difference: (feeds.iter().filter_map(|feed| feed.audit_difference))
                .reduce(|sum, own| sum + own),
            unapplied_objects: feeds.iter().map(|feed| feed.unapplied_objects).sum(),
            unapplied_seconds: (feeds.iter().filter_map(|feed| feed.unapplied_seconds))
                .reduce(f64::max),
            last_error: feeds.iter().find_map(|feed| feed.last_error.clone()),
            feeds,
            is_auxiliary: self.is_counted(),
            is_for_joins: self.source.is_some(),
        }
    }

    /// Whether the first list of each feed is complete.
    fn is_complete(&self, stats: &StoreStats, feeds: &[FeedHealth]) -> bool {
        let all_complete = feeds.iter().all(|feed| feed.complete);
        match self.origin {
            // If the host has no reporter, the resource is complete when a writer has completed a list.
            FeedOrigin::Host if feeds.is_empty() => stats.relists > 0,
            FeedOrigin::Host => all_complete,
            FeedOrigin::LeftOut => false,
            FeedOrigin::Watched | FeedOrigin::Manifests => {
                // A new store can be linked to a store whose lists are already complete. The new store has not received
                // these lists, so it needs a further list.
                let is_listed = self.store.is_none() || stats.relists >= feeds.len() as u64;
                self.feeds.is_some() && all_complete && is_listed
            }
        }
    }
}

/// Returns the seconds until the watch next removes the objects of a forbidden feed. The watch removes the objects when
/// the server has refused the requests of the feed for the time `age`.
fn removal_seconds(feeds: &[FeedHealth], age: Duration) -> Option<f64> {
    let forbidden = ResourceState::Failing(FailureReason::Forbidden);
    let feeds = feeds.iter().filter(|feed| feed.state == forbidden);
    let feeds = feeds.filter(|feed| feed.complete && !feed.is_forgotten);
    let left = feeds.map(|feed| age.saturating_sub(feed.refused_for).as_secs_f64());
    left.reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_whose_objects_were_removed_has_none_to_remove() {
        let feed = |seconds, is_forgotten| FeedHealth {
            state: ResourceState::Failing(FailureReason::Forbidden),
            complete: true,
            refused_for: Duration::from_secs(seconds),
            is_forgotten,
            ..FeedHealth::default()
        };
        let age = Duration::from_secs(3600);
        assert_eq!(removal_seconds(&[feed(5000, true)], age), None);
        let feeds = [feed(5000, true), feed(600, false)];
        assert_eq!(removal_seconds(&feeds, age), Some(3000.0));
    }
}
