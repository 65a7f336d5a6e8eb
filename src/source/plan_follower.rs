//! Follows the plan: a source feeds the stores of the current plan. A configuration adds and removes stores.

use std::sync::Arc;

use crate::exposition::Plan;
use crate::store::AnyStore;

/// The actions of a source for each store.
pub(super) trait StoreFeeder {
    /// The feed of one store.
    type Feed;

    /// Starts to feed a store of the plan.
    ///
    /// If the store is linked to another one, `leader` is the feed of that store.
    fn start(&mut self, store: &Arc<dyn AnyStore>, leader: Option<&Self::Feed>) -> Self::Feed;

    /// Stops the feed of a store that is no longer in the plan.
    fn stop(&mut self, store: &dyn AnyStore, feed: Self::Feed);
}

/// The stores that a source feeds, with their feeds.
#[derive(Debug)]
pub(super) struct PlanFollower<F> {
    pub(super) feeds: Vec<(Arc<dyn AnyStore>, F)>,
}

// === impl PlanFollower ===

impl<F> PlanFollower<F> {
    /// Stops the feeds of stores that are not in the plan, then starts those of new stores.
    pub(super) fn follow(&mut self, plan: &Plan, feeder: &mut impl StoreFeeder<Feed = F>) {
        let is_planned = |store: &Arc<dyn AnyStore>| {
            plan.stores()
                .iter()
                .any(|planned| Arc::ptr_eq(planned, store))
        };
        let gone = self.feeds.extract_if(.., |(store, _)| !is_planned(store));
        for (store, feed) in gone {
            feeder.stop(&*store, feed);
        }
        let (linked, leaders): (Vec<_>, Vec<_>) =
            (plan.stores().iter()).partition(|store| plan.feeder_of(&***store).is_some());
        // Leaders are started first, so that each linked store finds the feed of its leader.
        for store in leaders.into_iter().chain(linked) {
            if self.feed(store).is_none() {
                let leader = plan
                    .feeder_of(&**store)
                    .and_then(|leader| self.feed(leader));
                let feed = feeder.start(store, leader);
                self.feeds.push((Arc::clone(store), feed));
            }
        }
    }

    /// Whether every store of the plan has a feed.
    #[cfg(feature = "manifests")]
    pub(super) fn is_up_to_date(&self, plan: &Plan) -> bool {
        plan.stores().iter().all(|store| self.feed(store).is_some())
    }

    /// The feed of a store.
    fn feed(&self, store: &Arc<dyn AnyStore>) -> Option<&F> {
        let mut feeds = self.feeds.iter();
        feeds.find_map(|(own, feed)| Arc::ptr_eq(own, store).then_some(feed))
    }
}

impl<F> Default for PlanFollower<F> {
    fn default() -> Self {
        Self { feeds: Vec::new() }
    }
}
