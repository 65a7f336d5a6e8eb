//! [`ObjectBuffer`]: the bytes of an object that has not arrived completely.
//!
//! The [`BufferBudget`] limits the memory of all these buffers. It consists of *common memory* for all feeds, and of a
//! *reserve* for one large object. A feed that gets no common memory takes the reserve.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::buffer_budget::{BufferBudget, BufferShare, ENVELOPE, HeldTooLong, LARGE};

/// The bytes of an incomplete object. The bytes are overwritten before their memory is freed, because the object may be
/// a secret.
#[derive(Debug)]
pub(super) struct ObjectBuffer {
    bytes: Vec<u8>,
    share: BufferShare,
    /// Whether the memory of `bytes` belongs to the reserve.
    in_reserve: bool,
}

/// Bytes that are overwritten before their memory is freed.
#[derive(Debug)]
pub(super) struct Overwritten(Vec<u8>);

/// The error for an object that is larger than the limit of its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Minimum size of a buffer. Most objects fit into a buffer of this size.
const MIN_CAPACITY: usize = 16 << 10;

// === impl ObjectBuffer ===

impl ObjectBuffer {
    /// Creates a buffer for the items of a list.
    pub(super) fn of_items(budget: &Arc<BufferBudget>) -> Self {
        Self::new(budget, budget.object_limit())
    }

    /// Creates a buffer for the events of a watch.
    pub(super) fn of_events(budget: &Arc<BufferBudget>) -> Self {
        Self::new(budget, budget.event_limit())
    }

    /// Creates a buffer of up to `limit` bytes. `None` means no limit.
    pub(super) fn new(budget: &Arc<BufferBudget>, limit: Option<usize>) -> Self {
        Self {
            bytes: Vec::new(),
            share: BufferShare::new(budget, limit),
            in_reserve: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `size` bytes are within the limit.
    pub(super) fn fits(&self, size: usize) -> bool {
        self.share.limit().is_none_or(|limit| size <= limit)
    }

    /// Waits until `more` bytes may be appended. Returns how long the feed waited for other feeds.
    ///
    /// # Errors
    ///
    /// Returns an error if the wait takes too long. A feed without memory from the budget can wait for any time.
    pub(super) async fn make_room(&mut self, more: usize) -> Result<Duration, HeldTooLong> {
        let needed = self.within_limit(self.bytes.len() + more);
        if needed <= self.bytes.capacity() {
            return Ok(Duration::ZERO);
        }
        // The budget must have memory for both buffers, because the old and the new buffer exist at the same time
        // during the copy.
        let (kept, grown) = (self.bytes.capacity(), self.grown(needed));
        if self.share.try_common(kept, grown) {
            return Ok(Duration::ZERO);
        }
        let began = Instant::now();
        self.share.wait_for(kept, grown).await?;
        Ok(began.elapsed())
    }

    /// Waits until the feed must fail: it has been reading an object for too long, and another feed has been waiting
    /// for memory for too long. Never resolves for small objects.
    pub(super) async fn read_too_long(&self) -> HeldTooLong {
        self.share.read_too_long().await;
        HeldTooLong
    }

    /// Appends bytes. [`make_room`](Self::make_room) must have reserved memory for the bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the object is larger than the limit of the buffer. After such an error, the buffer is
    /// unchanged.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let needed = self.bytes.len() + bytes.len();
        if !self.fits(needed) {
            return Err(TooLarge);
        }
        if needed > self.bytes.capacity() {
            let grown = self.grown(needed);
            // An object that begins in an empty buffer uses common memory if possible, so that other feeds can use the
            // reserve.
            self.in_reserve = self.share.has_reserve()
                && !(self.is_empty() && self.share.try_leave_reserve(grown));
            self.move_to(match self.share.limit() {
                // If the buffer is in the reserve, the buffer gets its maximum size, so that it does not grow again.
                Some(limit) if self.in_reserve => limit,
                _ => grown,
            });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Overwrites and frees the buffer.
    pub(super) fn clear(&mut self) {
        overwrite(&mut self.bytes);
        self.bytes = Vec::new();
        self.in_reserve = false;
        self.share.object_ended();
    }

    /// Releases the memory that the buffer does not use. Tries to move the last few bytes from the reserve to the
    /// common memory, so that other feeds can use the reserve.
    pub(super) fn settle(&mut self) {
        // Only a small object is moved out of the reserve, because copying a large object takes time.
        if self.in_reserve && self.bytes.len() <= LARGE {
            let capacity = self.grown(self.bytes.len());
            if self.share.try_leave_reserve(capacity) {
                self.move_to(capacity);
                self.in_reserve = false;
            }
        }
        self.share.keep(self.bytes.capacity(), self.in_reserve);
    }

    /// Moves the contents to a buffer of this capacity, and overwrites the old buffer.
    fn move_to(&mut self, capacity: usize) {
        let moved = Vec::with_capacity(capacity);
        let mut old = std::mem::replace(&mut self.bytes, moved);
        self.bytes.extend_from_slice(&old);
        overwrite(&mut old);
    }

    fn within_limit(&self, size: usize) -> usize {
        self.share.limit().map_or(size, |limit| size.min(limit))
    }

    /// The capacity of a buffer for `needed` bytes. Each capacity is a power of two, so that a growing object is rarely
    /// copied.
    fn grown(&self, needed: usize) -> usize {
        let doubled = needed.checked_next_power_of_two().unwrap_or(needed);
        let capacity = match self.share.limit() {
            // If the limit is only slightly higher than the next power of two, the limit becomes the capacity.
            // Otherwise, the last bytes of an event would cause another copy.
            Some(limit) if limit.saturating_sub(doubled) <= ENVELOPE => limit,
            _ => doubled.max(MIN_CAPACITY),
        };
        self.within_limit(capacity).max(needed)
    }
}

impl Drop for ObjectBuffer {
    fn drop(&mut self) {
        overwrite(&mut self.bytes);
    }
}

/// Returns a copy of an object, which the caller applies later. The bytes of the copy are overwritten before their
/// memory is freed.
pub(super) fn copy(object: &[u8]) -> Bytes {
    Bytes::from_owner(Overwritten(object.to_vec()))
}

// === impl Overwritten ===

impl Overwritten {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Overwrites and removes the bytes, but keeps their memory.
    pub(super) fn clear(&mut self) {
        overwrite(&mut self.0);
        self.0.clear();
    }

    /// Appends bytes. If the bytes need a larger buffer, overwrites the previous buffer.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(2 * self.0.len()));
            grown.extend_from_slice(&self.0);
            overwrite(&mut self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl AsRef<[u8]> for Overwritten {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Overwritten {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

/// Returns a copy of at most `most` bytes: first the bytes of `first`, then the bytes of `second`.
pub(super) fn copy_start(first: &[u8], second: &[u8], most: usize) -> Bytes {
    let first = first.get(..most).unwrap_or(first);
    let second = second.get(..most - first.len()).unwrap_or(second);
    Bytes::from_owner(Overwritten([first, second].concat()))
}

/// Overwrites bytes with zeros.
fn overwrite(bytes: &mut [u8]) {
    bytes.fill(0);
    // Without `black_box`, the compiler may remove the writes, because nothing reads the zeros.
    black_box(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    /// Returns a budget whose common memory is in use, and the buffers that use this memory.
    async fn exhausted() -> (Arc<BufferBudget>, Vec<ObjectBuffer>) {
        let budget = Arc::new(BufferBudget::new(Some(4096 * KIB), Some(1024 * KIB)));
        let mut others = Vec::new();
        while budget.figures().bytes < 2944 * KIB {
            let mut other = ObjectBuffer::of_items(&budget);
            receive(&mut other, 100 * KIB).await;
            others.push(other);
        }
        (budget, others)
    }

    async fn receive(buffer: &mut ObjectBuffer, bytes: usize) {
        buffer.make_room(bytes).await.unwrap();
        buffer.append(&vec![b'x'; bytes]).unwrap();
        buffer.settle();
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_free_after_the_object_that_needed_it() {
        let (budget, mut others) = exhausted().await;
        let mut buffer = ObjectBuffer::of_items(&budget);
        for _ in 0..25 {
            receive(&mut buffer, 32 * KIB).await;
        }
        others.clear();
        assert_eq!(budget.figures().bytes, 1024 * KIB, "it has the reserve");
        // Each chunk contains the end of an object and the start of the next object.
        for _ in 0..3 {
            buffer.make_room(32 * KIB).await.unwrap();
            buffer.append(&[b'x'; 30 * KIB]).unwrap();
            buffer.clear();
            buffer.append(&[b'y'; 2 * KIB]).unwrap();
            buffer.settle();
            assert_eq!(buffer.bytes(), [b'y'; 2 * KIB]);
            assert_eq!(budget.figures().bytes, 0, "small buffers do not count");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_object_leaves_the_reserve_once_there_is_room() {
        let (budget, mut others) = exhausted().await;
        let mut buffer = ObjectBuffer::of_items(&budget);
        receive(&mut buffer, 100 * KIB).await;
        let before = budget.figures().bytes;
        receive(&mut buffer, KIB).await;
        assert_eq!(budget.figures().bytes, before, "there is no room");
        others.clear();
        receive(&mut buffer, KIB).await;
        assert_eq!(budget.figures().bytes, 128 * KIB);
        assert_eq!(buffer.bytes(), [b'x'; 102 * KIB]);
    }

    #[test]
    fn a_copy_of_the_first_bytes_ends_where_it_should() {
        let copy = |most| copy_start(b"abc", b"def", most);
        assert_eq!(
            [&copy(2)[..], &copy(3), &copy(5), &copy(9)],
            ["ab", "abc", "abcde", "abcdef"].map(str::as_bytes)
        );
    }
}
