//! [`BufferBudget`]: limits the total bytes that all feeds of a watch buffer.
//!
//! A feed must get memory from the budget before it buffers bytes of an incomplete object. If no memory is left, the
//! feed stops reading its response. The server waits until the feed reads again, so no data is lost.
//!
//! The budget consists of *common memory*, which all feeds share, and one *reserve*, which one feed can have at a time.
//! The reserve is large enough for the largest object. If there is no common memory left, one feed takes the reserve.
//! Therefore, at least one feed can always continue, and there is no deadlock.

use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The memory that the feeds of a watch may use for incomplete objects.
#[derive(Debug)]
pub(super) struct BufferBudget {
    /// Maximum size of an object; `None` if there is no limit.
    object_limit: Option<usize>,
    /// Maximum size of the common memory, in bytes.
    common: usize,
    usage: Mutex<Usage>,
    /// Notifies waiting feeds that memory was released.
    released: Notify,
}

/// The memory in use.
#[derive(Debug, Default)]
struct Usage {
    common: usize,
    /// The bytes of the feed that has the reserve; `None` if no feed has it.
    reserve: Option<usize>,
    peak: usize,
    waits: u64,
}

/// Statistics of a budget, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BudgetFigures {
    pub(super) bytes: usize,
    /// The highest value of `bytes` so far.
    pub(super) peak: usize,
    /// How often a feed had to wait for memory.
    pub(super) waits: u64,
}

/// The memory that one feed has from the budget. Dropping this value releases the memory.
#[derive(Debug)]
pub(super) struct BufferShare {
    budget: Arc<BufferBudget>,
    /// Maximum size of the feed's buffer; `None` if there is no limit.
    limit: Option<usize>,
    common: usize,
    reserve: Option<usize>,
}

/// A buffer above this size gets common memory only if at most half of the common memory is then in use. Therefore,
/// feeds with large objects leave memory for feeds with small objects.
pub(super) const LARGE: usize = 256 << 10;
/// The maximum number of bytes that an event of a watch has in addition to the bytes of its object, for example for the
/// type of the event.
pub(super) const ENVELOPE: usize = 1 << 10;
/// Events of up to this size are always read, so that a low limit on objects does not affect bookmarks and errors.
const MIN_EVENT_LIMIT: usize = 64 << 10;

// === impl BufferBudget ===

impl BufferBudget {
    /// Creates a budget of `total` bytes for objects of up to `object_limit` bytes. `None` means no limit.
    pub(super) fn new(total: Option<usize>, object_limit: Option<usize>) -> Self {
        let common = total.map_or(usize::MAX, |total| {
            let reserve = event_limit(object_limit).unwrap_or(total / 4);
            let reserve = reserve.min(total / 2);
            total - reserve
        });
        Self {
            object_limit,
            common,
            usage: Mutex::default(),
            released: Notify::new(),
        }
    }

    /// Returns the maximum size of an object.
    pub(super) fn object_limit(&self) -> Option<usize> {
        self.object_limit
    }

    /// Returns the maximum size of an event of a watch.
    pub(super) fn event_limit(&self) -> Option<usize> {
        event_limit(self.object_limit)
    }

    pub(super) fn figures(&self) -> BudgetFigures {
        let usage = self.usage.lock();
        BudgetFigures {
            bytes: usage.bytes(),
            peak: usage.peak,
            waits: usage.waits,
        }
    }
}

/// The maximum size of an event whose object has at most `object_limit` bytes.
fn event_limit(object_limit: Option<usize>) -> Option<usize> {
    object_limit.map(|limit| limit.saturating_add(ENVELOPE).max(MIN_EVENT_LIMIT))
}

// === impl Usage ===

impl Usage {
    fn bytes(&self) -> usize {
        self.common + self.reserve.unwrap_or_default()
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.bytes());
    }
}

// === impl BufferShare ===

impl BufferShare {
    /// Creates a share that has no memory yet, for a buffer of up to `limit` bytes. `None` means no limit.
    pub(super) fn new(budget: &Arc<BufferBudget>, limit: Option<usize>) -> Self {
        Self {
            budget: Arc::clone(budget),
            limit,
            common: 0,
            reserve: None,
        }
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether the feed has the reserve. New memory of the feed then belongs to the reserve.
    pub(super) fn has_reserve(&self) -> bool {
        self.reserve.is_some()
    }

    /// Waits until the feed may allocate `bytes` bytes. The feed keeps the `kept` bytes that it already has. Call
    /// [`try_common`](Self::try_common) first.
    pub(super) async fn wait_for(&mut self, kept: usize, bytes: usize) {
        let budget = Arc::clone(&self.budget);
        let mut has_waited = false;
        loop {
            let mut released = pin!(budget.released.notified());
            // Enable the notification before the attempt, so that the notification is not missed if another feed
            // releases memory directly after the attempt.
            released.as_mut().enable();
            if self.try_common(kept, bytes) || self.try_reserve(bytes) {
                return;
            }
            if !std::mem::replace(&mut has_waited, true) {
                budget.usage.lock().waits += 1;
            }
            released.await;
        }
    }

    /// Takes `kept + bytes` bytes of the common memory, if there is enough. Returns false if there is not enough, or if
    /// the feed has the reserve.
    pub(super) fn try_common(&mut self, kept: usize, bytes: usize) -> bool {
        !self.has_reserve() && self.take_common(kept, bytes)
    }

    /// Takes common memory for a buffer of `bytes` bytes, if there is enough, so that the feed can return the reserve.
    /// The caller must then copy its buffer to the new buffer, and call [`keep`](Self::keep), which releases the
    /// reserve.
    pub(super) fn try_leave_reserve(&mut self, bytes: usize) -> bool {
        self.take_common(0, bytes)
    }

    fn take_common(&mut self, kept: usize, bytes: usize) -> bool {
        let wanted = kept.saturating_add(bytes);
        let limit = if bytes > LARGE {
            self.budget.common / 2
        } else {
            self.budget.common
        };
        let mut usage = self.budget.usage.lock();
        let others = usage.common - self.common;
        if others.saturating_add(wanted) > limit {
            return false;
        }
        usage.common = others + wanted;
        usage.note_peak();
        self.common = wanted;
        true
    }

    /// Takes the reserve, if no other feed has it. If there is no limit on the size of objects, the reserve grows.
    fn try_reserve(&mut self, bytes: usize) -> bool {
        let mut usage = self.budget.usage.lock();
        if usage.reserve.is_some() && self.reserve.is_none() {
            return false;
        }
        let bytes = match self.limit {
            Some(limit) => limit,
            // If a buffer grows, its bytes are copied to a new buffer. During the copy, both buffers need memory.
            None => bytes.saturating_add(self.reserve.unwrap_or_default()),
        };
        usage.reserve = Some(bytes);
        usage.note_peak();
        self.reserve = Some(bytes);
        true
    }

    /// Releases all memory of the feed except `capacity` bytes, which stay in the reserve or in the common memory.
    pub(super) fn keep(&mut self, capacity: usize, in_reserve: bool) {
        let (common, reserve) = match in_reserve {
            true => (0, Some(self.limit.unwrap_or(capacity))),
            false => (capacity, None),
        };
        if (common, reserve) == (self.common, self.reserve) {
            return;
        }
        let mut usage = self.budget.usage.lock();
        usage.common = usage.common - self.common + common;
        if self.reserve.is_some() {
            usage.reserve = reserve;
        }
        drop(usage);
        (self.common, self.reserve) = (common, reserve);
        self.budget.released.notify_waiters();
    }
}

impl Drop for BufferShare {
    fn drop(&mut self) {
        self.keep(0, false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::object_buffer::ObjectBuffer;
    use super::*;

    const KIB: usize = 1 << 10;

    fn budget(total: usize, object_limit: usize) -> Arc<BufferBudget> {
        Arc::new(BufferBudget::new(Some(total), Some(object_limit)))
    }

    /// Receives objects of `size` bytes in pieces, with a pause after each piece. Returns the number of received bytes.
    async fn receive(budget: Arc<BufferBudget>, size: usize, objects: usize) -> usize {
        let (mut buffer, mut received) = (ObjectBuffer::of_items(&budget), 0);
        let piece = vec![b'x'; 16 * KIB];
        for _ in 0..objects {
            let mut left = size;
            while left > 0 {
                let piece = &piece[..left.min(piece.len())];
                buffer.make_room(piece.len()).await;
                buffer.append(piece).unwrap();
                buffer.settle();
                left -= piece.len();
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
            }
            received += buffer.bytes().len();
            buffer.clear();
            buffer.settle();
        }
        received
    }

    #[tokio::test(start_paused = true)]
    async fn feeds_with_large_objects_wait_for_each_other_and_lose_nothing() {
        let budget = budget(4 << 20, 1 << 20);
        let feeds = (0..50).map(|at| {
            // The feeds receive objects of different sizes, up to the limit.
            let size = (at % 16 + 1) * 64 * KIB;
            let received = receive(Arc::clone(&budget), size, 5);
            tokio::spawn(async move { assert_eq!(received.await, 5 * size) })
        });
        let feeds: Vec<_> = feeds.collect();
        for feed in feeds {
            let time = Duration::from_secs(3600);
            tokio::time::timeout(time, feed).await.unwrap().unwrap();
        }
        let figures = budget.figures();
        assert!(figures.peak <= 4 << 20, "{figures:?}");
        assert!(figures.waits > 0 && figures.bytes == 0, "{figures:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_leave_room_for_small_ones() {
        let budget = budget(64 << 20, 16 << 20);
        let mut large: Vec<_> = (0..40).map(|_| ObjectBuffer::of_items(&budget)).collect();
        let hold = async {
            for buffer in &mut large {
                buffer.make_room(4 << 20).await;
                buffer.append(&vec![0; 4 << 20]).unwrap();
                buffer.settle();
            }
        };
        // The objects of these feeds never end, so a feed that gets no memory waits forever.
        let held = tokio::time::timeout(Duration::from_secs(60), hold).await;
        assert!(held.is_err() && budget.figures().waits == 1);
        let before = budget.figures().waits;
        let small = receive(Arc::clone(&budget), 100 * KIB, 100);
        assert_eq!(small.await, 10_000 * KIB);
        assert_eq!(budget.figures().waits, before);
        drop(large);
        assert_eq!(budget.figures().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_on_objects_one_feed_may_exceed_the_budget() {
        let budget = Arc::new(BufferBudget::new(Some(256 * KIB), None));
        let received = receive(Arc::clone(&budget), 1 << 20, 1).await;
        assert_eq!(received, 1 << 20);
        assert_eq!(budget.figures().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_stops_gives_its_memory_back() {
        let budget = budget(64 * KIB, 32 * KIB);
        for _ in 0..2 {
            let mut first = ObjectBuffer::of_items(&budget);
            first.make_room(20 * KIB).await;
            first.append(&[0; 20 * KIB]).unwrap();
            first.settle();
            let second = receive(Arc::clone(&budget), 32 * KIB, 3);
            let second = tokio::time::timeout(Duration::from_secs(60), second);
            assert_eq!(second.await.unwrap(), 96 * KIB, "it has the reserve");
        }
        assert_eq!(budget.figures().bytes, 0);
    }
}
