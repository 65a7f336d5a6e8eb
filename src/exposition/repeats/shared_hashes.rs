//! [`SharedHashes`]: the hashes that several samples have, and where the first sample with each hash is.

use std::collections::HashMap;

use super::series_walk::Place;

/// The hashes that several samples have. The buckets are the same as in
/// [`SeriesHashes`](super::series_hashes::SeriesHashes).
#[derive(Debug)]
pub(super) struct SharedHashes {
    buckets: Vec<Box<[SharedHash]>>,
    /// In rare cases, several series have the same hash. For each such hash, this map has the places of all its series
    /// except the first.
    others: HashMap<u64, Vec<Place>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct SharedHash {
    hash: u64,
    /// The place of the first sample with this hash; `None` until the search has found this sample.
    first: Option<Place>,
}

// === impl SharedHashes ===

impl SharedHashes {
    pub(super) fn with_buckets(count: usize) -> Self {
        Self {
            buckets: Vec::with_capacity(count),
            others: HashMap::new(),
            len: 0,
        }
    }

    /// Adds the next bucket. Its hashes must be sorted, and must not contain duplicates.
    pub(super) fn push_bucket(&mut self, hashes: impl Iterator<Item = u64>) {
        let bucket: Box<[_]> = hashes
            .map(|hash| SharedHash { hash, first: None })
            .collect();
        self.len += bucket.len();
        self.buckets.push(bucket);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether an earlier sample has the same series as the sample at `place`. If there is no such sample, stores
    /// `place`.
    ///
    /// The caller passes `has_series`, which compares the series of an earlier sample with the series of this sample.
    pub(super) fn is_repeated(
        &mut self,
        hash: u64,
        place: Option<Place>,
        mut has_series: impl FnMut(Place) -> bool,
    ) -> bool {
        let at = bucket_of(hash, self.buckets.len());
        let Some(bucket) = self.buckets.get_mut(at) else {
            return false;
        };
        let shared = bucket.binary_search_by_key(&hash, |shared| shared.hash);
        let Some(shared) = shared.ok().and_then(|at| bucket.get_mut(at)) else {
            return false;
        };
        let Some(first) = shared.first else {
            shared.first = place;
            return false;
        };
        if has_series(first) {
            return true;
        }
        let others = self.others.entry(hash).or_default();
        if others.iter().any(|other| has_series(*other)) {
            return true;
        }
        others.extend(place);
        false
    }
}

/// Returns the index of the bucket that contains a hash.
pub(super) fn bucket_of(hash: u64, buckets: usize) -> usize {
    let buckets = u64::try_from(buckets).unwrap_or(u64::MAX).max(1);
    usize::try_from(hash % buckets).unwrap_or_default()
}
