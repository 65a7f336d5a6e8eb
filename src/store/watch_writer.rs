//! [`WatchWriter`]: a writer whose rows an audit can compare with the objects of the API server.

use super::feeder_rows::FeederRows;
use super::join_writer::JoinWriter;
use super::object_writer::ObjectWriter;
use super::writer::Writer;
use crate::resource::CollectedResource;

/// A writer of a watch.
pub(crate) trait WatchWriter: ObjectWriter {
    /// The key of the last object, `namespace/name` or `name`. `None` if the writer has no rows.
    fn last_key(&self) -> Option<&str> {
        None
    }

    /// Whether the writer has a row for a key.
    fn has_row(&self, _key: &str) -> bool {
        false
    }

    /// The rows that readers see. `None` if the writer has no rows.
    fn rows(&self) -> Option<FeederRows> {
        None
    }
}

// === impl WatchWriter ===

impl<K: CollectedResource> WatchWriter for Writer<K> {
    fn last_key(&self) -> Option<&str> {
        Some(self.key_of_last())
    }

    fn has_row(&self, key: &str) -> bool {
        self.store().has_row(self.feeder_id(), key)
    }

    fn rows(&self) -> Option<FeederRows> {
        self.store().rows_of(self.feeder_id())
    }
}

/// The objects have no rows.
impl WatchWriter for JoinWriter {}
