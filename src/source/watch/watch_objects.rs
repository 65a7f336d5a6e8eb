//! Applies the objects in the events of a watch or of a streaming list.

use std::time::Instant;

use bytes::Bytes;

use super::blocking_sink::Handled;
use super::list_bounds::count_object;
use super::object_buffer;
use super::oversized::OversizedObject;
use super::postponed_objects::identity_of;
use super::reflector::Reflector;
use super::representation::Representation;
use super::sink::{Change, ListWatchSink};
use super::watch_event::{EventKind, InvalidEvent, is_table, version_of};
use super::watch_stream::{Phase, Stream, StreamEnd, advance};
use crate::decode::{DecodeError, Encoded, peek};

impl<S: ListWatchSink> Reflector<S> {
    /// Applies or deletes an object that may be large or expensive, or postpones it. `bytes` are the bytes of `object`,
    /// and `is_large` states whether its event is large.
    pub(super) async fn handle_object(
        &mut self,
        kind: EventKind,
        object: Encoded<'_>,
        (bytes, is_large): (Bytes, bool),
        stream: &mut Stream,
        arrived: Instant,
    ) -> Result<(), StreamEnd> {
        let (encoding, change) = (object.encoding(), kind.change());
        self.count_listed(stream)?;
        let postpones_large = is_large && self.may_postpone(kind, stream.phase);
        let has_postponed = !self.sink.postponed.is_empty();
        if stream.phase == Phase::Watching
            && (has_postponed || postpones_large)
            && let Some(own) = identity_of(encoding, &bytes).await
        {
            let copy = || bytes.clone();
            let mut handled = self.replace_postponed(kind, &own, encoding, copy, arrived)?;
            if handled == Handled::Later && postpones_large {
                handled = self.postpone(kind, &own, encoding, bytes.clone(), arrived)?;
            }
            if handled == Handled::Done {
                return Ok(());
            }
        }
        let mut result = None;
        if is_large {
            let changed = self.sink.change_large(change, encoding, bytes.clone());
            result = changed.await;
        } else if !self.sink.is_expensive() {
            // The units of work were used for other objects. The object gets all units of another turn.
            stream.turn.pause().await;
            self.sink.paused();
            result = self.sink.change_small(change, object);
        }
        if result.is_none()
            && self.may_postpone(kind, stream.phase)
            && let Some(own) = identity_of(encoding, &bytes).await
            && self.postpone(kind, &own, encoding, bytes.clone(), arrived)? == Handled::Done
        {
            return Ok(());
        }
        let result = match result {
            Some(result) => result,
            None if stream.phase == Phase::Listing => {
                self.list_expensive(change, encoding, bytes).await
            }
            None => {
                let permit = self.sink.expensive_permit().await;
                let changed = self.sink.change_expensive(permit, change, encoding, bytes);
                changed.await
            }
        };
        self.after_object(kind, object, result, stream.phase, arrived)
    }

    /// Calls [`replace_postponed`](Self::replace_postponed) for an object that is not large.
    pub(super) fn replace_small(
        &mut self,
        kind: EventKind,
        object: Encoded<'_>,
        phase: Phase,
        arrived: Instant,
    ) -> Result<Handled, StreamEnd> {
        if phase == Phase::Listing || self.sink.postponed.is_empty() {
            return Ok(Handled::Later);
        }
        let Some(own) = peek(object) else {
            return Ok(Handled::Later);
        };
        let copy = || object_buffer::copy(object.bytes());
        self.replace_postponed(kind, &own, object.encoding(), copy, arrived)
    }

    /// Offers an object to another thread, if the object belongs to the list at the start of the stream. Returns false
    /// if the caller must apply the object.
    pub(super) fn offer(&mut self, kind: EventKind, object: Encoded<'_>, phase: Phase) -> bool {
        let is_listed = phase == Phase::Listing && kind == EventKind::Added;
        let is_small = object.bytes().len() < object.encoding().large_object();
        is_listed && is_small && self.sink.offer(object)
    }

    /// Counts an object of a streaming list, to detect an endless list.
    pub(super) fn count_listed(&self, stream: &mut Stream) -> Result<(), StreamEnd> {
        if stream.phase == Phase::Listing {
            let most = self.options.max_list_objects;
            count_object(&mut stream.objects, most).map_err(StreamEnd::Broken)?;
        }
        Ok(())
    }

    /// Returns the namespace and the name of the object in an event, if the object is too large. Events have a higher
    /// limit than objects, so an allowed event can contain an object that is too large.
    pub(super) fn oversized(&self, event: &[u8], object: Encoded<'_>) -> Option<OversizedObject> {
        let limit = self.options.budget.object_limit()?;
        let is_oversized = object.bytes().len() > limit;
        is_oversized.then(|| OversizedObject::of_event(object.encoding(), event, b""))
    }

    /// Counts and skips the event of an object that is larger than the maximum size.
    pub(super) fn handle_oversized(
        &mut self,
        object: &OversizedObject,
        stream: &mut Stream,
    ) -> Result<(), StreamEnd> {
        self.count_listed(stream)?;
        let Some(event @ (EventKind::Added | EventKind::Modified | EventKind::Deleted)) =
            object.event
        else {
            return Err(InvalidEvent::of(stream.encoding).into());
        };
        self.metrics.event(event);
        self.skip_oversized(object);
        if stream.phase == Phase::Listing {
            self.feed.reporter().object_received();
            return Ok(());
        }
        advance(&mut self.version, &object.version).map(|()| self.note_changed())
    }

    /// Whether an object is a table, although the request did not ask for tables. The event then names no object, so it
    /// counts as invalid.
    fn is_unrequested_table(&self, object: Encoded<'_>) -> bool {
        self.sink.partial.requested() != Representation::Table && is_table(object)
    }

    /// Records the result of applying or deleting an object.
    pub(super) fn after_object(
        &mut self,
        kind: EventKind,
        object: Encoded<'_>,
        result: Result<(), DecodeError>,
        phase: Phase,
        arrived: Instant,
    ) -> Result<(), StreamEnd> {
        self.metrics.event(kind);
        self.metrics.applied(arrived.elapsed());
        let is_listing = phase == Phase::Listing;
        if is_listing {
            self.feed.reporter().object_received();
        }
        if self.sink.partial.has_lost_object() {
            return Err(StreamEnd::NeedsList);
        }
        match result {
            Ok(()) if is_listing => {
                self.note_listed();
                Ok(())
            }
            Ok(()) => {
                advance(&mut self.version, self.sink.last_version()).map(|()| self.note_changed())
            }
            Err(_) if self.is_unrequested_table(object) => {
                Err(InvalidEvent::of(object.encoding()).into())
            }
            Err(error) => {
                if let Some(invalid) = InvalidEvent::of_object(&error, object.encoding()) {
                    return Err(invalid.into());
                }
                self.log_undecodable(&error);
                match version_of(object) {
                    Some(version) if !is_listing => {
                        advance(&mut self.version, &version).map(|()| self.note_changed())
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

// === impl EventKind ===

impl EventKind {
    pub(super) fn change(self) -> Change {
        match self {
            Self::Deleted => Change::Deleted,
            _ => Change::Applied,
        }
    }
}
