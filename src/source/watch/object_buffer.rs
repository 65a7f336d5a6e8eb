//! [`ObjectBuffer`]: the bytes of an object that has not arrived completely.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::buffer_budget::{BufferBudget, BufferShare};

/// The bytes of an incomplete object. They are overwritten before their memory is freed, since they may be
/// those of a secret.
#[derive(Debug)]
pub(super) struct ObjectBuffer {
    bytes: Vec<u8>,
    share: BufferShare,
    /// The memory of `bytes` belongs to the reserve of the budget.
    in_reserve: bool,
}

/// The memory of a copy, which is overwritten before it is freed.
#[derive(Debug)]
struct Overwritten(Vec<u8>);

/// An object is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// The minimum size of a buffer, so that the usual objects fit.
const MIN_CAPACITY: usize = 16 << 10;

// === impl ObjectBuffer ===

impl ObjectBuffer {
    pub(super) fn new(budget: &Arc<BufferBudget>) -> Self {
        Self {
            bytes: Vec::new(),
            share: BufferShare::new(budget),
            in_reserve: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether an object of `size` bytes is within the limit.
    pub(super) fn fits(&self, size: usize) -> bool {
        let limit = self.share.budget().object_limit();
        limit.is_none_or(|limit| size <= limit)
    }

    /// Waits until `more` bytes may be appended. Returns the time that the feed waited for other feeds.
    pub(super) async fn make_room(&mut self, more: usize) -> Duration {
        let needed = self.within_limit(self.bytes.len() + more);
        if needed <= self.bytes.capacity() {
            return Duration::ZERO;
        }
        // The old and the new buffer exist at the same time while the bytes are copied.
        let (kept, grown) = (self.bytes.capacity(), self.grown(needed));
        if self.share.try_common(kept, grown) {
            return Duration::ZERO;
        }
        let began = Instant::now();
        self.share.wait_for(kept, grown).await;
        began.elapsed()
    }

    /// Appends bytes, for which [`make_room`](Self::make_room) has made room.
    ///
    /// # Errors
    ///
    /// If the object is larger than the limit. The buffer stays as it is.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let needed = self.bytes.len() + bytes.len();
        if !self.fits(needed) {
            return Err(TooLarge);
        }
        if needed > self.bytes.capacity() {
            self.in_reserve = self.share.has_reserve();
            let capacity = match self.share.budget().object_limit() {
                // It does not grow again.
                Some(limit) if self.in_reserve => limit,
                _ => self.grown(needed),
            };
            let grown = Vec::with_capacity(capacity);
            let mut old = std::mem::replace(&mut self.bytes, grown);
            self.bytes.extend_from_slice(&old);
            overwrite(&mut old);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Overwrites and frees the buffer.
    pub(super) fn clear(&mut self) {
        overwrite(&mut self.bytes);
        self.bytes = Vec::new();
    }

    /// Gives back the memory that the buffer does not use.
    pub(super) fn settle(&mut self) {
        let in_reserve = self.in_reserve && self.bytes.capacity() > 0;
        self.share.keep(self.bytes.capacity(), in_reserve);
    }

    fn within_limit(&self, size: usize) -> usize {
        let limit = self.share.budget().object_limit();
        limit.map_or(size, |limit| size.min(limit))
    }

    /// The capacity of a buffer for `needed` bytes. It doubles, so that a large object is rarely copied.
    fn grown(&self, needed: usize) -> usize {
        let doubled = needed.checked_next_power_of_two().unwrap_or(needed);
        self.within_limit(doubled.max(MIN_CAPACITY)).max(needed)
    }
}

impl Drop for ObjectBuffer {
    fn drop(&mut self) {
        overwrite(&mut self.bytes);
    }
}

/// A copy of an object that is applied later. Its bytes are overwritten before their memory is freed.
pub(super) fn copy(object: &[u8]) -> Bytes {
    Bytes::from_owner(Overwritten(object.to_vec()))
}

// === impl Overwritten ===

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

/// Overwrites bytes with zeros.
fn overwrite(bytes: &mut [u8]) {
    bytes.fill(0);
    // Nothing reads the zeros, so without this the compiler may remove the writes.
    black_box(bytes);
}
