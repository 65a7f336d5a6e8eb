//! [`ListBatches`]: applies about half of the objects of a long list on another thread.
//!
//! The task of a watch reads a list, splits the list into objects, and applies the objects. Applying the objects takes
//! most of the time, so a second thread applies about half of the objects. The task passes a *batch* of objects to the
//! second thread, and itself applies the objects after the batch. The maximum number of objects in a batch is the
//! maximum number of rows in a page. (In this file, a page is a page of the store, not of the list.) Therefore, the two
//! threads write to different pages. If the list is in key order, each batch fills one page.
//!
//! The two threads do not apply the objects in the order of the list. [`ListBatches::finish`] waits until the second
//! thread has applied its objects.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::audit::KeyHasher;
use super::batch_memory::{BatchBuffer, BatchMemory, SpareBuffers};
use super::failure::Failure;
use crate::decode::{DecodeError, DecodeReason, Encoded, Encoding};
use crate::k8s::resource_version;
use crate::source::health::FailureReason;
use crate::store::{ListHelper, PAGE_ROWS};

/// The batches of the list in progress.
pub(super) struct ListBatches {
    memory: Arc<BatchMemory>,
    /// Keeps the buffers of this list for its next batches. `None` until the list needs a batch.
    spare: Option<Arc<SpareBuffers>>,
    /// Number of objects in the list so far. Objects that are too large for a batch do not count.
    objects: usize,
    /// The batch to which the task adds objects.
    batch: Option<Batch>,
    /// A full batch that waits until the thread in `running` has ended.
    waiting: Option<Batch>,
    /// The worker that applies batches. `None` while a thread uses the worker.
    worker: Option<Worker>,
    /// The thread that applies a batch. The thread ends after the batch, so that no thread waits for a slow list.
    running: Option<JoinHandle<Worker>>,
    /// When this `ListBatches` is dropped, the thread stops after its current object.
    stop: StopOnDrop,
    /// Whether a batch was not applied, because the runtime is shutting down.
    is_incomplete: bool,
}

/// Applies batches on another thread.
struct Worker {
    helper: Box<dyn ListHelper>,
    hasher: Option<KeyHasher>,
    stopped: Arc<AtomicBool>,
    applied: AppliedBatches,
}

/// A flag that is set when this value is dropped.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

/// Consecutive objects of a list.
struct Batch {
    encoding: Encoding,
    bytes: BatchBuffer,
    /// For each object, the offset of its end in `bytes`.
    ends: Vec<usize>,
}

/// The results of the objects that were applied on another thread.
#[derive(Debug, Default)]
pub(super) struct AppliedBatches {
    /// The highest resource version of the objects.
    pub(super) newest: Option<u64>,
    /// The first object whose bytes are not valid, or an object with only metadata. Such an object was not requested,
    /// because batches of partial objects in JSON do not exist.
    pub(super) malformed: Option<DecodeError>,
    /// The errors of the other objects that did not decode, at most [`MAX_ERRORS`].
    pub(super) errors: Vec<DecodeError>,
    /// Hashes of the keys of the objects for which the store has no row.
    pub(super) without_row: HashSet<u64>,
}

/// Maximum number of objects of a batch.
const BATCH: usize = PAGE_ROWS;
/// A batch with at least this number of bytes is full.
const FULL_BYTES: usize = 4 << 20;
/// Maximum number of errors in [`AppliedBatches::errors`]. The log names fewer objects than this that did not decode,
/// so more errors are not needed.
const MAX_ERRORS: usize = 100;
/// Maximum number of threads that apply batches, for all watches of a cluster together.
const MAX_THREADS: usize = 4;

/// Returns the memory of batches. All reflectors of a watch share it. The number of threads is one less than the number
/// of processors, but at most [`MAX_THREADS`]. One processor remains free for the tasks of the watches. Each thread has
/// two batches, because a task fills the next batch while the thread applies a batch.
pub(super) fn batch_memory() -> BatchMemory {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    BatchMemory::new(2 * (processors - 1).min(MAX_THREADS))
}

// === impl ListBatches ===

impl ListBatches {
    pub(super) fn new(memory: Arc<BatchMemory>) -> Self {
        Self {
            memory,
            spare: None,
            objects: 0,
            batch: None,
            waiting: None,
            worker: None,
            running: None,
            stop: StopOnDrop::default(),
            is_incomplete: false,
        }
    }

    /// Begins a list. [`finish`](Self::finish) or [`discard`](Self::discard) must have ended the previous list.
    pub(super) fn begin_list(&mut self) {
        self.objects = 0;
    }

    /// Offers the next object of the list. The object must be smaller than [`Encoding::large_object`]. Returns false if
    /// no batch takes the object, so that the caller must apply the object.
    ///
    /// `helper` returns the [`ListHelper`] that applies objects on the other thread, and `hasher` returns the hash
    /// function for their keys. This function calls `begin` before it creates a batch.
    pub(super) fn offer(
        &mut self,
        object: &[u8],
        encoding: Encoding,
        helper: impl FnOnce() -> Option<Box<dyn ListHelper>>,
        hasher: impl FnOnce() -> Option<KeyHasher>,
        begin: impl FnOnce(),
    ) -> bool {
        let at = self.objects;
        self.objects += 1;
        self.continue_waiting();
        if self.batch.is_none() {
            // The caller applies the first page, because a short list needs no other thread.
            let begins_page = at >= BATCH && at.is_multiple_of(BATCH);
            if !begins_page || self.waiting.is_some() || !self.has_worker(helper, hasher) {
                return false;
            }
            let spare = self.spare.get_or_insert_with(|| self.memory.spare());
            // A batch never grows beyond this capacity, so its bytes are never copied to a larger buffer.
            let capacity = FULL_BYTES + encoding.large_object();
            let Some(bytes) = self.memory.buffer(spare, capacity) else {
                return false;
            };
            begin();
            self.batch = Some(Batch::new(bytes, encoding));
        }
        let batch = self.batch.as_mut();
        if batch.is_some_and(|batch| batch.push(object)) {
            self.waiting = self.batch.take();
            self.continue_waiting();
        }
        true
    }

    /// Whether [`finish`](Self::finish) is still necessary: some objects are not applied, or some results are not
    /// returned.
    pub(super) fn is_in_use(&self) -> bool {
        let is_filled = self.batch.is_some() || self.waiting.is_some();
        is_filled || self.running.is_some() || self.worker.is_some()
    }

    /// Creates the worker of the list if there is no worker yet. Returns whether there is a worker.
    fn has_worker(
        &mut self,
        helper: impl FnOnce() -> Option<Box<dyn ListHelper>>,
        hasher: impl FnOnce() -> Option<KeyHasher>,
    ) -> bool {
        if self.worker.is_none() && self.running.is_none() {
            self.worker = helper().map(|helper| Worker {
                helper,
                hasher: hasher(),
                stopped: Arc::clone(&self.stop.0),
                applied: AppliedBatches::default(),
            });
        }
        self.worker.is_some() || self.running.is_some()
    }

    /// Starts to apply the batch in `waiting`, if the thread has applied the previous batch.
    fn continue_waiting(&mut self) {
        if self.waiting.is_none() {
            return;
        }
        if let Some(running) = self.running.take_if(|running| running.is_finished()) {
            // The thread has finished, so its result is available without waiting.
            self.worker = running.now_or_never().and_then(|own| self.joined(own));
        }
        if let Some(worker) = self.worker.take() {
            self.running = self.waiting.take().map(|batch| worker.start(batch));
        }
    }

    /// Waits until all objects are applied.
    ///
    /// # Errors
    ///
    /// Returns an error if objects were not applied, because the runtime is shutting down.
    pub(super) async fn finish(&mut self) -> Result<AppliedBatches, Failure> {
        loop {
            if let Some(running) = self.running.take() {
                let worker = running.await;
                self.worker = self.joined(worker);
            }
            let Some(batch) = self.waiting.take().or_else(|| self.batch.take()) else {
                break;
            };
            self.running = self.worker.take().map(|worker| worker.start(batch));
        }
        self.spare = None;
        if std::mem::take(&mut self.is_incomplete) {
            let message = "the list is incomplete, because the runtime is shutting down";
            return Err(Failure::new(FailureReason::Unreachable, message));
        }
        let worker = self.worker.take();
        Ok(worker.map_or_else(AppliedBatches::default, |own| own.applied))
    }

    /// Returns the worker of a thread that has ended. If the thread has panicked, this function continues the panic.
    fn joined(&mut self, worker: Result<Worker, JoinError>) -> Option<Worker> {
        let error = match worker {
            Ok(worker) => return Some(worker),
            Err(error) => error,
        };
        if let Ok(panic) = error.try_into_panic() {
            resume_unwind(panic);
        }
        self.is_incomplete = true;
        None
    }

    /// Drops the objects that are not applied yet, and waits until the thread has stopped.
    pub(super) async fn discard(&mut self) {
        (self.batch, self.waiting, self.worker, self.spare) = (None, None, None, None);
        self.is_incomplete = false;
        self.stop = StopOnDrop::default();
        if let Some(running) = self.running.take() {
            // The list is discarded, so its results are not needed.
            let _ = running.await;
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Starts to apply a batch on a thread for blocking work.
    fn start(mut self, batch: Batch) -> JoinHandle<Self> {
        spawn_blocking(move || {
            for object in batch.objects() {
                if self.stopped.load(Ordering::Relaxed) {
                    return self;
                }
                self.apply(batch.encoding.object(object));
            }
            self.helper.flush();
            self
        })
    }

    fn apply(&mut self, object: Encoded<'_>) {
        let (helper, applied) = (&mut self.helper, &mut self.applied);
        let applied_object = helper.apply(object);
        let is_counted = match &applied_object {
            Ok(()) => {
                let version = resource_version::as_u64(helper.last_version());
                applied.newest = applied.newest.max(version);
                helper.last_has_row()
            }
            Err(_) => false,
        };
        if let Some(hasher) = self.hasher.as_ref().filter(|_| !is_counted) {
            let key = match &applied_object {
                Ok(()) => Some(hasher.hash(helper.last_key())),
                Err(error) => error.identity().map(|identity| hasher.hash_name(identity)),
            };
            applied.without_row.extend(key);
        }
        match applied_object {
            Err(error) if error.is_only_metadata() => applied.malformed = Some(error),
            Err(error) if error.reason() == DecodeReason::Syntax && applied.malformed.is_none() => {
                applied.malformed = Some(error);
            }
            Err(error) if applied.errors.len() < MAX_ERRORS => applied.errors.push(error),
            _ => {}
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
    fn new(bytes: BatchBuffer, encoding: Encoding) -> Self {
        Self {
            encoding,
            bytes,
            ends: Vec::with_capacity(BATCH),
        }
    }

    /// Appends an object. Returns whether the batch is full.
    fn push(&mut self, object: &[u8]) -> bool {
        self.bytes.extend(object);
        let size = self.bytes.as_ref().len();
        self.ends.push(size);
        self.ends.len() >= BATCH || size >= FULL_BYTES
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::families;
    use crate::store::{AnyStore, FeederRows, MetricsStore, WrittenRows};

    /// A helper that records the objects.
    #[derive(Default)]
    struct Recorder {
        objects: Arc<Mutex<Vec<String>>>,
        flushed: Arc<Mutex<usize>>,
        panics_at: Option<&'static str>,
    }

    impl WrittenRows for Recorder {
        fn last_key(&self) -> &str {
            ""
        }

        fn last_has_row(&self) -> bool {
            true
        }

        fn published(&self) -> Option<FeederRows> {
            None
        }
    }

    impl ListHelper for Recorder {
        fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
            let object = String::from_utf8_lossy(object.bytes()).into_owned();
            assert_ne!(self.panics_at, Some(object.as_str()), "as the test wants");
            self.objects.lock().push(object);
            Ok(())
        }

        fn last_version(&self) -> &str {
            "7"
        }

        fn flush(&mut self) {
            *self.flushed.lock() += 1;
        }
    }

    fn recorder(objects: &Arc<Mutex<Vec<String>>>) -> Option<Box<dyn ListHelper>> {
        Some(Box::new(Recorder {
            objects: Arc::clone(objects),
            ..Recorder::default()
        }))
    }

    #[tokio::test]
    async fn each_object_is_applied_once_and_batches_are_whole_pages() {
        let objects = Arc::default();
        let mut batches = ListBatches::new(Arc::new(BatchMemory::new(2)));
        for list in 0..3 {
            batches.begin_list();
            let mut own = Vec::new();
            for number in 0..5_000 {
                let object = format!("{list}/{number}");
                let bytes = object.as_bytes();
                if !batches.offer(bytes, Encoding::Json, || recorder(&objects), || None, || {}) {
                    own.push(number);
                }
            }
            assert!(batches.is_in_use());
            assert_eq!(batches.finish().await.unwrap().newest, Some(7));
            assert!(!batches.is_in_use());
            let others = std::mem::take(&mut *objects.lock());
            assert_eq!(others.len() + own.len(), 5_000);
            let others: HashSet<_> = others.iter().map(String::as_str).collect();
            let is_other = |number: usize| others.contains(&*format!("{list}/{number}"));
            assert!(own.iter().all(|number| !is_other(*number)));
            // The task of the test applies the first page, because a short list needs no other thread.
            assert!((0..BATCH).all(|number| !is_other(number)));
            for page in 1..5_000 / BATCH {
                let rows = page * BATCH..(page + 1) * BATCH;
                let count = rows.filter(|number| is_other(*number)).count();
                assert!(
                    count == 0 || count == BATCH,
                    "{count} objects of page {page}"
                );
            }
            assert!(is_other(BATCH), "the second page is the first batch");
        }
    }

    #[tokio::test]
    async fn without_a_spare_processor_or_a_helper_nothing_is_batched() {
        let objects = Arc::default();
        for permits in 0..2 {
            let mut batches = ListBatches::new(Arc::new(BatchMemory::new(permits)));
            batches.begin_list();
            let helper = || recorder(&objects).filter(|_| permits == 0);
            for _ in 0..2_000 {
                assert!(!batches.offer(b"object", Encoding::Json, helper, || None, || {}));
            }
            assert_eq!(batches.finish().await.unwrap().newest, None);
        }
    }

    #[tokio::test]
    async fn a_discarded_list_applies_nothing_more() {
        let objects = Arc::default();
        let memory = Arc::new(BatchMemory::new(2));
        let mut batches = ListBatches::new(Arc::clone(&memory));
        batches.begin_list();
        for _ in 0..BATCH + 100 {
            batches.offer(
                b"object",
                Encoding::Json,
                || recorder(&objects),
                || None,
                || {},
            );
        }
        batches.discard().await;
        assert!(!batches.is_in_use());
        assert!(objects.lock().is_empty(), "the batch was not full");
        assert_eq!(memory.available(), 2);
    }

    #[tokio::test]
    #[should_panic(expected = "as the test wants")]
    async fn a_panic_on_the_other_thread_ends_the_watch() {
        let mut batches = ListBatches::new(Arc::new(BatchMemory::new(2)));
        batches.begin_list();
        let helper = || {
            let recorder = Recorder {
                panics_at: Some("300"),
                ..Recorder::default()
            };
            Some(Box::new(recorder) as Box<dyn ListHelper>)
        };
        for number in 0..BATCH * 2 {
            let object = number.to_string();
            batches.offer(object.as_bytes(), Encoding::Json, helper, || None, || {});
        }
        let _ = batches.finish().await;
    }

    #[tokio::test]
    async fn errors_and_objects_without_rows_are_returned() {
        let store = MetricsStore::new(families::namespaces());
        let mut writer = store.watch_writer();
        writer.begin_list();
        let received = super::super::audit::ReceivedObjects::new(store.resource().scope());
        let hasher = received.key_hasher();
        let mut batches = ListBatches::new(Arc::new(BatchMemory::new(2)));
        batches.begin_list();
        let broken = br#"{ "metadata": { "name": "broken", "creationTimestamp": [5] } }"#;
        for _ in 0..BATCH {
            let own = batches.offer(broken, Encoding::Json, || None, || None, || {});
            assert!(!own);
        }
        let helper = || writer.list_helper();
        for object in [
            &broken[..],
            br#"{ "metadata": "#,
            br#"{ "metadata": { "name": "a" } }"#,
        ] {
            let hasher = || Some(hasher.clone());
            assert!(batches.offer(object, Encoding::Json, helper, hasher, || {}));
        }
        let applied = batches.finish().await.unwrap();
        assert_eq!(applied.errors.len(), 1);
        assert_eq!(applied.errors[0].object(), "broken");
        assert_eq!(applied.malformed.unwrap().reason(), DecodeReason::Syntax);
        let expected = HashSet::from([hasher.hash_name(("", "broken"))]);
        assert_eq!(applied.without_row, expected);
        writer.end_list();
        assert_eq!(store.stats().objects, 1);
    }
}
