//! [`BlockingSink`]: applies large and expensive objects on a thread for blocking work.
//!
//! Decoding an object and generating its samples takes up to about 75 ns per byte. A large object would block a worker
//! thread of the runtime for many milliseconds, and delay all requests that the worker serves. A small object may have
//! expensive expressions, or families with many samples. Its cost is not known in advance, so a worker begins to apply
//! it, and gives up after [`WORK_OF_TURN`].

use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::partial_objects::{MissingColumn, PartialObjects};
use super::sink::{Change, ListWatchSink};
use crate::decode::{DecodeError, Encoded, Encoding};
use crate::family::work;

/// The work of generators before an object is applied on a thread for blocking work, about 3 ms. It is the sum for the
/// objects that are applied without a pause in between. Objects of kube-state-metrics' resources need a few hundred
/// units each.
const WORK_OF_TURN: u64 = 30_000;

/// A sink that also reads partial objects, and whose large objects do not block a worker thread of the runtime.
pub(super) struct BlockingSink<S> {
    /// Absent while an object is applied on another thread.
    sink: Option<S>,
    pub(super) partial: PartialObjects,
    large_objects: Arc<Semaphore>,
    /// The work of generators on a worker thread since the last pause.
    spent: u64,
}

/// The permit that the reflectors of a watch share. They apply one large object at a time. So a processor stays free
/// for the workers of a small machine, and large objects of many resources do not need memory at the same time.
pub(super) fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

// === impl BlockingSink ===

impl<S: ListWatchSink> BlockingSink<S> {
    pub(super) fn new(sink: S, large_objects: Arc<Semaphore>) -> Self {
        let sink = Some(sink);
        Self {
            sink,
            partial: PartialObjects::default(),
            large_objects,
            spent: 0,
        }
    }

    /// Applies or deletes an object that is not large. `None` if the object needs too much work for a worker thread:
    /// nothing has then changed, and [`change_large`](Self::change_large) must follow.
    pub(super) fn change_small(
        &mut self,
        change: Change,
        object: Encoded<'_>,
    ) -> Option<Result<(), DecodeError>> {
        let left = WORK_OF_TURN
            .checked_sub(self.spent)
            .filter(|left| *left > 0)?;
        let worked = work::limited(left, || self.change(change, object));
        self.spent += worked.spent;
        (!worked.is_interrupted).then_some(worked.value)
    }

    /// Begins a new turn, after other tasks could run.
    pub(super) fn paused(&mut self) {
        self.spent = 0;
    }

    /// Applies or deletes a large or expensive object on a thread for blocking work.
    pub(super) async fn change_large(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Result<(), DecodeError> {
        // The semaphore is never closed.
        let _permit = self.large_objects.acquire().await;
        self.spent = 0;
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
                result
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Ok(()),
            },
        }
    }
}

/// Applies or deletes an object that may be partial. If a table lacks a column, the object is ignored, because whole
/// objects are requested next. Partial objects in protobuf are whole objects whose other fields are absent.
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

impl<S: ListWatchSink> ListWatchSink for BlockingSink<S> {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        self.change(Change::Applied, object)
    }

    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        self.change(Change::Deleted, object)
    }

    fn change(&mut self, change: Change, object: Encoded<'_>) -> Result<(), DecodeError> {
        let partial = &mut self.partial;
        let sink = self.sink.as_mut();
        sink.map_or(Ok(()), |sink| change_partial(sink, partial, change, object))
    }

    fn reads_protobuf(&self) -> bool {
        self.sink.as_ref().is_some_and(S::reads_protobuf)
    }

    fn skip_oversized(&mut self, key: Option<(&str, &str)>) {
        if let Some(sink) = &mut self.sink {
            sink.skip_oversized(key);
        }
    }

    fn last_version(&self) -> &str {
        self.sink.as_ref().map_or("", S::last_version)
    }

    fn begin_list(&mut self) {
        self.partial.begin_list();
        if let Some(sink) = &mut self.sink {
            sink.begin_list();
        }
    }

    fn end_list(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.end_list();
        }
    }

    fn abandon_list(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.abandon_list();
        }
    }

    fn wants_list(&self) -> bool {
        self.sink.as_ref().is_some_and(S::wants_list)
    }

    fn reads_only(&self, paths: &[&str]) -> bool {
        self.sink
            .as_ref()
            .is_some_and(|sink| sink.reads_only(paths))
    }
}
