//! [`SharedHashes`]: the hashes that several samples have, and where the first sample with each hash is.

use std::collections::HashMap;

use super::series_walk::Place;

/// The hashes that several samples have, in buckets as in [`SeriesHashes`](super::series_hashes::SeriesHashes).
#[derive(Debug)]
pub(super) struct SharedHashes {
    buckets: Vec<Box<[SharedHash]>>,
    /// For each hash that several different series have, the places of these series except the first one. Such hashes
    /// are rare.
    others: HashMap<u64, Vec<Place>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct SharedHash {
    hash: u64,
    /// The first sample with this hash; `None` until the search finds the sample.
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

    /// Adds the next bucket. Its hashes are sorted, and each hash occurs once.
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

    /// Whether an earlier sample has the series of the sample at `place`. If no earlier sample has this series, stores
    /// the place of the sample.
    ///
    /// `has_series` states whether the sample at a place has the series.
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

/// The position of the bucket of a hash.
pub(super) fn bucket_of(hash: u64, buckets: usize) -> usize {
    let buckets = u64::try_from(buckets).unwrap_or(u64::MAX).max(1);
    usize::try_from(hash % buckets).unwrap_or_default()
}
