//! [`JoinedState`]: the version of the joined labels of a page.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The last known state of the joined labels of a page. A clone of the page has the same state.
#[derive(Debug, Default)]
pub(super) struct JoinedState(Mutex<Option<KnownState>>);

#[derive(Clone, Copy, Debug)]
struct KnownState {
    /// The version of the column with the references of the rows.
    links: u64,
    /// Identifies the state of the objects that rows may join labels from. The fingerprint was computed for this state.
    generation: u64,
    fingerprint: u64,
    /// A number that is unique for each state of the joined labels of each page.
    version: u64,
}

// === impl JoinedState ===

impl JoinedState {
    /// The version of the joined labels. If `links` or `generation` have changed since the last call, calls
    /// `fingerprint` to find out whether the joined labels have changed.
    pub(super) fn version(
        &self,
        links: u64,
        generation: u64,
        fingerprint: impl FnOnce() -> u64,
    ) -> u64 {
        let mut known = self.0.lock();
        let same_rows = known.filter(|known| known.links == links);
        if let Some(same) = same_rows.filter(|known| known.generation == generation) {
            return same.version;
        }
        let fingerprint = fingerprint();
        let same = same_rows.filter(|known| known.fingerprint == fingerprint);
        let version = same.map_or_else(next_version, |known| known.version);
        *known = Some(KnownState {
            links,
            generation,
            fingerprint,
            version,
        });
        version
    }
}

impl Clone for JoinedState {
    fn clone(&self) -> Self {
        Self(Mutex::new(*self.0.lock()))
    }
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
