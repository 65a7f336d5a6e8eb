//! [`BlockingSink`]: applies large and expensive objects on a thread for blocking work. A sink receives the objects
//! that a reflector lists and watches, and usually writes their samples to a store.
//!
//! To apply an object means to decode it and to generate its samples. This takes up to about 75 ns per byte. A large
//! object would block a worker thread of the runtime for many milliseconds, and delay all requests that the thread
//! serves. A small object can also be expensive, because of its expressions or because of families with many samples.
//! The cost of an object is not known in advance. Therefore, a worker thread begins to apply a small object, and stops
//! after [`WORK_OF_TURN`] units of work. Then another thread applies the object. A unit of work takes at most about 0.1
//! µs (see the module `family::work`).

use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::audit::{Presence, ReceivedObjects};
use super::failure::Failure;
use super::list_batches::{AppliedBatches, ListBatches};
use super::oversized::OversizedObject;
use super::partial_objects::{MissingColumn, PartialObjects};
use super::representation::Representation;
use super::sink::{Change, ListWatchSink};
use super::watch_event::EventKind;
use crate::decode::{DecodeError, Encoded, Encoding};
use crate::family::work;
use crate::k8s::resource_version;
use crate::store::FeederRows;

/// Maximum number of units of work that generators may use on a worker thread between two pauses; in a pause, other
/// tasks can run. This number of units takes about 3 ms. All objects between two pauses share these units. If an object
/// needs more units, it is applied on a thread for blocking work. An object of a built-in resource needs a few hundred
/// units.
const WORK_OF_TURN: u64 = 30_000;

/// Wraps a sink, and applies large and expensive objects on a thread for blocking work. Also accepts partial objects
/// (see [`PartialObjects`]).
pub(super) struct BlockingSink<S> {
    /// The wrapped sink; `None` while another thread applies an object with it.
    sink: Option<S>,
    pub(super) partial: PartialObjects,
    /// Data about the received objects, for audits. `None` if the watch is not audited.
    pub(super) received: Option<ReceivedObjects>,
    large_objects: Arc<Semaphore>,
    batches: ListBatches,
    /// The units of work that generators may still use on a worker thread before the next pause.
    left: u64,
}

/// Whether an object or an event was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    Done,
    /// The object or event must be handled later. The object is itself large or expensive, or must wait for an earlier
    /// object that is large or expensive.
    Later,
}

/// Creates a semaphore with one permit. All reflectors of a watch share this semaphore, so that they apply only one
/// large object at a time. Therefore, large objects do not occupy all processors of a small machine, and only one large
/// object needs memory at a time.
pub(super) fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

// === impl BlockingSink ===

impl<S: ListWatchSink> BlockingSink<S> {
    /// Creates a sink. A permit of `large_objects` allows applying a large object. A permit of `list_batches` allows
    /// another thread to apply a batch, which is a number of consecutive objects of a list.
    pub(super) fn new(
        sink: S,
        large_objects: Arc<Semaphore>,
        list_batches: Arc<Semaphore>,
    ) -> Self {
        let sink = Some(sink);
        Self {
            sink,
            partial: PartialObjects::default(),
            received: None,
            large_objects,
            batches: ListBatches::new(list_batches),
            left: WORK_OF_TURN,
        }
    }

    /// Applies or deletes an object that is not large. Returns `None` if the object needs too many units of work for a
    /// worker thread.
    ///
    /// If the result is `None`, the caller must then call [`change_large`](Self::change_large) with the same object.
    /// Until then, each store has either the previous or the new version of the object. Because the object is applied
    /// twice, its expression errors and exceeded limits may be counted twice.
    pub(super) fn change_small(
        &mut self,
        change: Change,
        object: Encoded<'_>,
    ) -> Option<Result<(), DecodeError>> {
        if self.left == 0 {
            return None;
        }
        let worked = work::limited(self.left, || self.change(change, object));
        self.left = worked.left;
        if worked.left == 0 {
            return None;
        }
        self.note_received(change, &worked.value);
        Some(worked.value)
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
        let rows = || stored_rows(sink).map_or(0, |rows| rows.len());
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

    /// Applies or deletes a large or expensive object on a thread for blocking work.
    pub(super) async fn change_large(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Result<(), DecodeError> {
        // Waiting for a permit fails only if the semaphore is closed, and it is never closed.
        let _permit = Arc::clone(&self.large_objects).acquire_owned().await;
        self.left = WORK_OF_TURN;
        let Some(mut sink) = self.sink.take() else {
            return Ok(());
        };
        let mut partial = self.partial;
        let changed = spawn_blocking(move || {
            let received = encoding.object(&object);
            let result = change_partial(&mut sink, &mut partial, change, received);
            (sink, partial, result)
        });
        match changed.await {
            Ok((sink, partial, result)) => {
                self.sink = Some(sink);
                self.partial = partial;
                self.note_received(change, &result);
                result
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The task was cancelled, because the runtime is shutting down.
                Err(_) => Ok(()),
            },
        }
    }

    pub(super) fn reads_protobuf(&self) -> bool {
        self.sink.as_ref().is_some_and(S::reads_protobuf)
    }

    /// Skips an object that is larger than the maximum size, and removes the earlier version of the object from the
    /// stores.
    pub(super) fn skip_oversized(&mut self, object: &OversizedObject) {
        let Some(sink) = &mut self.sink else { return };
        sink.skip_oversized(object.key());
        if let (Some(received), Some(key)) = (&mut self.received, object.key()) {
            let presence = match object.event {
                Some(EventKind::Deleted) => Presence::Deleted,
                _ => Presence::NoRow,
            };
            let version = resource_version::as_u64(&object.version);
            let rows = || stored_rows(sink).map_or(0, |rows| rows.len());
            received.changed_by_name(key, presence, version, rows);
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

/// The published rows of the store, which readers see. `None` if the sink has no store.
fn stored_rows(sink: &impl ListWatchSink) -> Option<FeederRows> {
    sink.written_rows()?.published()
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
