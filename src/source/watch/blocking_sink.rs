//! [`BlockingSink`]: applies large and expensive objects on a thread for blocking work. A sink receives the objects
//! that a reflector lists and watches, and usually writes their samples to a store.
//!
//! To apply an object means to decode it and to generate its samples. This takes up to about 75 ns per byte. A large
//! object would block a worker thread of the runtime for many milliseconds, and delay all requests that the thread
//! serves. A small object can also be expensive, because of its expressions or because of families with many samples.
//! The cost of an object is not known in advance. Therefore, a worker thread begins to apply a small object, and stops
//! after [`WORK_OF_TURN`] units of work. Then another thread applies the object. A unit of work takes at most about 0.1
//! µs (see the module `family::work`).
//!
//! Large objects wait only for other large objects, and expensive objects wait only for other expensive objects. If a
//! large object is also expensive, the thread that applies it stops after [`WORK_OF_LARGE`] units of work. Then the
//! object waits for other expensive objects.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::audit::{Presence, ReceivedObjects};
use super::batch_memory::BatchMemory;
use super::buffer_budget::BufferBudget;
use super::failure::Failure;
use super::list_batches::{AppliedBatches, ListBatches, batch_memory};
use super::oversized::OversizedObject;
use super::partial_objects::{MissingColumn, PartialObjects};
use super::postponed_objects::{PostponedObjects, Work};
use super::representation::Representation;
use super::sink::{Change, ListWatchSink};
use super::watch_event::EventKind;
use crate::decode::{DecodeError, Encoded, Encoding, Peeked};
use crate::family::work;
use crate::k8s::resource_version;
use crate::store::FeederRows;

/// Maximum number of units of work that generators may use on a worker thread between two pauses; in a pause, other
/// tasks can run. This number of units takes about 3 ms. All objects between two pauses share these units. If an object
/// needs more units, it is applied on a thread for blocking work. An object of a built-in resource needs a few hundred
/// units.
const WORK_OF_TURN: u64 = 30_000;
/// Maximum number of units of work that generators may use for a large object. This number of units takes about 0.1 s.
/// If the object needs more units, it is also expensive.
const WORK_OF_LARGE: u64 = 1_000_000;

/// Wraps a sink, and applies large and expensive objects on a thread for blocking work. Also accepts partial objects
/// (see [`PartialObjects`]).
pub(super) struct BlockingSink<S> {
    /// The wrapped sink; `None` while another thread applies an object with it.
    sink: Option<S>,
    pub(super) partial: PartialObjects,
    /// Data about the received objects, for audits. `None` if the watch is not audited.
    pub(super) received: Option<ReceivedObjects>,
    permits: ThreadPermits,
    batches: ListBatches,
    /// The large and expensive objects that are applied later.
    pub(super) postponed: PostponedObjects,
    /// The wait for a permit to apply a large object. The wait keeps its place until the watch handles events.
    large_wait: Option<PermitWait>,
    /// The wait for a permit to apply an expensive object. The wait keeps its place until the watch handles events.
    wait: Option<PermitWait>,
    /// The units of work that generators may still use on a worker thread before the next pause.
    left: u64,
    /// Whether the last object that was not applied would need more units than one turn has.
    is_expensive: bool,
}

/// The wait for a permit. `None` means that the semaphore is closed.
type PermitWait = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send + Sync>>;

/// A permit to apply one postponed object. `None` means that the semaphore is closed.
pub(super) struct ThreadPermit {
    pub(super) work: Work,
    permit: Option<OwnedSemaphorePermit>,
}

/// The permits to apply objects on threads for blocking work. All reflectors of a watch share these permits.
#[derive(Clone, Debug)]
pub(super) struct ThreadPermits {
    /// One permit, so that only one large object at a time is applied. Therefore, large objects do not occupy all
    /// processors of a small machine, and only one large object needs memory at a time.
    large_objects: Arc<Semaphore>,
    /// One permit, so that only one expensive object at a time is applied.
    expensive_objects: Arc<Semaphore>,
    /// A permit and a buffer for each batch of listed objects. A batch is a number of consecutive objects of a list.
    list_batches: Arc<BatchMemory>,
}

/// Whether an object or an event was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    Done,
    /// The object or event must be handled later. The object is itself large or expensive, or must wait for an earlier
    /// object that is large or expensive.
    Later,
}

// === impl ThreadPermits ===

impl ThreadPermits {
    pub(super) fn new() -> Self {
        Self {
            large_objects: Arc::new(Semaphore::new(1)),
            expensive_objects: Arc::new(Semaphore::new(1)),
            list_batches: Arc::new(batch_memory()),
        }
    }
}

// === impl BlockingSink ===

impl<S: ListWatchSink> BlockingSink<S> {
    /// Wraps a sink. `budget` limits the memory of postponed objects.
    pub(super) fn new(sink: S, permits: ThreadPermits, budget: &Arc<BufferBudget>) -> Self {
        Self {
            sink: Some(sink),
            partial: PartialObjects::default(),
            received: None,
            batches: ListBatches::new(Arc::clone(&permits.list_batches)),
            permits,
            postponed: PostponedObjects::new(budget),
            large_wait: None,
            wait: None,
            left: WORK_OF_TURN,
            is_expensive: false,
        }
    }

    /// Applies or deletes an object that is not large. Returns `None` if the object needs too many units of work for a
    /// worker thread.
    ///
    /// If the result is `None`, the caller must apply the object later: with this method after a [pause](Self::paused),
    /// or with [`change_expensive`](Self::change_expensive) if the object [is expensive](Self::is_expensive). Until
    /// then, each store has either the previous or the new version of the object. Because the object is applied twice,
    /// its expression errors and exceeded limits may be counted twice.
    pub(super) fn change_small(
        &mut self,
        change: Change,
        object: Encoded<'_>,
    ) -> Option<Result<(), DecodeError>> {
        let has_whole_turn = self.left == WORK_OF_TURN;
        self.is_expensive = false;
        if self.left == 0 {
            return None;
        }
        let worked = work::limited(self.left, || self.change(change, object));
        self.left = worked.left;
        if worked.left == 0 {
            self.is_expensive = has_whole_turn;
            return None;
        }
        self.note_received(change, &worked.value);
        Some(worked.value)
    }

    /// Whether the last object for which [`change_small`](Self::change_small) returned `None` needs more units of work
    /// than a worker thread has between two pauses.
    pub(super) fn is_expensive(&self) -> bool {
        self.is_expensive
    }

    /// Records for audits that a new version of an object has arrived, which is applied later.
    pub(super) fn note_postponed(&mut self, identity: &Peeked) {
        let (Some(received), Some(sink)) = (&mut self.received, &self.sink) else {
            return;
        };
        let key = (&*identity.namespace, &*identity.name);
        let version = resource_version::as_u64(&identity.resource_version);
        let rows = || received_objects(sink, &self.postponed);
        received.changed_by_name(key, Presence::Row, version, rows);
    }

    /// Begins to record the changes of objects for an audit. The postponed objects count as changed, because their rows
    /// are older than the received versions.
    pub(super) fn open_window(&mut self, rows: usize) {
        let Some(received) = &mut self.received else {
            return;
        };
        let count = rows + self.postponed.new_objects();
        received.open_window(count);
        for (key, version) in self.postponed.iter() {
            received.changed_by_name(key, Presence::Row, version, || count);
        }
    }

    /// Records for audits that an object was applied or deleted.
    fn note_received(&mut self, change: Change, result: &Result<(), DecodeError>) {
        let (Some(received), Some(sink)) = (&mut self.received, &self.sink) else {
            return;
        };
        let Some(written) = sink.written_rows() else {
            return;
        };
        let presence = match change {
            Change::Deleted => Presence::Deleted,
            Change::Applied if written.last_has_row() => Presence::Row,
            Change::Applied => Presence::NoRow,
        };
        let rows = || received_objects(sink, &self.postponed);
        match result {
            Ok(()) => {
                let version = resource_version::as_u64(sink.last_version());
                received.changed(written.last_key(), presence, version, rows);
            }
            Err(error) => {
                if let Some(identity) = error.identity() {
                    received.changed_by_name(identity, presence, None, rows);
                }
            }
        }
    }

    fn change(&mut self, change: Change, object: Encoded<'_>) -> Result<(), DecodeError> {
        let partial = &mut self.partial;
        let sink = self.sink.as_mut();
        sink.map_or(Ok(()), |sink| change_partial(sink, partial, change, object))
    }

    /// Passes an object of a list to another thread, which applies it. The object must not be large. Returns false if
    /// no thread accepts the object. Then the caller must apply the object. [`finish_batches`](Self::finish_batches)
    /// waits until all objects that were passed to other threads are applied.
    pub(super) fn offer(&mut self, object: Encoded<'_>) -> bool {
        let Some(sink) = &self.sink else { return false };
        let encoding = object.encoding();
        let is_partial = self.partial.requested() != Representation::Object;
        if is_partial && matches!(encoding, Encoding::Json) {
            return false;
        }
        let received = self.received.as_ref();
        let hasher = || received.map(ReceivedObjects::key_hasher);
        let batches = &mut self.batches;
        let (helper, end_page) = (|| sink.list_helper(), || sink.end_page());
        batches.offer(object.bytes(), encoding, helper, hasher, end_page)
    }

    /// Whether the caller must call [`finish_batches`](Self::finish_batches), because objects were passed to other
    /// threads.
    pub(super) fn has_batches(&self) -> bool {
        self.batches.is_in_use()
    }

    /// Waits until all objects that were passed to other threads are applied.
    ///
    /// # Errors
    ///
    /// Returns an error if objects were not applied, because the runtime is shutting down.
    pub(super) async fn finish_batches(&mut self) -> Result<AppliedBatches, Failure> {
        let mut applied = self.batches.finish().await?;
        if let Some(received) = &mut self.received {
            received.listed_without_row(std::mem::take(&mut applied.without_row));
        }
        Ok(applied)
    }

    /// Discards the list in progress, and waits until no other thread applies objects of this list.
    pub(super) async fn discard_list(&mut self) {
        self.batches.discard().await;
        self.abandon_list();
    }

    /// Call this method after a pause in which other tasks could run. Generators may then use all units of work again.
    pub(super) fn paused(&mut self) {
        self.left = WORK_OF_TURN;
    }

    /// Applies or deletes a large object on a thread for blocking work. Returns `None` if the object is also expensive,
    /// so that the caller must apply the object later.
    pub(super) async fn change_large(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Option<Result<(), DecodeError>> {
        // Waiting for a permit fails only if the semaphore is closed, and it is never closed.
        let permits = Arc::clone(&self.permits.large_objects);
        let _permit = permits.acquire_owned().await;
        self.change_elsewhere(change, encoding, object, WORK_OF_LARGE)
            .await
    }

    /// Applies or deletes an expensive object on a thread for blocking work. The caller gets the permit from
    /// [`expensive_permit`](Self::expensive_permit).
    pub(super) async fn change_expensive(
        &mut self,
        _permit: Option<OwnedSemaphorePermit>,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Result<(), DecodeError> {
        let changed = self.change_elsewhere(change, encoding, object, u64::MAX);
        changed.await.unwrap_or(Ok(()))
    }

    /// Waits for the permit to apply an expensive object. If the caller drops the returned future, the wait keeps its
    /// place, and the next call of this method continues it.
    pub(super) async fn expensive_permit(&mut self) -> Option<OwnedSemaphorePermit> {
        wait_for(&self.permits.expensive_objects, &mut self.wait).await
    }

    /// Waits for a permit to apply a postponed object, which must exist. If the caller drops the returned future, the
    /// waits keep their places, and the next call of this method continues them.
    pub(super) async fn postponed_permit(&mut self) -> ThreadPermit {
        let (permits, postponed) = (&self.permits, &self.postponed);
        let (has_large, has_expensive) =
            (postponed.has(Work::Large), postponed.has(Work::Expensive));
        // The order is random, so that neither large nor expensive objects wait forever.
        tokio::select! {
            permit = wait_for(&permits.large_objects, &mut self.large_wait), if has_large => {
                ThreadPermit { work: Work::Large, permit }
            }
            permit = wait_for(&permits.expensive_objects, &mut self.wait), if has_expensive => {
                // An expensive object may take long. Meanwhile, other watches can apply large objects.
                self.large_wait = None;
                ThreadPermit { work: Work::Expensive, permit }
            }
            else => std::future::pending().await,
        }
    }

    /// Applies a postponed object on a thread for blocking work. Returns `None` if the object is expensive, although
    /// the permit is for a large object. Then the caller must apply the object later.
    pub(super) async fn change_postponed(
        &mut self,
        permit: ThreadPermit,
        encoding: Encoding,
        object: Bytes,
    ) -> Option<Result<(), DecodeError>> {
        let limit = match permit.work {
            Work::Large => WORK_OF_LARGE,
            Work::Expensive => u64::MAX,
        };
        let changed = self.change_elsewhere(Change::Applied, encoding, object, limit);
        let changed = changed.await;
        drop(permit.permit);
        match permit.work {
            Work::Large => changed,
            Work::Expensive => Some(changed.unwrap_or(Ok(()))),
        }
    }

    /// Ends the waits for permits, so that other watches can get the permits.
    pub(super) fn stop_waiting(&mut self) {
        (self.large_wait, self.wait) = (None, None);
    }

    /// Applies or deletes an object on a thread for blocking work. Returns `None` if generators have used `limit` units
    /// of work. Then the object is not applied in all stores.
    async fn change_elsewhere(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
        limit: u64,
    ) -> Option<Result<(), DecodeError>> {
        self.left = WORK_OF_TURN;
        let Some(mut sink) = self.sink.take() else {
            return Some(Ok(()));
        };
        let mut partial = self.partial;
        let changed = spawn_blocking(move || {
            let received = encoding.object(&object);
            let changed = || change_partial(&mut sink, &mut partial, change, received);
            let worked = work::limited(limit, changed);
            (sink, partial, worked)
        });
        match changed.await {
            Ok((sink, partial, worked)) => {
                self.sink = Some(sink);
                self.partial = partial;
                if worked.left == 0 {
                    return None;
                }
                self.note_received(change, &worked.value);
                Some(worked.value)
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The task was cancelled, because the runtime is shutting down.
                Err(_) => Some(Ok(())),
            },
        }
    }

    pub(super) fn reads_protobuf(&self) -> bool {
        self.sink.as_ref().is_some_and(S::reads_protobuf)
    }

    /// Skips an object that is larger than the maximum size, and removes the earlier version of the object from the
    /// stores.
    pub(super) fn skip_oversized(&mut self, object: &OversizedObject) {
        let Some(key) = object.key() else { return };
        self.delete_by_name(key.0, key.1);
        if let (Some(received), Some(sink)) = (&mut self.received, &self.sink) {
            let presence = match object.event {
                Some(EventKind::Deleted) => Presence::Deleted,
                _ => Presence::NoRow,
            };
            let version = resource_version::as_u64(&object.version);
            let rows = || received_objects(sink, &self.postponed);
            received.changed_by_name(key, presence, version, rows);
        }
    }

    /// Removes the row and the postponed version of an object.
    pub(super) fn delete_by_name(&mut self, namespace: &str, name: &str) {
        self.postponed.remove(namespace, name);
        if let Some(sink) = &mut self.sink {
            sink.delete_key(namespace, name);
        }
    }

    /// Keeps the row of an object in the list in progress, because the object is applied after the list.
    pub(super) fn keep_by_name(&mut self, namespace: &str, name: &str) {
        if let Some(sink) = &mut self.sink {
            sink.keep_key(namespace, name);
        }
    }

    /// The rows of the store, one per object. `None` if the sink has no store.
    pub(super) fn rows(&self) -> Option<FeederRows> {
        self.sink.as_ref().and_then(stored_rows)
    }

    pub(super) fn last_version(&self) -> &str {
        self.sink.as_ref().map_or("", S::last_version)
    }

    pub(super) fn begin_list(&mut self) {
        self.batches.begin_list();
        self.partial.begin_list();
        if let Some(received) = &mut self.received {
            received.begin_list();
        }
        if let Some(sink) = &mut self.sink {
            sink.begin_list();
        }
    }

    pub(super) fn end_list(&mut self) {
        // The list has the newest version of each object.
        self.postponed.clear();
        if let Some(received) = &mut self.received {
            received.end_list();
        }
        if let Some(sink) = &mut self.sink {
            sink.end_list();
        }
    }

    fn abandon_list(&mut self) {
        if let Some(received) = &mut self.received {
            received.abandon_list();
        }
        if let Some(sink) = &mut self.sink {
            sink.abandon_list();
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        if let Some(sink) = &mut self.sink {
            sink.failed(failure);
        }
    }

    pub(super) fn wants_list(&self) -> bool {
        self.sink.as_ref().is_some_and(S::wants_list)
    }

    pub(super) fn reads_only(&self, paths: &[&str]) -> bool {
        self.sink
            .as_ref()
            .is_some_and(|sink| sink.reads_only(paths))
    }
}

/// Waits for a permit. If the caller drops the returned future, `wait` keeps the place of the wait.
async fn wait_for(
    permits: &Arc<Semaphore>,
    wait: &mut Option<PermitWait>,
) -> Option<OwnedSemaphorePermit> {
    let waiting = wait.get_or_insert_with(|| {
        // Waiting for a permit fails only if the semaphore is closed, and it is never closed.
        Box::pin(Arc::clone(permits).acquire_owned().map(Result::ok))
    });
    let permit = waiting.await;
    *wait = None;
    permit
}

/// The published rows of the store, which readers see. `None` if the sink has no store.
fn stored_rows(sink: &impl ListWatchSink) -> Option<FeederRows> {
    sink.written_rows()?.published()
}

/// The number of objects that the watch has received: the rows, and the postponed objects without a row.
fn received_objects(sink: &impl ListWatchSink, postponed: &PostponedObjects) -> usize {
    stored_rows(sink).map_or(0, |rows| rows.len()) + postponed.new_objects()
}

/// Applies or deletes an object that may be partial. A partial object is either a row of a table that the server sends,
/// or an object in protobuf without some fields. If a table lacks the column with the type of a secret, this function
/// ignores the row, and the reflector then lists whole objects. A partial object in protobuf is decoded like a whole
/// object.
fn change_partial(
    sink: &mut impl ListWatchSink,
    partial: &mut PartialObjects,
    change: Change,
    received: Encoded<'_>,
) -> Result<(), DecodeError> {
    let Encoding::Json = received.encoding() else {
        return sink.change(change, received);
    };
    match partial.json(received.bytes()) {
        Ok(json) => sink.change(change, Encoding::Json.object(json.as_ref())),
        Err(MissingColumn) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A sink that spends units of work on each object. Its version is the number of applied objects.
    struct CostlySink {
        cost: u64,
        version: String,
    }

    impl ListWatchSink for CostlySink {
        fn apply(&mut self, _object: Encoded<'_>) -> Result<(), DecodeError> {
            work::spend(self.cost);
            if !work::is_interrupted() {
                self.version.push('1');
            }
            Ok(())
        }

        fn delete(&mut self, _object: Encoded<'_>) -> Result<(), DecodeError> {
            Ok(())
        }

        fn last_version(&self) -> &str {
            &self.version
        }

        fn end_list(&mut self) {}
    }

    /// Returns a sink that spends `cost` units of work on each object.
    fn costly(cost: u64, permits: &ThreadPermits) -> BlockingSink<CostlySink> {
        let version = String::new();
        let budget = Arc::new(BufferBudget::new(None, None));
        BlockingSink::new(CostlySink { cost, version }, permits.clone(), &budget)
    }

    const OBJECT: Bytes = Bytes::from_static(b"{}");

    #[tokio::test]
    async fn large_objects_do_not_wait_for_expensive_ones() {
        let permits = ThreadPermits::new();
        let mut expensive = costly(u64::MAX / 2, &permits);
        let permit = expensive.expensive_permit().await;
        let mut large = costly(WORK_OF_LARGE - 1, &permits);
        let changed = large.change_large(Change::Applied, Encoding::Json, OBJECT);
        let changed = timeout(Duration::from_secs(60), changed).await;
        assert!(matches!(changed, Ok(Some(Ok(())))));
        assert_eq!(large.last_version(), "1");
        // A large object that is also expensive waits for the other expensive object.
        let mut both = costly(WORK_OF_LARGE, &permits);
        let changed = both.change_large(Change::Applied, Encoding::Json, OBJECT);
        assert!(changed.await.is_none());
        assert_eq!(both.last_version(), "");
        let waits = timeout(Duration::from_millis(50), both.expensive_permit());
        assert!(waits.await.is_err());
        let changed = expensive.change_expensive(permit, Change::Applied, Encoding::Json, OBJECT);
        changed.await.unwrap();
        let permit = both.expensive_permit().await;
        let changed = both.change_expensive(permit, Change::Applied, Encoding::Json, OBJECT);
        changed.await.unwrap();
        assert_eq!((expensive.last_version(), both.last_version()), ("1", "1"));
    }

    #[tokio::test]
    async fn a_dropped_wait_for_a_permit_keeps_its_place() {
        let permits = ThreadPermits::new();
        let [mut first, mut second, mut third] = [0; 3].map(|cost| costly(cost, &permits));
        let short = Duration::from_millis(10);
        let permit = first.expensive_permit().await;
        assert!(timeout(short, second.expensive_permit()).await.is_err());
        assert!(timeout(short, third.expensive_permit()).await.is_err());
        drop(permit);
        assert!(timeout(short, third.expensive_permit()).await.is_err());
        // A watch that stops reading gives up its place.
        second.stop_waiting();
        let permit = timeout(Duration::from_secs(60), third.expensive_permit());
        assert!(permit.await.unwrap().is_some());
    }

    #[test]
    fn an_object_is_expensive_if_it_needs_more_units_than_a_turn_has() {
        let object = Encoding::Json.object(b"{}");
        let mut sink = costly(WORK_OF_TURN * 2 / 3, &ThreadPermits::new());
        assert!(sink.change_small(Change::Applied, object).is_some());
        assert!(sink.change_small(Change::Applied, object).is_none() && !sink.is_expensive());
        assert!(sink.change_small(Change::Applied, object).is_none() && !sink.is_expensive());
        sink.paused();
        assert!(sink.change_small(Change::Applied, object).is_some());
        let mut sink = costly(WORK_OF_TURN, &ThreadPermits::new());
        assert!(sink.change_small(Change::Applied, object).is_none() && sink.is_expensive());
    }
}
