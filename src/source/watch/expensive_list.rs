//! Applies the expensive objects of a list, and reports a list that takes long because of them.
//!
//! The token of the next page is valid for about five minutes. If the reflector applied expensive objects between two
//! pages, the token could expire. The list would then begin again, and the token could expire again. Therefore, the
//! reflector keeps the expensive objects of a paged list in memory, and first reads all pages. Then the reflector
//! publishes the other objects of the list, and applies the expensive objects. Until then, readers see the earlier
//! versions of the expensive objects, if there are any. If the expensive objects need too much memory, or if the list
//! consists of tables, the reflector applies the next expensive object immediately.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::failure::Failure;
use super::postponed_objects::identity_of;
use super::reflector::Reflector;
use super::representation::Representation;
use super::sink::{Change, ListWatchSink};
use crate::decode::{DecodeError, Encoding};
use crate::k8s::resource_version;

/// If the expensive objects of a list have taken this time, the health says that the list is expensive.
const LONG: Duration = Duration::from_secs(5);

// === impl Reflector ===

impl<S: ListWatchSink> Reflector<S> {
    /// Applies or deletes an expensive object of a list on a thread for blocking work.
    pub(super) async fn list_expensive(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Result<(), DecodeError> {
        let began = Instant::now();
        let permit = self.sink.expensive_permit().await;
        let changed = self.sink.change_expensive(permit, change, encoding, object);
        let changed = changed.await;
        self.expensive_time += began.elapsed();
        if self.expensive_time >= LONG {
            self.feed.reporter().list_is_expensive(true);
        }
        changed
    }

    /// Keeps an expensive object of a paged list, so that it is applied after the last page. Returns false if the
    /// caller must apply the object now. The row of a table cannot be kept, because the next page may have other
    /// columns.
    pub(super) async fn postpone_listed(&mut self, encoding: Encoding, object: &Bytes) -> bool {
        let is_table = self.sink.partial.requested() == Representation::Table;
        if is_table {
            return false;
        }
        let Some(identity) = identity_of(encoding, object).await else {
            return false;
        };
        if !self.listed_expensive.has_room(object.len()) {
            return false;
        }
        let version = resource_version::as_u64(&identity.resource_version);
        self.listed_newest = self.listed_newest.max(version);
        self.listed_expensive
            .push(identity, encoding, object.clone());
        true
    }

    /// Publishes a paged list, and applies its expensive objects. Returns false if a new list is necessary, so that not
    /// all expensive objects were applied.
    pub(super) async fn apply_listed_expensive(&mut self) -> Result<bool, Failure> {
        // Without a list in progress, a store ignores a version that is lower than the stored version. If the versions
        // may have become lower, the list must remove the stored versions. Then the list is published last, so that no
        // samples disappear until then.
        let keeps_versions = !self.version_lost && !self.heals;
        if keeps_versions {
            for own in self.listed_expensive.identities() {
                self.sink.keep_by_name(&own.namespace, &own.name);
            }
            self.sink.end_list();
        }
        let applied = self.apply_kept().await;
        if !keeps_versions {
            match applied {
                Ok(true) => self.sink.end_list(),
                _ => self.sink.discard_list().await,
            }
        }
        self.listed_expensive.clear();
        applied
    }

    /// Applies the kept objects of a list. Returns false if a new list is necessary.
    async fn apply_kept(&mut self) -> Result<bool, Failure> {
        while let Some((encoding, object)) = self.listed_expensive.next() {
            if self.needs_list() {
                return Ok(false);
            }
            let applied = self.list_expensive(Change::Applied, encoding, object).await;
            self.after_listed(applied, encoding)?;
        }
        Ok(true)
    }
}
