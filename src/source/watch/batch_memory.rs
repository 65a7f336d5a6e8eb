//! [`BatchMemory`]: the permits and the buffers of batches of listed objects. All reflectors of a watch share them.
//!
//! A list of thousands of objects needs many batches, one after the other. Each batch needs a buffer of about 4 MiB. The
//! batches use the same few buffers again, because the usual allocator places an allocation of this size among the small
//! ones once it has freed such a buffer. Then small allocations with a long life keep the memory of the buffer.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::object_buffer::Overwritten;

/// The permits and the buffers of the batches of a watch.
#[derive(Debug)]
pub(super) struct BatchMemory {
    /// Limits the number of batches: each batch needs a permit.
    permits: Arc<Semaphore>,
    /// The buffers, while a list uses them.
    spare: Mutex<Weak<SpareBuffers>>,
}

/// The buffers that no batch uses. When no list uses them any more, their memory is freed.
#[derive(Debug, Default)]
pub(super) struct SpareBuffers(Mutex<Vec<Overwritten>>);

/// The buffer of a batch, and its permit. When this value is dropped, another batch can use the buffer.
#[derive(Debug)]
pub(super) struct BatchBuffer {
    bytes: Overwritten,
    spare: Arc<SpareBuffers>,
    _permit: OwnedSemaphorePermit,
}

// === impl BatchMemory ===

impl BatchMemory {
    /// Allows at most `batches` batches at the same time.
    pub(super) fn new(batches: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(batches)),
            spare: Mutex::default(),
        }
    }

    /// Returns the spare buffers. Their memory is not freed before the caller drops the result.
    pub(super) fn spare(&self) -> Arc<SpareBuffers> {
        let mut spare = self.spare.lock();
        spare.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *spare = Arc::downgrade(&new);
            new
        })
    }

    /// Returns an empty buffer of `spare` with at least this capacity in bytes; `None` if there are as many batches as
    /// allowed.
    pub(super) fn buffer(&self, spare: &Arc<SpareBuffers>, capacity: usize) -> Option<BatchBuffer> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let buffer = spare.0.lock().pop();
        let bytes = buffer.filter(|own| own.capacity() >= capacity);
        Some(BatchBuffer {
            bytes: bytes.unwrap_or_else(|| Overwritten::with_capacity(capacity)),
            spare: Arc::clone(spare),
            _permit: permit,
        })
    }

    #[cfg(test)]
    pub(super) fn available(&self) -> usize {
        self.permits.available_permits()
    }
}

// === impl BatchBuffer ===

impl BatchBuffer {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }
}

impl AsRef<[u8]> for BatchBuffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::replace(&mut self.bytes, Overwritten::with_capacity(0));
        bytes.clear();
        self.spare.0.lock().push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_use_the_same_buffers_until_no_list_needs_them() {
        let memory = BatchMemory::new(2);
        let (first, second) = (memory.spare(), memory.spare());
        let mut addresses = Vec::new();
        for list in [&first, &second] {
            for _ in 0..5 {
                let [mut one, other] = [(); 2].map(|()| memory.buffer(list, 1000).unwrap());
                assert!(memory.buffer(list, 1000).is_none(), "there are two permits");
                assert!(one.as_ref().is_empty(), "no object of an earlier batch");
                one.extend(b"object");
                assert_eq!(one.as_ref(), b"object");
                addresses.extend([one, other].map(|own| own.bytes.as_ref().as_ptr().addr()));
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 2);
        drop(first);
        assert_eq!(memory.spare().0.lock().len(), 2);
        drop(second);
        assert_eq!(memory.spare().0.lock().len(), 0);
    }

    #[test]
    fn a_buffer_that_is_too_small_is_replaced() {
        let memory = BatchMemory::new(1);
        let spare = memory.spare();
        drop(memory.buffer(&spare, 10));
        assert!(memory.buffer(&spare, 1000).unwrap().bytes.capacity() >= 1000);
        assert_eq!(spare.0.lock().len(), 1);
    }

    #[test]
    fn a_buffer_outlives_its_list() {
        let memory = BatchMemory::new(1);
        let spare = memory.spare();
        let buffer = memory.buffer(&spare, 10).unwrap();
        drop(spare);
        assert_eq!(Arc::strong_count(&memory.spare()), 2);
        drop(buffer);
        assert_eq!(memory.available(), 1);
    }
}
