//! [`ListWatchSink`]: receives the objects that a reflector lists and watches, and usually writes samples to a store.

use super::failure::Failure;
use crate::decode::{DecodeError, Encoded, Encoding};
use crate::store::{ListHelper, ObjectWriter, WatchWriter, WrittenRows};

/// Whether an object is applied or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Applied,
    Deleted,
}

/// Receives the lists and events of one reflector. Most sinks write samples to a store. Other sinks write no samples,
/// such as the sink for the definitions of custom resources.
pub(super) trait ListWatchSink: Send + 'static {
    /// Decodes an object, and adds it or replaces its earlier version.
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError>;

    /// Decodes an object, and removes its earlier version.
    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError>;

    /// Whether the protobuf encoding of the kind has all fields that the sink needs.
    fn reads_protobuf(&self) -> bool {
        true
    }

    /// Applies or deletes an object.
    fn change(&mut self, change: Change, object: Encoded<'_>) -> Result<(), DecodeError> {
        match change {
            Change::Applied => self.apply(object),
            Change::Deleted => self.delete(object),
        }
    }

    /// Removes the object with this namespace and name.
    fn delete_key(&mut self, _namespace: &str, _name: &str) {}

    /// Adds the stored object with this namespace and name to the list in progress, so that the end of the list does
    /// not remove it.
    fn keep_key(&mut self, _namespace: &str, _name: &str) {}

    /// Returns the `metadata.resourceVersion` of the object that was applied or deleted last.
    ///
    /// The result is empty if the object has no version.
    fn last_version(&self) -> &str;

    /// Begins a list. Objects that the list does not contain are removed at the end of the list.
    fn begin_list(&mut self) {}

    /// Ends a complete list.
    fn end_list(&mut self);

    /// Discards a list that failed.
    fn abandon_list(&mut self) {}

    /// Receives the reason why a request failed, or why a watch ended with an error.
    fn failed(&mut self, _failure: &Failure) {}

    /// Whether the reflector must list the objects again.
    fn wants_list(&self) -> bool {
        false
    }

    /// Whether the sink reads only the fields at `paths` and the fields below these paths.
    fn reads_only(&self, _paths: &[&str]) -> bool {
        false
    }

    /// The stored rows. `None` if the sink stores no rows.
    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        None
    }

    /// Returns a helper that applies objects of the list in progress on another thread, so that a large list takes less
    /// time. Returns `None` if only the sink may apply objects.
    fn list_helper(&self) -> Option<Box<dyn ListHelper>> {
        None
    }

    /// Ends the page to which the sink adds rows, so that a [helper](Self::list_helper) can add the next page.
    fn end_page(&self) {}
}

// === impl ListWatchSink for WatchWriter ===

impl ListWatchSink for Box<dyn WatchWriter> {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        match object.encoding() {
            Encoding::Json => self.apply_json(object.bytes()),
            Encoding::Protobuf(_) => self.apply_protobuf(object.bytes()),
        }
    }

    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        match object.encoding() {
            Encoding::Json => self.delete_json(object.bytes()),
            Encoding::Protobuf(_) => self.delete_protobuf(object.bytes()),
        }
    }

    fn reads_protobuf(&self) -> bool {
        ObjectWriter::reads_protobuf(&**self)
    }

    fn delete_key(&mut self, namespace: &str, name: &str) {
        ObjectWriter::delete_key(&mut **self, namespace, name);
    }

    fn keep_key(&mut self, namespace: &str, name: &str) {
        ObjectWriter::keep_key(&mut **self, namespace, name);
    }

    fn last_version(&self) -> &str {
        ObjectWriter::last_version(&**self)
    }

    fn begin_list(&mut self) {
        ObjectWriter::begin_list(&mut **self);
    }

    fn end_list(&mut self) {
        ObjectWriter::end_list(&mut **self);
    }

    fn abandon_list(&mut self) {
        ObjectWriter::abandon_list(&mut **self);
    }

    fn wants_list(&self) -> bool {
        ObjectWriter::wants_list(&**self)
    }

    fn reads_only(&self, paths: &[&str]) -> bool {
        ObjectWriter::reads_only(&**self, paths)
    }

    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        WatchWriter::written_rows(&**self)
    }

    fn list_helper(&self) -> Option<Box<dyn ListHelper>> {
        WatchWriter::list_helper(&**self)
    }

    fn end_page(&self) {
        WatchWriter::end_page(&**self);
    }
}
