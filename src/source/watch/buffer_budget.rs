//! [`BufferBudget`]: limits the memory in which all feeds of a cluster watch buffer incomplete objects.
//!
//! A feed must get memory from the budget before it buffers bytes of an incomplete object. If no memory is left, the
//! feed stops reading its response. The server waits until the feed reads again, so no data is lost.
//!
//! The budget consists of common memory and one reserve. The reserve is large enough for the largest object. A feed
//! that gets no common memory takes the reserve. Therefore, one feed can always continue, and there is no deadlock.
//!
//! An API server may send objects that never end, in many feeds. These rules keep such feeds from blocking the others:
//!
//! - A buffer of at most [`SMALL`] bytes needs no memory from the budget, so a feed with small objects never waits.
//! - Feeds that need at most [`ORDINARY`] bytes get the reserve before feeds that need more. In both groups, the feed
//!   that has waited the longest is first.
//! - A feed with memory from the budget fails if it has read one object for [`MAX_READ`], and another feed has waited
//!   for memory for [`MAX_READ`]. A feed with memory from the budget also fails if it has waited for [`MAX_WAIT`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

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
    /// Wakes the feeds that have memory from the budget, because another feed has begun to wait.
    contended: Notify,
}

/// The memory in use.
#[derive(Debug, Default)]
struct Usage {
    common: usize,
    /// The size of the reserve while a feed has it; `None` if no feed has it.
    reserve: Option<usize>,
    /// The feeds that wait for memory, in the order in which they began to wait.
    waiting: Vec<Waiting>,
    peak: usize,
    waits: u64,
}

/// A feed that waits for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    /// The number of this wait, counted from 1 over all feeds ([`Usage::waits`]).
    number: u64,
    since: Instant,
    /// The bytes that the feed needs.
    bytes: usize,
}

/// Removes a feed from [`Usage::waiting`] when the feed stops waiting.
struct WaitGuard {
    budget: Arc<BufferBudget>,
    number: u64,
}

/// The error of a feed whose object was incomplete for too long while feeds waited for memory.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the object was incomplete for too long while the buffers of all resources were full")]
pub(super) struct HeldTooLong;

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
    /// The time since which the feed has used memory from the budget for the current object. Each wait of the feed
    /// moves this time forward, so that waiting does not count as reading. `None` if the feed has no memory from the
    /// budget.
    held_since: Option<Instant>,
}

/// Buffers of up to this size need no memory from the budget. Therefore, a feed with small objects never waits.
pub(super) const SMALL: usize = 64 << 10;
/// How long a feed with memory from the budget may read one object. After that, the feed fails as soon as another feed
/// has waited for memory equally long.
const MAX_READ: Duration = Duration::from_secs(10);
/// How long a feed may wait for more memory if it already has memory from the budget.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// A buffer above this size gets common memory only if this leaves at least half of the common memory free. Therefore,
/// feeds with large objects leave memory for feeds with small objects.
pub(super) const LARGE: usize = 256 << 10;
/// The size of the buffer for the largest object that etcd accepts by default. Feeds that need more get the reserve
/// only after all other waiting feeds.
const ORDINARY: usize = 2 << 20;
/// The maximum number of bytes of a watch event that do not belong to its object, such as the type of the event.
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
            contended: Notify::new(),
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

    /// Whether another waiting feed gets the reserve before this feed. `bytes` is the number of bytes that this feed
    /// needs, and `own` is the [number](Waiting::number) of its wait.
    fn has_earlier(&self, bytes: usize, own: Option<u64>) -> bool {
        let order = |bytes, number| (bytes > ORDINARY, number);
        let own = order(bytes, own.unwrap_or(u64::MAX));
        let mut others = self.waiting.iter();
        others.any(|other| order(other.bytes, other.number) < own)
    }
}

// === impl WaitGuard ===

impl WaitGuard {
    fn new(budget: &Arc<BufferBudget>, bytes: usize) -> Self {
        let mut usage = budget.usage.lock();
        usage.waits += 1;
        let number = usage.waits;
        usage.waiting.push(Waiting {
            number,
            since: Instant::now(),
            bytes,
        });
        drop(usage);
        budget.contended.notify_waiters();
        Self {
            budget: Arc::clone(budget),
            number,
        }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut usage = self.budget.usage.lock();
        usage.waiting.retain(|other| other.number != self.number);
        drop(usage);
        // The next feed may now get the reserve.
        self.budget.released.notify_waiters();
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
            held_since: None,
        }
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether the feed has the reserve. If so, new memory for the feed comes from the reserve.
    pub(super) fn has_reserve(&self) -> bool {
        self.reserve.is_some()
    }

    /// Waits until the feed may allocate `bytes` bytes. The feed keeps the `kept` bytes that it already has. Call
    /// [`try_common`](Self::try_common) first.
    ///
    /// # Errors
    ///
    /// Returns an error if the feed already has memory from the budget, and has waited for [`MAX_WAIT`].
    pub(super) async fn wait_for(&mut self, kept: usize, bytes: usize) -> Result<(), HeldTooLong> {
        if self.try_reserve(bytes, None) {
            return Ok(());
        }
        let budget = Arc::clone(&self.budget);
        let guard = WaitGuard::new(&budget, bytes);
        let began = Instant::now();
        loop {
            let mut released = pin!(budget.released.notified());
            // Enable the notification before the attempt, so that the notification is not missed if another feed
            // releases memory directly after the attempt.
            released.as_mut().enable();
            let is_held = self.held_since.is_some();
            if self.try_common(kept, bytes) || self.try_reserve(bytes, Some(guard.number)) {
                if let Some(since) = self.held_since.as_mut().filter(|_| is_held) {
                    *since += began.elapsed();
                }
                return Ok(());
            }
            tokio::select! {
                () = released => {}
                () = sleep_until(began + MAX_WAIT), if is_held => return Err(HeldTooLong),
            }
        }
    }

    /// Waits until the feed has been reading an object for [`MAX_READ`], and another feed has been waiting for
    /// [`MAX_READ`]. Never resolves if the feed has no memory from the budget.
    pub(super) async fn read_too_long(&self) {
        let Some(since) = self.held_since else {
            return std::future::pending().await;
        };
        loop {
            let mut contended = pin!(self.budget.contended.notified());
            contended.as_mut().enable();
            let waiting = self.budget.usage.lock().waiting.first().copied();
            match waiting.map(|waiting| waiting.since.max(since) + MAX_READ) {
                Some(end) if end <= Instant::now() => return,
                // The other feed may stop waiting before `end`. Therefore, check again.
                Some(end) => sleep_until(end).await,
                None => contended.await,
            }
        }
    }

    /// Takes `kept + bytes` bytes of the common memory, if there is enough. Returns false if there is not enough, or if
    /// the feed has the reserve.
    pub(super) fn try_common(&mut self, kept: usize, bytes: usize) -> bool {
        !self.has_reserve() && self.take_common(kept, bytes)
    }

    /// Takes `bytes` bytes of the common memory, if there is enough. They are for a new buffer that replaces the buffer
    /// in the reserve. The caller must then copy its buffer to the new buffer, and call [`keep`](Self::keep), which
    /// releases the reserve.
    pub(super) fn try_leave_reserve(&mut self, bytes: usize) -> bool {
        self.take_common(0, bytes)
    }

    fn take_common(&mut self, kept: usize, bytes: usize) -> bool {
        let wanted = match bytes {
            ..=SMALL => 0,
            _ => kept.saturating_add(bytes),
        };
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
        drop(usage);
        self.common = wanted;
        self.note_held();
        true
    }

    /// Takes the reserve, unless another feed has it or gets it first. If the size of objects has no limit, the reserve
    /// grows. `own` is the [number](Waiting::number) of the feed's wait.
    fn try_reserve(&mut self, bytes: usize, own: Option<u64>) -> bool {
        let mut usage = self.budget.usage.lock();
        let is_taken = usage.reserve.is_some() || usage.has_earlier(bytes, own);
        if is_taken && self.reserve.is_none() {
            return false;
        }
        let bytes = match self.limit {
            Some(limit) => limit,
            // If a buffer grows, its bytes are copied to a new buffer. During the copy, both buffers need memory.
            None => bytes.saturating_add(self.reserve.unwrap_or_default()),
        };
        usage.reserve = Some(bytes);
        usage.note_peak();
        drop(usage);
        self.reserve = Some(bytes);
        self.note_held();
        true
    }

    /// Notes that the object is complete. From now on, the next object uses the memory.
    pub(super) fn object_ended(&mut self) {
        self.held_since = None;
        self.note_held();
    }

    /// Sets `held_since` if the feed now has memory from the budget, and removes it if the feed has none.
    fn note_held(&mut self) {
        self.held_since = match (self.common, self.reserve) {
            (0, None) => None,
            _ => self.held_since.or_else(|| Some(Instant::now())),
        };
    }

    /// Releases all memory except a buffer of `capacity` bytes. If `in_reserve` is true, this buffer uses the reserve,
    /// otherwise the common memory.
    pub(super) fn keep(&mut self, capacity: usize, in_reserve: bool) {
        let (common, reserve) = match in_reserve {
            true => (0, Some(self.limit.unwrap_or(capacity))),
            false if capacity <= SMALL => (0, None),
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
        self.note_held();
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
                buffer.make_room(piece.len()).await.unwrap();
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
        let feeds = (0..20).map(|at| {
            // The feeds have objects of different sizes, up to the limit.
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
                buffer.make_room(4 << 20).await.unwrap();
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
        let budget = budget(256 * KIB, 128 * KIB);
        for _ in 0..2 {
            let mut first = ObjectBuffer::of_items(&budget);
            hold(&mut first, 80 * KIB).await.unwrap();
            let second = receive(Arc::clone(&budget), 128 * KIB, 3);
            let second = tokio::time::timeout(Duration::from_secs(60), second);
            assert_eq!(second.await.unwrap(), 384 * KIB, "it has the reserve");
        }
        assert_eq!(budget.figures().bytes, 0);
    }

    /// Receives the first `bytes` bytes of an object.
    async fn hold(buffer: &mut ObjectBuffer, bytes: usize) -> Result<Duration, HeldTooLong> {
        let waited = buffer.make_room(bytes).await?;
        buffer.append(&vec![0; bytes]).unwrap();
        buffer.settle();
        Ok(waited)
    }

    /// Receives an object that never ends, until the feed fails.
    async fn receive_forever(budget: Arc<BufferBudget>) -> HeldTooLong {
        let mut buffer = ObjectBuffer::of_items(&budget);
        for _ in 0..32 {
            if let Err(error) = hold(&mut buffer, 16 * KIB).await {
                return error;
            }
        }
        buffer.read_too_long().await
    }

    #[tokio::test(start_paused = true)]
    async fn objects_that_never_end_block_others_for_a_limited_time() {
        let budget = budget(64 << 20, 16 << 20);
        let mut endless = tokio::task::JoinSet::new();
        for _ in 0..120 {
            endless.spawn(receive_forever(Arc::clone(&budget)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(budget.figures().waits > 20, "the memory is in use");
        let began = Instant::now();
        // The small object does not wait. The larger object waits until the feed with the reserve fails.
        receive(Arc::clone(&budget), 64 * KIB, 1).await;
        assert!(began.elapsed() < Duration::from_secs(1));
        receive(Arc::clone(&budget), 300 * KIB, 1).await;
        assert!(
            began.elapsed() < MAX_READ + Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        tokio::time::sleep(MAX_WAIT + MAX_READ).await;
        assert!(budget.usage.lock().waiting.is_empty());
        // Some endless feeds still read, because no other feed waits for their memory.
        endless.shutdown().await;
        assert_eq!(budget.figures().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_completes_objects_keeps_its_memory() {
        let budget = budget(4 << 20, 1 << 20);
        let mut buffer = ObjectBuffer::of_items(&budget);
        let _other_feed = WaitGuard::new(&budget, 1 << 20);
        for _ in 0..10 {
            buffer.clear();
            hold(&mut buffer, 1 << 20).await.unwrap();
            let read = tokio::time::timeout(MAX_READ / 2, buffer.read_too_long());
            assert!(read.await.is_err());
        }
        let read = tokio::time::timeout(MAX_READ, buffer.read_too_long());
        assert_eq!(read.await, Ok(HeldTooLong));
    }
}
