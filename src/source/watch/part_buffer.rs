//! [`PartBuffer`]: the incomplete item or event of a response. If the item or event is too large, only the name of its
//! object is kept.

use std::sync::Arc;
use std::time::Duration;

use super::buffer_budget::{BufferBudget, HeldTooLong};
use super::object_buffer::ObjectBuffer;
use super::oversized::{OversizedObject, Part};
use crate::decode::Encoding;

/// The bytes of an incomplete *part* (an item of a list or an event of a watch).
#[derive(Debug)]
pub(super) struct PartBuffer {
    bytes: ObjectBuffer,
    /// The identity of the object, if the part is larger than the limit of the buffer. The buffer does not store such a
    /// part.
    oversized: Option<OversizedObject>,
    encoding: Encoding,
    of_start: OfStart,
}

/// Reads the start of a part that is too large. The second argument is the bytes in the buffer, and the third argument
/// is the bytes that follow.
type OfStart = fn(Encoding, &[u8], &[u8]) -> OversizedObject;

// === impl PartBuffer ===

impl PartBuffer {
    /// Creates a buffer for the items of a list.
    pub(super) fn of_items(encoding: Encoding, budget: &Arc<BufferBudget>) -> Self {
        let bytes = ObjectBuffer::of_items(budget);
        Self::new(bytes, encoding, OversizedObject::of_item)
    }

    /// Creates a buffer for the events of a watch.
    pub(super) fn of_events(encoding: Encoding, budget: &Arc<BufferBudget>) -> Self {
        let bytes = ObjectBuffer::of_events(budget);
        Self::new(bytes, encoding, OversizedObject::of_event)
    }

    pub(super) fn new(bytes: ObjectBuffer, encoding: Encoding, of_start: OfStart) -> Self {
        Self {
            bytes,
            oversized: None,
            encoding,
            of_start,
        }
    }

    /// Whether the next byte begins a new item or event.
    pub(super) fn is_empty(&self) -> bool {
        self.oversized.is_none() && self.bytes.is_empty()
    }

    /// Waits until `more` bytes may be appended. Returns how long the feed waited for other feeds.
    pub(super) async fn make_room(&mut self, more: usize) -> Result<Duration, HeldTooLong> {
        self.bytes.make_room(more).await
    }

    /// Waits until the feed has been reading this part for too long while another feed waits for memory.
    pub(super) async fn read_too_long(&self) -> HeldTooLong {
        self.bytes.read_too_long().await
    }

    /// Appends bytes. If the part becomes larger than the limit of the buffer, records only the identity of its object.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.oversized.is_none() && self.bytes.append(bytes).is_err() {
            let oversized = (self.of_start)(self.encoding, self.bytes.bytes(), bytes);
            self.oversized = Some(oversized);
            self.bytes.clear();
        }
    }

    /// Ends the item or event with the bytes `last`, and calls `each` with the item or event. If `last` is the whole
    /// item or event, its bytes are not copied.
    pub(super) fn end<R>(&mut self, last: &[u8], each: impl FnOnce(Part<'_>) -> R) -> R {
        if self.is_empty() && self.bytes.fits(last.len()) {
            return each(Part::Whole(last));
        }
        self.append(last);
        if let Some(oversized) = self.oversized.take() {
            return each(Part::Oversized(oversized));
        }
        let result = each(Part::Whole(self.bytes.bytes()));
        self.bytes.clear();
        result
    }

    /// Releases the memory of items and events that were handled. An incomplete item or event keeps its memory.
    pub(super) fn settle(&mut self) {
        self.bytes.settle();
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }
}
