//! The plan in use (the order of the families in the exposition), and its caches.

use std::sync::Arc;

use parking_lot::RwLock;

#[cfg(feature = "gzip")]
use crate::exposition::GzipCache;
use crate::exposition::{Exposition, ExpositionFilter, Format, Plan};

/// The plan in use. A scrape uses one plan from its beginning to its end, even if the plan changes.
pub(crate) struct CurrentPlan {
    state: RwLock<State>,
    /// Notifies sources that there is a new plan.
    changed: tokio::sync::watch::Sender<()>,
}

#[derive(Clone)]
struct State {
    plan: Arc<Plan>,
    #[cfg(feature = "gzip")]
    gzip: Arc<GzipCache>,
}

impl CurrentPlan {
    pub(crate) fn new(plan: Plan) -> Self {
        let state = State {
            plan: Arc::new(plan),
            #[cfg(feature = "gzip")]
            gzip: Arc::default(),
        };
        Self {
            state: RwLock::new(state),
            changed: tokio::sync::watch::Sender::new(()),
        }
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.state.read().plan)
    }

    pub(crate) fn exposition(&self, format: Format, filter: ExpositionFilter) -> Exposition {
        self.state.read().clone().exposition(format, filter)
    }

    /// Replaces the plan.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn replace(&self, plan: Plan) {
        let mut state = self.state.write();
        // The cache identifies a compressed block by its samples, and does not detect that a header (the `# HELP` and
        // `# TYPE` lines of a family) has changed. So clear the cache if a header changes.
        #[cfg(feature = "gzip")]
        if !keeps_headers(&state.plan, &plan) {
            state.gzip = Arc::default();
        }
        state.plan = Arc::new(plan);
        drop(state);
        self.changed.send_replace(());
    }

    /// Returns a receiver that is notified when there is a new plan.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changed.subscribe()
    }

    #[cfg(feature = "gzip")]
    pub(crate) fn refresh_gzip_cache(&self) {
        let state = self.state.read().clone();
        let cache = Arc::clone(&state.gzip);
        cache.refresh(|format| state.exposition(format, ExpositionFilter::default()));
    }

    #[cfg(feature = "gzip")]
    pub(crate) fn gzip_cache_bytes(&self) -> usize {
        self.state.read().gzip.heap_bytes()
    }
}

impl State {
    fn exposition(self, format: Format, filter: ExpositionFilter) -> Exposition {
        let exposition = Exposition::new(self.plan, format, filter);
        #[cfg(feature = "gzip")]
        let exposition = exposition.with_cache(&self.gzip);
        exposition
    }
}

/// Whether the header of each family is the same in both plans. Families that only one plan contains do not count.
#[cfg(all(feature = "gzip", feature = "custom-resources"))]
fn keeps_headers(old: &Plan, new: &Plan) -> bool {
    let new: std::collections::HashMap<_, _> = (new.families().iter())
        .map(|family| (family.metadata().name(), family))
        .collect();
    let mut kept = (old.families().iter())
        .filter_map(|family| Some((family, *new.get(family.metadata().name())?)));
    kept.all(|(old, new)| old.has_headers_of(new))
}
