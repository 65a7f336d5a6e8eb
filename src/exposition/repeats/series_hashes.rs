//! [`SeriesHashes`]: the hashes of the series of a family, and which hashes occur more than once.
//!
//! The hashes are in *buckets*: short lists, which a step of the search can sort.

use super::shared_hashes::{SharedHashes, bucket_of};
use super::work::Work;

/// The average number of hashes in a bucket. A bucket is so small that one step can sort several buckets.
const BUCKET: usize = 512;

/// The initial capacity of a bucket if the number of hashes is not known.
const SMALL_BUCKET: usize = 32;

/// The hashes of all series. Each hash takes 8 bytes. The hashes are in buckets: a step is too short to copy or sort
/// one list of millions of hashes.
#[derive(Debug)]
pub(super) struct SeriesHashes {
    buckets: Vec<Vec<u64>>,
    /// The initial capacity of each bucket.
    capacity: usize,
    /// The number of buckets that are already moved to the [`SharedHashes`].
    sorted: usize,
}

// === impl SeriesHashes ===

impl SeriesHashes {
    /// Creates an empty set with memory for about `count` hashes.
    pub(super) fn new(count: usize) -> Self {
        let buckets = (count / BUCKET).max(1);
        let average = count.div_ceil(buckets);
        // The hashes are random, so nearly all buckets have similar sizes. Their difference from the average is less
        // than four times the square root of the average.
        let spare = 4 * average.isqrt();
        Self {
            buckets: vec![Vec::new(); buckets],
            capacity: average + spare,
            sorted: 0,
        }
    }

    /// Creates an empty set for at most `count` hashes. The set may get far fewer hashes, so their memory is reserved
    /// when they are inserted.
    pub(super) fn of_at_most(count: usize) -> Self {
        Self {
            capacity: SMALL_BUCKET,
            ..Self::new(count)
        }
    }

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
            // If many series are equal, the bucket contains many copies of the same hashes. Remove the unnecessary
            // copies, so that the bucket becomes larger only if it must.
            work.spend(bucket.len() * Work::SORTED_HASH);
            keep_two_copies(bucket);
            if bucket.len() > bucket.capacity() / 2 {
                bucket.reserve_exact(bucket.capacity() / 2 + 1);
            }
        }
        bucket.push(hash);
    }

    /// Moves the hashes that occur more than once to `shared`, and frees the memory of the other hashes. Stops when
    /// `work` is used up. Returns whether all buckets are done.
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

    /// Returns the number of hashes for which memory is reserved.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.buckets.iter().map(Vec::capacity).sum()
    }
}

/// Sorts hashes, and keeps at most two copies of each hash.
fn keep_two_copies(hashes: &mut Vec<u64>) {
    hashes.sort_unstable();
    let (mut last, mut copies) = (None, 0);
    hashes.retain(|&hash| {
        copies = if last == Some(hash) { copies + 1 } else { 1 };
        last = Some(hash);
        copies <= 2
    });
}
