//! [`SeriesHashes`]: the hashes of the series of a family, and which hashes occur more than once.

use super::shared_hashes::{SharedHashes, bucket_of};
use super::work::Work;

/// The average number of hashes in a bucket. A bucket is so small that it is sorted in a fraction of a step.
const BUCKET: usize = 512;

/// The hashes of series, 8 bytes each. The hashes are in buckets, because one step cannot copy or sort a single list of
/// millions of hashes.
#[derive(Debug)]
pub(super) struct SeriesHashes {
    buckets: Vec<Vec<u64>>,
    /// The initial capacity of a bucket.
    capacity: usize,
    /// The number of buckets that were moved to the result.
    sorted: usize,
}

// === impl SeriesHashes ===

impl SeriesHashes {
    /// Creates an empty set for about `count` hashes.
    pub(super) fn new(count: usize) -> Self {
        let buckets = (count / BUCKET).max(1);
        let average = count.div_ceil(buckets);
        // Hashes are random, so the size of nearly all buckets differs from the average by less than four times the
        // square root of the average.
        let spare = 4 * average.isqrt();
        Self {
            buckets: vec![Vec::new(); buckets],
            capacity: average + spare,
            sorted: 0,
        }
    }

    /// The number of buckets.
    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn insert(&mut self, hash: u64, work: &mut Work) {
        let at = bucket_of(hash, self.buckets.len());
        let Some(bucket) = self.buckets.get_mut(at) else {
            return;
        };
        if bucket.capacity() == 0 {
            bucket.reserve_exact(self.capacity);
        }
        if bucket.len() == bucket.capacity() {
            // If many series are equal, the bucket is full of copies of the same hashes.
            work.spend(bucket.len() * Work::SORTED_HASH);
            keep_two_copies(bucket);
            if bucket.len() > bucket.capacity() / 2 {
                bucket.reserve_exact(bucket.capacity() / 2 + 1);
            }
        }
        bucket.push(hash);
    }

    /// Moves the hashes that occur more than once to `shared`, and releases the memory of the other hashes, until
    /// `work` is spent. Returns whether all hashes were moved.
    pub(super) fn move_shared(&mut self, shared: &mut SharedHashes, work: &mut Work) -> bool {
        while let Some(bucket) = self.buckets.get_mut(self.sorted) {
            if work.is_spent() {
                return false;
            }
            let mut hashes = std::mem::take(bucket);
            work.spend(Work::ROW + hashes.len() * Work::SORTED_HASH);
            hashes.sort_unstable();
            let equal = hashes.chunk_by(|a, b| a == b);
            let repeated = equal.filter(|equal| equal.len() > 1);
            shared.push_bucket(repeated.filter_map(|equal| equal.first().copied()));
            self.sorted += 1;
        }
        true
    }

    /// The number of hashes that memory is reserved for.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.buckets.iter().map(Vec::capacity).sum()
    }
}

/// Sorts hashes, and removes all but two copies of each hash.
fn keep_two_copies(hashes: &mut Vec<u64>) {
    hashes.sort_unstable();
    let (mut last, mut copies) = (None, 0);
    hashes.retain(|&hash| {
        copies = if last == Some(hash) { copies + 1 } else { 1 };
        last = Some(hash);
        copies <= 2
    });
}
