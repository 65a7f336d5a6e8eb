//! Postpones and applies the large and expensive objects of a watch (see [`PostponedObjects`](super::postponed_objects)).

use std::time::Instant;

use bytes::Bytes;

use super::blocking_sink::{Handled, ThreadPermit};
use super::postponed_objects::{PostponedObject, Work};
use super::reflector::Reflector;
use super::representation::Representation;
use super::sink::ListWatchSink;
use super::watch_event::{EventKind, InvalidEvent};
use super::watch_stream::{Phase, StreamEnd, advance};
use crate::decode::{Encoding, Peeked};

impl<S: ListWatchSink> Reflector<S> {
    /// Handles the event of an object of which an earlier version is postponed: the new version replaces the earlier
    /// version. `bytes` returns a copy of the object.
    ///
    /// Returns `Later` if the caller must apply or delete the object. Then no version of the object is postponed.
    pub(super) fn replace_postponed(
        &mut self,
        kind: EventKind,
        identity: &Peeked,
        encoding: Encoding,
        bytes: impl FnOnce() -> Bytes,
        arrived: Instant,
    ) -> Result<Handled, StreamEnd> {
        let (namespace, name) = (&identity.namespace, &identity.name);
        if !self.sink.postponed.contains(namespace, name) {
            return Ok(Handled::Later);
        }
        if kind == EventKind::Deleted {
            // The postponed object may have another uid than the row. The row is removed in any case.
            self.sink.delete_by_name(namespace, name);
            return Ok(Handled::Later);
        }
        self.postpone(kind, identity, encoding, bytes(), arrived)
    }

    /// Postpones an object. Returns `Later` if the caller must apply the object now.
    pub(super) fn postpone(
        &mut self,
        kind: EventKind,
        identity: &Peeked,
        encoding: Encoding,
        object: Bytes,
        arrived: Instant,
    ) -> Result<Handled, StreamEnd> {
        let is_new = kind == EventKind::Added;
        let work = if object.len() >= encoding.large_object() {
            Work::Large
        } else {
            Work::Expensive
        };
        let object = PostponedObject::new(identity, is_new, work, encoding, object, arrived);
        if !self.sink.postponed.insert(object) {
            return Ok(Handled::Later);
        }
        self.metrics.event(kind);
        self.sink.note_postponed(identity);
        advance(&mut self.version, &identity.resource_version)?;
        self.note_changed();
        Ok(Handled::Done)
    }

    /// Whether the object of an event may be postponed. The row of a table may not: the columns, which are necessary to
    /// read the row, may have changed when the row is applied.
    pub(super) fn may_postpone(&self, kind: EventKind, phase: Phase) -> bool {
        phase == Phase::Watching
            && kind != EventKind::Deleted
            && self.sink.partial.requested() != Representation::Table
    }

    /// Applies the next postponed object on a thread for blocking work.
    pub(super) async fn apply_postponed(&mut self, permit: ThreadPermit) -> Result<(), StreamEnd> {
        let Some(next) = self.sink.postponed.next(permit.work) else {
            return Ok(());
        };
        let (encoding, object) = (next.encoding, next.object.clone());
        let applied = self.sink.change_postponed(permit, encoding, object).await;
        let Some(applied) = applied else {
            self.sink.postponed.return_expensive(next);
            return Ok(());
        };
        self.sink.postponed.release();
        self.report_unapplied(None);
        self.metrics.applied(next.arrived.elapsed());
        match applied {
            Ok(()) => Ok(()),
            Err(error) => {
                if let Some(invalid) = InvalidEvent::of_object(&error, encoding) {
                    // A watch from the stored version would not send this event again. So the next step must be a list.
                    self.broken_at.clone_from(&self.version);
                    return Err(invalid.into());
                }
                self.log_undecodable(&error);
                Ok(())
            }
        }
    }

    /// Reports the objects that were received but not applied. `handled` is the time at which the events in progress
    /// arrived, and their number.
    pub(super) fn report_unapplied(&mut self, handled: Option<(Instant, usize)>) {
        let postponed = &self.sink.postponed;
        let (arrived, events) = handled.unzip();
        let since = postponed.waiting_since().into_iter().chain(arrived).min();
        let count = postponed.len() + events.unwrap_or_default();
        self.feed.unapplied(since, count);
    }
}
