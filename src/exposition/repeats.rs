//! Finds repeated series. If the base labels of two objects are equal, their rows can have the same series. An
//! exposition contains only the first sample of a series, so it must know the samples that repeat an earlier series.
//!
//! A family can have millions of series, so a search has many short steps. Each exposition that needs the result is a
//! *reader*. All readers of a family share one search ([`Repeats`]).
//!
//! The filter of an exposition can exclude the first sample of a series. Then the next included sample of the series is
//! not a repeated sample of this exposition. So if a family has repeated samples, and the filter excludes some of its
//! rows, the reader needs a second search, which reads only the included rows ([`Selection`]).

mod repeated_samples;
mod search;
mod selection;
mod series_hashes;
mod series_reader;
mod series_walk;
mod shared_hashes;
mod work;

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use self::search::RepeatSearch;
use super::family_column::FamilyColumn;
use crate::store::StoreSnapshot;

pub(super) use repeated_samples::RepeatedSamples;
pub(super) use selection::Selection;

/// The result of the last search for the repeated samples of a family, and the current search.
///
/// There is at most one current search. A family has one value of this type for searches in all rows, and another one
/// for searches in selected rows. So the memory for searches does not grow with the number of readers.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The rows from which `samples` was computed.
    searched: SearchedRows,
    samples: Arc<RepeatedSamples>,
    /// The current search. Only its readers hold strong references, so when the last reader is dropped, the memory of
    /// the search is freed.
    running: Weak<SharedSearch>,
}

/// The rows that a search reads, and their state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SearchedRows {
    /// The versions of the columns.
    revisions: Arc<[u64]>,
    /// The rows that the search reads; `None` if it reads all rows.
    selection: Option<Selection>,
}

/// A search that several readers share. Each reader makes some of the steps.
#[derive(Debug)]
struct SharedSearch {
    rows: SearchedRows,
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

/// A reader that needs the repeated samples of a family in these snapshots.
#[derive(Debug)]
pub(super) struct RepeatsReader {
    rows: SearchedRows,
    snapshots: Arc<[StoreSnapshot]>,
    /// The search in which the reader makes steps. The search may belong to older or newer snapshots than the reader,
    /// or to another selection. Then the reader first completes this search, and begins a search for its own rows.
    search: Option<Arc<SharedSearch>>,
}

/// The result of one step of a [`RepeatsReader`].
#[derive(Debug)]
pub(super) enum ReadStep {
    /// The repeated samples were already known, so the step did not search.
    Known(Arc<RepeatedSamples>),
    /// This step completed the search.
    Found(Arc<RepeatedSamples>),
    /// The repeated samples are not known yet.
    Pause,
}

// === impl Repeats ===

impl Repeats {
    /// Returns the number of repeated samples that the last search found.
    #[cfg(feature = "prometheus")]
    pub(super) fn last_len(&self) -> usize {
        self.0.lock().samples.len()
    }

    /// Makes one step in the search for the repeated samples that `reader` needs. `columns` are the columns of the
    /// family. All calls with the same reader must be for the same family.
    pub(super) fn step(&self, reader: &mut RepeatsReader, columns: &[FamilyColumn]) -> ReadStep {
        let search = match &reader.search {
            Some(search) => Arc::clone(search),
            None => {
                let mut state = self.0.lock();
                if state.searched == reader.rows {
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
        match search.rows == reader.rows {
            true => ReadStep::Found(samples),
            false => ReadStep::Pause,
        }
    }

    /// Stores the result of a completed search. If another reader has already stored the result, does nothing.
    fn finish(&self, search: &Arc<SharedSearch>, samples: &Arc<RepeatedSamples>) {
        let mut state = self.0.lock();
        if state.running.as_ptr() == Arc::as_ptr(search) {
            *state = State {
                searched: search.rows.clone(),
                samples: Arc::clone(samples),
                running: Weak::new(),
            };
        }
    }
}

// === impl RepeatsReader ===

impl RepeatsReader {
    /// Creates a reader for these snapshots of a family. `revisions` are the versions of the columns in the snapshots.
    pub(super) fn new(revisions: Vec<u64>, snapshots: &Arc<[StoreSnapshot]>) -> Self {
        let rows = SearchedRows {
            revisions: revisions.into(),
            selection: None,
        };
        Self {
            rows,
            snapshots: Arc::clone(snapshots),
            search: None,
        }
    }

    /// Whether the reader reads only selected rows.
    pub(super) fn has_selection(&self) -> bool {
        self.rows.selection.is_some()
    }

    /// Lets the reader read only these rows. The reader must have completed its search in all rows.
    pub(super) fn select(&mut self, selection: Selection) {
        self.rows.selection = Some(selection);
    }
}

// === impl SharedSearch ===

impl SharedSearch {
    fn new(reader: &RepeatsReader, columns: &[FamilyColumn]) -> Self {
        let selection = reader.rows.selection.as_ref();
        let search = RepeatSearch::new(columns, &reader.snapshots, selection);
        Self {
            rows: reader.rows.clone(),
            progress: Mutex::new(Progress::Running {
                search: Box::new(search),
                snapshots: Arc::clone(&reader.snapshots),
            }),
        }
    }

    /// Makes one step. If the search is then complete, returns the repeated samples.
    fn step(&self, columns: &[FamilyColumn]) -> Option<Arc<RepeatedSamples>> {
        let mut progress = self.progress.lock();
        let found = match &mut *progress {
            Progress::Done(samples) => Some(Arc::clone(samples)),
            Progress::Running { search, snapshots } => {
                let samples = search
                    .step(columns, snapshots, self.rows.selection.as_ref())
                    .map(Arc::new);
                if let Some(samples) = &samples {
                    *progress = Progress::Done(Arc::clone(samples));
                }
                samples
            }
        };
        // One reader may make step after step without a pause. The fair unlock gives the lock to a waiting reader after
        // each step.
        MutexGuard::unlock_fair(progress);
        found
    }
}

#[cfg(test)]
mod tests;
