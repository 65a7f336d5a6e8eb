//! Starts and stops the feeds of a source when stores are added or removed. A configuration of custom resources can add
//! and remove stores at run time. The plan is the list of all current stores.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::exposition::Plan;
use crate::store::{AnyStore, StoreAddress};

/// The methods with which a source starts and stops the feed of a store.
pub(super) trait StoreFeeder {
    /// The data that a source keeps for each store, such as a writer.
    type Feed;

    /// Starts to feed a store of the plan.
    ///
    /// If the feed of another store also feeds this store, `leader` is the feed of the other store.
    fn start(&mut self, store: &Arc<dyn AnyStore>, leader: Option<&Self::Feed>) -> Self::Feed;

    /// Stops the feed of a store that is no longer in the plan.
    fn stop(&mut self, store: &dyn AnyStore, feed: Self::Feed);
}

/// The stores that a source feeds, and their feeds.
#[derive(Debug)]
pub(super) struct PlanFollower<F> {
    pub(super) feeds: Vec<(Arc<dyn AnyStore>, F)>,
    /// For each store, its index in `feeds`.
    indexes: HashMap<StoreAddress, usize>,
}

// === impl PlanFollower ===

impl<F> PlanFollower<F> {
    /// Stops the feeds of stores that are no longer in the plan, then starts the feeds of new stores.
    #[cfg(feature = "manifests")]
    pub(super) fn follow(&mut self, plan: &Plan, feeder: &mut impl StoreFeeder<Feed = F>) {
        for store in self.stop_removed(plan, feeder) {
            self.start(plan, &store, feeder);
        }
    }

    /// Stops the feeds of stores that are no longer in the plan. Returns the stores whose feeds must be started, in the
    /// order in which to start them.
    pub(super) fn stop_removed(
        &mut self,
        plan: &Plan,
        feeder: &mut impl StoreFeeder<Feed = F>,
    ) -> Vec<Arc<dyn AnyStore>> {
        let planned: HashSet<_> = plan.stores().iter().map(StoreAddress::of).collect();
        let is_removed = |(store, _): &mut (_, F)| !planned.contains(&StoreAddress::of(store));
        for (store, feed) in self.feeds.extract_if(.., is_removed) {
            feeder.stop(&*store, feed);
        }
        let addresses = self.feeds.iter().map(|(store, _)| StoreAddress::of(store));
        self.indexes = addresses
            .enumerate()
            .map(|(at, store)| (store, at))
            .collect();
        let (linked, leaders): (Vec<_>, Vec<_>) = (plan.stores().iter())
            .filter(|store| self.feed(store).is_none())
            .cloned()
            .partition(|store| plan.feeder_of(&**store).is_some());
        // A linked store uses the feed of another store, its leader. Start the leaders first, because a linked store
        // needs the feed of its leader.
        [leaders, linked].concat()
    }

    /// Starts the feed of a store that [`stop_removed`](Self::stop_removed) returned.
    pub(super) fn start(
        &mut self,
        plan: &Plan,
        store: &Arc<dyn AnyStore>,
        feeder: &mut impl StoreFeeder<Feed = F>,
    ) {
        let leader = plan.feeder_of(&**store);
        let feed = feeder.start(store, leader.and_then(|leader| self.feed(leader)));
        self.indexes
            .insert(StoreAddress::of(store), self.feeds.len());
        self.feeds.push((Arc::clone(store), feed));
    }

    /// Whether the feed of every store of the plan has been started.
    #[cfg(feature = "manifests")]
    pub(super) fn is_up_to_date(&self, plan: &Plan) -> bool {
        plan.stores().iter().all(|store| self.feed(store).is_some())
    }

    /// The feed of a store.
    fn feed(&self, store: &Arc<dyn AnyStore>) -> Option<&F> {
        let index = self.indexes.get(&StoreAddress::of(store))?;
        self.feeds.get(*index).map(|(_, feed)| feed)
    }
}

impl<F> Default for PlanFollower<F> {
    fn default() -> Self {
        Self {
            feeds: Vec::new(),
            indexes: HashMap::new(),
        }
    }
}
