//! [`ListBatches`]: applies a part of a long list on another thread.
//!
//! The task of a watch reads a list, splits it, and applies its objects. Applying the objects takes most of the time,
//! so a second thread applies about half of them. The task passes whole batches to this thread, and goes on with the
//! objects after the batch. A batch has as many objects as a page of the store has rows. So the rows of both threads
//! are in different pages, and the pages of a list in key order become full.
//!
//! Between barriers, the order of the objects is not kept. [`ListBatches::finish`] is such a barrier.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::audit::KeyHasher;
use super::failure::Failure;
use super::object_buffer::Overwritten;
use crate::decode::{DecodeError, DecodeReason, Encoding};
use crate::k8s::resource_version;
use crate::source::health::FailureReason;
use crate::store::{ListHelper, PAGE_ROWS};

/// The batches of the list in progress.
pub(super) struct ListBatches {
    /// A permit for each thread that may help.
    permits: Arc<Semaphore>,
    /// Number of objects of the list so far that are small enough for a batch.
    objects: usize,
    /// The batch that is being filled.
    batch: Option<Batch>,
    thread: Option<HelperThread>,
}

/// A thread that applies batches.
struct HelperThread {
    batches: mpsc::Sender<Batch>,
    stop: StopOnDrop,
    applied: JoinHandle<AppliedBatches>,
}

/// Makes a thread stop after its current object when this value is dropped.
struct StopOnDrop(Arc<AtomicBool>);

/// Consecutive objects of a list.
struct Batch {
    encoding: Encoding,
    bytes: Overwritten,
    /// The end of each object in `bytes`.
    ends: Vec<usize>,
}

/// The results of the objects that were applied on another thread.
#[derive(Debug, Default)]
pub(super) struct AppliedBatches {
    /// The highest version of the objects.
    pub(super) newest: Option<u64>,
    /// The first object whose bytes are not valid.
    pub(super) malformed: Option<DecodeError>,
    /// Why the other objects did not decode. Not all errors if there are many.
    pub(super) errors: Vec<DecodeError>,
    /// Hashes of the keys of the objects that have no row.
    pub(super) without_row: HashSet<u64>,
}

/// Number of objects of a batch.
const BATCH: usize = PAGE_ROWS;
/// A batch is full at this size.
const FULL_BYTES: usize = 4 << 20;
/// Maximum number of batches that wait for the thread.
const WAITING: usize = 1;
/// Maximum number of errors to remember. Errors beyond the limit would not be logged as warnings, either.
const MAX_ERRORS: usize = 100;
/// Maximum number of threads that help all watches of a cluster.
const MAX_THREADS: usize = 4;

/// The permits that the reflectors of a watch share: one for each processor except that of the watches themselves.
pub(super) fn spare_processors() -> Arc<Semaphore> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((processors - 1).min(MAX_THREADS)))
}

// === impl ListBatches ===

impl ListBatches {
    pub(super) fn new(permits: Arc<Semaphore>) -> Self {
        Self {
            permits,
            objects: 0,
            batch: None,
            thread: None,
        }
    }

    /// Begins a list. [`finish`](Self::finish) or [`discard`](Self::discard) has ended the list before.
    pub(super) fn begin_list(&mut self) {
        self.objects = 0;
    }

    /// Offers the next object of the list, which must be smaller than [`Encoding::large_object`]. Returns false if the
    /// caller must apply the object.
    ///
    /// The function `helper` returns what applies objects on the other thread, and `hasher` is the hash function for
    /// their keys.
    pub(super) fn offer(
        &mut self,
        object: &[u8],
        encoding: Encoding,
        helper: impl FnOnce() -> Option<Box<dyn ListHelper>>,
        hasher: impl FnOnce() -> Option<KeyHasher>,
    ) -> bool {
        let at = self.objects;
        self.objects += 1;
        if self.batch.is_none() {
            // A short list needs no other thread.
            let begins_page = at >= BATCH && at.is_multiple_of(BATCH);
            if !begins_page || !self.can_send(helper, hasher) {
                return false;
            }
        }
        let batch = self.batch.get_or_insert_with(|| Batch::new(encoding));
        batch.push(object);
        if batch.is_full() {
            self.send();
        }
        true
    }

    /// Whether objects are in a batch or on the other thread.
    pub(super) fn is_in_use(&self) -> bool {
        self.batch.is_some() || self.thread.is_some()
    }

    /// Whether the thread can take another batch. Starts the thread if none is running.
    fn can_send(
        &mut self,
        helper: impl FnOnce() -> Option<Box<dyn ListHelper>>,
        hasher: impl FnOnce() -> Option<KeyHasher>,
    ) -> bool {
        if let Some(thread) = &self.thread {
            return thread.batches.capacity() > 0;
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return false;
        };
        let Some(helper) = helper() else {
            return false;
        };
        self.thread = Some(HelperThread::start(helper, hasher(), permit));
        true
    }

    /// Passes the batch to the thread.
    fn send(&mut self) {
        if let (Some(thread), Some(batch)) = (&self.thread, self.batch.take()) {
            // There is room: `can_send` was true before the batch began. If the thread has ended by a panic, `finish`
            // continues the panic.
            let _ = thread.batches.try_send(batch);
        }
    }

    /// Waits until all objects are applied.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down, so that objects were not applied.
    pub(super) async fn finish(&mut self) -> Result<AppliedBatches, Failure> {
        let Some(thread) = self.thread.take() else {
            return Ok(AppliedBatches::default());
        };
        if let Some(batch) = self.batch.take() {
            let _ = thread.batches.send(batch).await;
        }
        drop(thread.batches);
        let applied = thread.applied.await;
        drop(thread.stop);
        applied.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Failure::new(FailureReason::Unreachable, "the runtime is shutting down"),
        })
    }

    /// Drops the objects that are not yet applied, and waits for the thread.
    pub(super) async fn discard(&mut self) {
        self.batch = None;
        if let Some(HelperThread {
            batches,
            stop,
            applied,
        }) = self.thread.take()
        {
            drop((batches, stop));
            // Without its results, the list is discarded.
            let _ = applied.await;
        }
    }
}

// === impl HelperThread ===

impl HelperThread {
    fn start(
        mut helper: Box<dyn ListHelper>,
        hasher: Option<KeyHasher>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (batches, mut received) = mpsc::channel::<Batch>(WAITING);
        let stop = StopOnDrop(Arc::default());
        let stopped = Arc::clone(&stop.0);
        let applied = spawn_blocking(move || {
            let mut applied = AppliedBatches::default();
            while let Some(batch) = received.blocking_recv() {
                for object in batch.objects() {
                    if stopped.load(Ordering::Relaxed) {
                        return applied;
                    }
                    applied.apply(&mut *helper, batch.encoding, object, hasher.as_ref());
                }
            }
            drop(permit);
            applied
        });
        Self {
            batches,
            stop,
            applied,
        }
    }
}

// === impl StopOnDrop ===

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// === impl Batch ===

impl Batch {
    fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            // The batch never grows beyond this capacity, so its bytes are never copied to another place.
            bytes: Overwritten::with_capacity(FULL_BYTES + encoding.large_object()),
            ends: Vec::with_capacity(BATCH),
        }
    }

    fn push(&mut self, object: &[u8]) {
        self.bytes.extend(object);
        self.ends.push(self.bytes.as_ref().len());
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= BATCH || self.bytes.as_ref().len() >= FULL_BYTES
    }

    fn objects(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let object = self.bytes.as_ref().get(start..end);
            start = end;
            object.unwrap_or_default()
        })
    }
}

// === impl AppliedBatches ===

impl AppliedBatches {
    fn apply(
        &mut self,
        helper: &mut dyn ListHelper,
        encoding: Encoding,
        object: &[u8],
        hasher: Option<&KeyHasher>,
    ) {
        let has_row = match helper.apply(encoding.object(object)) {
            Ok(()) => {
                let version = resource_version::as_u64(helper.last_version());
                self.newest = self.newest.max(version);
                helper.last_has_row()
            }
            Err(error) => {
                if let (Some(hasher), Some(identity)) = (hasher, error.identity()) {
                    self.without_row.insert(hasher.hash_name(identity));
                }
                if error.reason() == DecodeReason::Syntax && self.malformed.is_none() {
                    self.malformed = Some(error);
                } else if self.errors.len() < MAX_ERRORS {
                    self.errors.push(error);
                }
                return;
            }
        };
        if let Some(hasher) = hasher.filter(|_| !has_row) {
            self.without_row.insert(hasher.hash(helper.last_key()));
        }
    }
}
