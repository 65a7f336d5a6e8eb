//! [`ObjectApplier`]: decodes objects and stores their rows, for one feeder.

use super::MetricsStore;
use super::linked_store::LinkedWriter;
use super::row_feeder::RowFeeder;
use crate::decode::{self, DecodeError, Encoded, Peeked};
use crate::joins::{SourceFeed, SourceObject};
use crate::resource::CollectedResource;

/// Decodes objects and stores their rows, for one feeder.
///
/// A [`Writer`](super::Writer) has one applier. While a list is in progress, a second thread may have another applier
/// for the same feeder.
pub(super) struct ObjectApplier<K: CollectedResource> {
    pub(super) store: MetricsStore<K>,
    pub(super) feeder: RowFeeder,
    /// Feeds the linked store, which has the configured families of the same resource.
    pub(super) linked: LinkedWriter,
    /// Whether an object without a name is an error. All objects of the API have names, so a watch that receives an
    /// object without a name has read the response of a misconfigured server.
    needs_names: bool,
}

// === impl ObjectApplier ===

impl<K: CollectedResource> ObjectApplier<K> {
    /// Creates an applier, and a table for its rows. The applier also feeds the linked store with the objects that it
    /// decodes.
    pub(super) fn new(store: MetricsStore<K>) -> Self {
        let feeder = RowFeeder::new(store.add_feeder());
        let linked = LinkedWriter::new(&store);
        Self {
            store,
            feeder,
            linked,
            needs_names: false,
        }
    }

    /// Makes an object without a name an error.
    #[cfg(feature = "watch")]
    pub(super) fn require_names(&mut self) {
        self.needs_names = true;
    }

    /// Creates another applier of the same feeder, for another thread. The new applier collects rows, and
    /// [`flush`](Self::flush) adds these rows to the table.
    #[cfg(feature = "watch")]
    pub(super) fn for_another_thread(&self) -> Self {
        Self {
            store: self.store.clone(),
            feeder: self.store.collecting_feeder(self.feeder.id),
            linked: self.linked.for_another_thread(),
            needs_names: self.needs_names,
        }
    }

    /// Adds the collected rows to the tables of the store and of the linked store.
    #[cfg(feature = "watch")]
    pub(super) fn flush(&mut self) {
        self.store.flush_list_page(&mut self.feeder);
        self.linked.flush();
    }

    /// Ends the last page of the list in progress, so that another applier can add a page after it.
    #[cfg(feature = "watch")]
    pub(super) fn end_page(&self) {
        self.store.end_page(self.feeder.id);
        self.linked.end_page();
    }

    /// Adds an object or replaces its row.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the store counts an error and removes the row of
    /// the object.
    pub(super) fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        if let Some(foreign) = self.foreign(object) {
            // The object belongs to another shard, so this shard must have no row with its name. Such a row can exist
            // for two reasons: an older object had this name, or the object has left this shard.
            self.linked.delete_key(&foreign.namespace, &foreign.name);
            self.forget_foreign(&foreign, object);
            self.feeder.version = foreign.resource_version;
            self.feeder.has_row = false;
            return self.check_name();
        }
        let (applied, linked) = self.linked.apply(&self.store, &mut self.feeder, object);
        self.decoded(applied).and(linked)?;
        self.check_name()
    }

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the store counts an error and removes the row with
    /// the object's name.
    pub(super) fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        if let Some(foreign) = self.foreign(object) {
            let scope = self.store.resource().scope();
            self.feeder
                .set_key_in(scope, &foreign.namespace, &foreign.name);
            self.store.delete_source(self.feeder.id, &self.feeder.key);
            self.feeder.version = foreign.resource_version;
            return self.check_name();
        }
        let decoded = self.linked.delete(&self.store, object);
        let object = self.decoded(decoded)?;
        self.store.delete_object(&mut self.feeder, &object);
        self.check_name()
    }

    /// Returns the identity of an object that belongs to another shard. Such an object need not be decoded, which saves
    /// time, because most objects belong to other shards.
    ///
    /// Returns `None` in these cases:
    /// - The store accepts the object.
    /// - The identity of the object is unreadable.
    /// - There is only one shard.
    fn foreign(&self, object: Encoded<'_>) -> Option<Peeked> {
        let filter = self.store.filter();
        if filter.shard.total() == 1 {
            return None;
        }
        decode::peek(object).filter(|object| !filter.takes(&object.namespace, &object.uid))
    }

    /// Removes the row of an object that belongs to another shard. Stores the labels of this object, because they may
    /// be joined to samples of this shard.
    fn forget_foreign(&mut self, foreign: &Peeked, object: Encoded<'_>) {
        let (store, feeder) = (&self.store, &mut self.feeder);
        let source = store.source_of(&foreign.namespace);
        let joined = source.and_then(|source| {
            let kind = store.resource().kind();
            let decoded = decode::decode::<SourceObject>(kind, object, source.fields());
            Some((source, decoded.ok()?))
        });
        let _step = source.map(SourceFeed::begin_step);
        store.forget_key(feeder, &foreign.namespace, &foreign.name);
        if let Some((source, object)) = joined {
            source.read_metadata(&object, &mut feeder.source);
            source.set(feeder.id as u64, &feeder.key, &feeder.source);
        }
    }

    /// If names are required and the last object has no name, removes its row, and returns an error.
    fn check_name(&mut self) -> Result<(), DecodeError> {
        let key = &self.feeder.key;
        let namespace = key.strip_suffix('/').or(key.is_empty().then_some(""));
        let Some(namespace) = namespace.filter(|_| self.needs_names) else {
            return Ok(());
        };
        let namespace = namespace.to_owned();
        self.linked.delete_key(&namespace, "");
        self.store.delete_key(&mut self.feeder, &namespace, "");
        let error = DecodeError::unnamed(self.store.resource().kind());
        self.store.reject(&mut self.feeder, &error);
        Err(error)
    }

    /// Counts an object that does not decode and removes its row.
    fn decoded<T>(&mut self, decoded: Result<T, DecodeError>) -> Result<T, DecodeError> {
        decoded.inspect_err(|error| self.store.reject(&mut self.feeder, error))
    }
}
