//! [`RepeatSearch`]: a search for the repeated series of a family.

use std::hash::{BuildHasher, RandomState};

use super::repeated_samples::RepeatedSamples;
use super::selection::Selection;
use super::series_hashes::SeriesHashes;
use super::series_reader::SeriesReader;
use super::series_walk::{SeriesWalk, Source};
use super::shared_hashes::SharedHashes;
use super::work::Work;
use crate::exposition::family_column::FamilyColumn;
use crate::store::StoreSnapshot;

/// A search for the repeated series of a family. Each step takes at most about 0.1 ms.
///
/// The search does not store the text of series, because the text of millions of series needs gigabytes. Instead, the
/// search first reads all series, and stores only their hashes. If several samples have the same hash, the search reads
/// all series again, and compares the labels of these samples.
///
/// The hash function has a random key. With a known key, an attacker could create many series that have the same hash.
#[derive(Debug)]
pub(super) struct RepeatSearch<S = RandomState> {
    hasher: S,
    stage: Stage,
    /// The number of all samples. Repeated samples, and samples that are not selected, are included.
    samples: usize,
}

#[derive(Debug)]
enum Stage {
    Hash(Box<SeriesWalk>, SeriesHashes),
    Sort(SeriesHashes, SharedHashes),
    Compare(Box<Comparison>),
}

/// The last stage of the search: compares the labels of samples that have the same hash.
#[derive(Debug)]
struct Comparison {
    walk: SeriesWalk,
    hashes: SharedHashes,
    repeated: RepeatedSamples,
    /// Reads the earlier series with which a series is compared.
    earlier: SeriesReader,
}

// === impl RepeatSearch ===

impl RepeatSearch {
    pub(super) fn new(
        columns: &[FamilyColumn],
        snapshots: &[StoreSnapshot],
        selection: Option<&Selection>,
    ) -> Self {
        Self::with_hasher(RandomState::new(), columns, snapshots, selection)
    }
}

impl<S: BuildHasher> RepeatSearch<S> {
    pub(super) fn with_hasher(
        hasher: S,
        columns: &[FamilyColumn],
        snapshots: &[StoreSnapshot],
        selection: Option<&Selection>,
    ) -> Self {
        let source = Source {
            columns,
            snapshots,
            selection,
        };
        let samples = source.samples();
        let walk = SeriesWalk::new(source.reader());
        let hashes = match selection {
            // The number of selected samples is not known.
            Some(_) => SeriesHashes::of_at_most(samples),
            None => SeriesHashes::new(samples),
        };
        Self {
            hasher,
            stage: Stage::Hash(Box::new(walk), hashes),
            samples,
        }
    }

    /// Makes one step, that is a limited amount of work. When the search is complete, returns the repeated samples.
    /// After that, the caller must not call the method again. All calls must have the same arguments as the call of
    /// [`new`](Self::new).
    pub(super) fn step(
        &mut self,
        columns: &[FamilyColumn],
        snapshots: &[StoreSnapshot],
        selection: Option<&Selection>,
    ) -> Option<RepeatedSamples> {
        let source = Source {
            columns,
            snapshots,
            selection,
        };
        let (hasher, mut work) = (&self.hasher, Work::of_step());
        loop {
            let next = match &mut self.stage {
                Stage::Hash(walk, hashes) => {
                    let is_done = walk.advance(source, &mut work, |series, work| {
                        hashes.insert(hasher.hash_one(series.labels), work);
                    });
                    if !is_done {
                        return None;
                    }
                    let hashes = std::mem::replace(hashes, SeriesHashes::new(0));
                    let shared = SharedHashes::with_buckets(hashes.buckets());
                    Stage::Sort(hashes, shared)
                }
                Stage::Sort(hashes, shared) => {
                    if !hashes.move_shared(shared, &mut work) {
                        return None;
                    }
                    if shared.is_empty() {
                        return Some(RepeatedSamples::default());
                    }
                    let shared = std::mem::replace(shared, SharedHashes::with_buckets(0));
                    Stage::Compare(Box::new(Comparison::new(shared, self.samples, source)))
                }
                Stage::Compare(comparison) => {
                    return comparison.step(source, hasher, &mut work);
                }
            };
            self.stage = next;
        }
    }

    #[cfg(test)]
    pub(super) fn reserved_hashes(&self) -> usize {
        match &self.stage {
            Stage::Hash(_, hashes) | Stage::Sort(hashes, _) => hashes.reserved(),
            Stage::Compare(_) => 0,
        }
    }
}

// === impl Comparison ===

impl Comparison {
    fn new(hashes: SharedHashes, samples: usize, source: Source<'_>) -> Self {
        Self {
            walk: SeriesWalk::new(source.reader()),
            hashes,
            repeated: RepeatedSamples::with_capacity(samples),
            earlier: source.reader(),
        }
    }

    fn step(
        &mut self,
        source: Source<'_>,
        hasher: &impl BuildHasher,
        work: &mut Work,
    ) -> Option<RepeatedSamples> {
        let Self {
            walk,
            hashes,
            repeated,
            earlier,
        } = self;
        let is_done = walk.advance(source, work, |series, work| {
            let hash = hasher.hash_one(series.labels);
            let is_repeated = hashes.is_repeated(hash, series.place, |place| {
                source.has_series(place, series.labels, earlier, work)
            });
            if is_repeated {
                repeated.insert(series.number);
            }
        });
        is_done.then(|| std::mem::take(repeated))
    }
}
