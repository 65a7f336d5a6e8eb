//! Finds repeated series. If the base labels do not identify an object, its row can have the series of another row.
//!
//! A family can have millions of series, so a search does its work in steps. Readers of the same family share one
//! search ([`Repeats`]).

mod repeated_samples;
mod search;
mod series_hashes;
mod series_walk;
mod shared_hashes;
mod work;

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use self::search::RepeatSearch;
use super::family_column::FamilyColumn;
use crate::store::StoreSnapshot;

pub(super) use repeated_samples::RepeatedSamples;

/// The result of the last search for repeated series in a family, and the search that is in progress.
///
/// At most one search of a family is in progress, so that the memory for searches does not grow with the number of
/// readers.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Identifies the state of the columns for which `samples` was found.
    revisions: Arc<[u64]>,
    samples: Arc<RepeatedSamples>,
    /// The search in progress. Only the readers of the search hold strong references, so the memory is released when
    /// the last reader is dropped.
    running: Weak<SharedSearch>,
}

/// A search that several readers share. Each reader does some of the steps.
#[derive(Debug)]
struct SharedSearch {
    /// Identifies the state of the columns that the search reads.
    revisions: Arc<[u64]>,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
enum Progress {
    Running {
        search: Box<RepeatSearch>,
        snapshots: Arc<[StoreSnapshot]>,
    },
    Done(Arc<RepeatedSamples>),
}

/// A reader that waits for the repeated samples of one state of a family.
#[derive(Debug)]
pub(super) struct RepeatsReader {
    revisions: Arc<[u64]>,
    snapshots: Arc<[StoreSnapshot]>,
    /// The search to which the reader contributes. If this search is for another state of the family, the search for
    /// the state of the reader begins afterwards.
    search: Option<Arc<SharedSearch>>,
}

/// The result of a step of a [`RepeatsReader`].
#[derive(Debug)]
pub(super) enum ReadStep {
    /// The repeated samples were known, so the step did not search.
    Known(Arc<RepeatedSamples>),
    /// The step ended the search.
    Found(Arc<RepeatedSamples>),
    /// The search needs more steps.
    Pause,
}

// === impl Repeats ===

impl Repeats {
    /// The number of repeated samples in the last search.
    #[cfg(feature = "prometheus")]
    pub(super) fn last_len(&self) -> usize {
        self.0.lock().samples.len()
    }

    /// Does one step of the search for the repeated samples that `reader` waits for. `columns` are the columns of the
    /// family. All calls with one reader are for the same family.
    pub(super) fn step(&self, reader: &mut RepeatsReader, columns: &[FamilyColumn]) -> ReadStep {
        let search = match &reader.search {
            Some(search) => Arc::clone(search),
            None => {
                let mut state = self.0.lock();
                if state.revisions == reader.revisions {
                    return ReadStep::Known(Arc::clone(&state.samples));
                }
                let search = state.running.upgrade().unwrap_or_else(|| {
                    let search = Arc::new(SharedSearch::new(reader, columns));
                    state.running = Arc::downgrade(&search);
                    search
                });
                Arc::clone(reader.search.insert(search))
            }
        };
        let Some(samples) = search.step(columns) else {
            return ReadStep::Pause;
        };
        self.finish(&search, &samples);
        reader.search = None;
        match search.revisions == reader.revisions {
            true => ReadStep::Found(samples),
            false => ReadStep::Pause,
        }
    }

    /// Stores the result of a search. Has no effect if another reader has already stored the result.
    fn finish(&self, search: &Arc<SharedSearch>, samples: &Arc<RepeatedSamples>) {
        let mut state = self.0.lock();
        if state.running.as_ptr() == Arc::as_ptr(search) {
            *state = State {
                revisions: Arc::clone(&search.revisions),
                samples: Arc::clone(samples),
                running: Weak::new(),
            };
        }
    }
}

// === impl RepeatsReader ===

impl RepeatsReader {
    /// Creates a reader of one state of a family. `revisions` identifies this state.
    pub(super) fn new(revisions: Vec<u64>, snapshots: &Arc<[StoreSnapshot]>) -> Self {
        Self {
            revisions: revisions.into(),
            snapshots: Arc::clone(snapshots),
            search: None,
        }
    }
}

// === impl SharedSearch ===

impl SharedSearch {
    fn new(reader: &RepeatsReader, columns: &[FamilyColumn]) -> Self {
        Self {
            revisions: Arc::clone(&reader.revisions),
            progress: Mutex::new(Progress::Running {
                search: Box::new(RepeatSearch::new(columns, &reader.snapshots)),
                snapshots: Arc::clone(&reader.snapshots),
            }),
        }
    }

    /// Does one step. Returns the repeated samples at the end of the search.
    fn step(&self, columns: &[FamilyColumn]) -> Option<Arc<RepeatedSamples>> {
        let mut progress = self.progress.lock();
        let found = match &mut *progress {
            Progress::Done(samples) => Some(Arc::clone(samples)),
            Progress::Running { search, snapshots } => {
                let samples = search.step(columns, snapshots).map(Arc::new);
                if let Some(samples) = &samples {
                    *progress = Progress::Done(Arc::clone(samples));
                }
                samples
            }
        };
        // A reader that does all steps without a pause must not keep the others waiting for more than one step.
        MutexGuard::unlock_fair(progress);
        found
    }
}

#[cfg(test)]
mod tests;
