//! Linked stores, if the feature `custom-resources` is enabled.
//!
//! A linked store has the families that a configuration adds to a resource. The writers of the resource's store (here,
//! the *main store*) also feed the linked store. The exporter replaces the linked store when the configuration changes.

use std::any::Any;

use super::super::MetricsStore;
use super::super::row_feeder::RowFeeder;
use crate::decode::{DecodeError, Encoded};
use crate::dynamic::JsonObject;
use crate::resource::CollectedResource;

/// The additional writer that feeds the linked store.
pub(in super::super) struct LinkedWriter {
    attached: Option<Box<AttachedFeeder>>,
}

/// The linked store at the start of the last list, and the feeder of this store.
struct AttachedFeeder {
    store: MetricsStore<JsonObject>,
    feeder: RowFeeder,
}

// === impl AttachedFeeder ===

impl AttachedFeeder {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        let applied = self.store.apply_encoded(&mut self.feeder, object);
        applied.inspect_err(|error| self.store.reject(&mut self.feeder, error))
    }

    /// Removes the row of an object, even if the object does not decode.
    fn delete(&mut self, object: Encoded<'_>) {
        match self.store.decode_whole(object) {
            Ok(decoded) => self.store.delete_object(&mut self.feeder, &decoded),
            Err(error) => self.store.remove_undecodable(&mut self.feeder, &error),
        }
    }
}

// === impl MetricsStore ===

impl<K: CollectedResource> MetricsStore<K> {
    /// Whether writers of this store also feed `store`.
    pub(crate) fn is_linked_to(&self, store: &dyn Any) -> bool {
        let store = store.downcast_ref::<MetricsStore<JsonObject>>();
        store.is_some_and(|store| self.links_to(store))
    }

    /// Changes the linked store.
    ///
    /// A new linked store is empty until the writers of this store apply their next lists.
    pub(crate) fn set_linked_store(&self, linked: Option<MetricsStore<JsonObject>>) {
        let before = std::mem::replace(&mut *self.linked().write(), linked);
        if let Some(before) = before.filter(|before| !self.links_to(before)) {
            // The old store is cleared here: a writer closes its feeder of the old store only when it gets its next
            // object, which is too late.
            before.remove_all_feeders();
        }
    }

    fn links_to(&self, store: &MetricsStore<JsonObject>) -> bool {
        let linked = self.linked().read();
        linked.as_ref().is_some_and(|linked| linked.is(store))
    }
}

// === impl LinkedWriter ===

impl LinkedWriter {
    pub(in super::super) fn new<K: CollectedResource>(store: &MetricsStore<K>) -> Self {
        let mut linked = Self { attached: None };
        linked.attach(store);
        linked
    }

    /// Returns a writer of the same feeder, for another thread.
    #[cfg(feature = "watch")]
    pub(in super::super) fn for_another_thread(&self) -> Self {
        let attached = self.attached.as_ref().map(|attached| {
            Box::new(AttachedFeeder {
                feeder: attached.store.collecting_feeder(attached.feeder.id),
                store: attached.store.clone(),
            })
        });
        Self { attached }
    }

    /// Adds the rows that this writer has collected to the table of the linked store.
    #[cfg(feature = "watch")]
    pub(in super::super) fn flush(&mut self) {
        if let Some(attached) = &mut self.attached {
            attached.store.flush_list_page(&mut attached.feeder);
        }
    }

    /// Ends the current page of the linked store. This writer adds the next rows of a list to another page.
    #[cfg(feature = "watch")]
    pub(in super::super) fn end_page(&self) {
        if let Some(attached) = &self.attached {
            attached.store.end_page(attached.feeder.id);
        }
    }

    /// Whether a new store was linked since the last list. In this case a list is needed, because only a list can fill
    /// the new store.
    pub(in super::super) fn wants_list<K: CollectedResource>(
        &self,
        store: &MetricsStore<K>,
    ) -> bool {
        let linked = store.linked().read();
        match (&*linked, &self.attached) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(linked), Some(attached)) => !linked.is(&attached.store),
        }
    }

    /// Applies an object to the store and to the linked store. Returns the result of each store. The results may
    /// differ, because the stores decode different fields.
    ///
    /// If the linked store cannot decode the object, the linked store counts an error and removes the row of the
    /// object.
    pub(in super::super) fn apply<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        feeder: &mut RowFeeder,
        object: Encoded<'_>,
    ) -> (Result<(), DecodeError>, Result<(), DecodeError>) {
        let linked = match self.attached(store) {
            Some(attached) => attached.apply(object),
            None => Ok(()),
        };
        (store.apply_encoded(feeder, object), linked)
    }

    /// Removes an object from the linked store. Returns the decoded object, so that the caller can also remove the
    /// object from the main store.
    pub(in super::super) fn delete<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        object: Encoded<'_>,
    ) -> Result<K, DecodeError> {
        if let Some(attached) = self.attached(store) {
            attached.delete(object);
        }
        store.decode_whole(object)
    }

    /// Whether the families of the store and of the linked store read only fields in `paths`.
    pub(in super::super) fn reads_only<K: CollectedResource>(
        &self,
        store: &MetricsStore<K>,
        paths: &[&str],
    ) -> bool {
        let linked = store.linked().read();
        let linked = linked.as_ref().map(MetricsStore::schema);
        store.schema().fields().are_within(paths)
            && linked.is_none_or(|schema| schema.fields().are_within(paths))
    }

    pub(in super::super) fn delete_key(&mut self, namespace: &str, name: &str) {
        if let Some(attached) = &mut self.attached {
            let feeder = &mut attached.feeder;
            attached.store.delete_key(feeder, namespace, name);
        }
    }

    /// Keeps an object in the list in progress of the linked store (see
    /// [`Writer::keep_key`](crate::store::Writer::keep_key)).
    pub(in super::super) fn keep_key(&mut self, namespace: &str, name: &str) {
        if let Some(attached) = &mut self.attached {
            let feeder = &mut attached.feeder;
            attached.store.keep_key(feeder, namespace, name);
        }
    }

    /// Begins a list of the linked store. If a new store was linked since the last list, first creates a feeder of this
    /// store.
    pub(in super::super) fn begin_list<K: CollectedResource>(&mut self, store: &MetricsStore<K>) {
        self.attach(store);
        if let Some(attached) = &mut self.attached {
            attached.store.begin_list(attached.feeder.id);
        }
    }

    pub(in super::super) fn end_list(&mut self) {
        if let Some(attached) = &mut self.attached {
            attached.store.end_list(attached.feeder.id);
        }
    }

    pub(in super::super) fn abandon_list(&mut self) {
        if let Some(attached) = &mut self.attached {
            attached.store.abandon_list(attached.feeder.id);
        }
    }

    /// Whether a message has all fields that the currently linked store reads. The result does not depend on the
    /// attached feeder, which may belong to an older linked store.
    #[cfg(feature = "protobuf")]
    pub(in super::super) fn is_in<K: CollectedResource>(
        store: &MetricsStore<K>,
        message: &'static kube_protobuf::Message,
    ) -> bool {
        let linked = store.linked().read();
        let mut linked = linked.iter();
        linked.all(|linked| linked.schema().is_in(message))
    }

    pub(in super::super) fn close(&mut self) {
        if let Some(attached) = self.attached.take() {
            attached.store.remove_feeder(attached.feeder.id);
        }
    }

    /// Returns the attached feeder. If the store of the feeder is no longer linked, closes the feeder and returns
    /// `None`.
    fn attached<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
    ) -> Option<&mut AttachedFeeder> {
        let attached = self.attached.as_ref()?;
        if !store.links_to(&attached.store) {
            self.close();
        }
        self.attached.as_deref_mut()
    }

    fn attach<K: CollectedResource>(&mut self, store: &MetricsStore<K>) {
        if self.attached(store).is_some() {
            return;
        }
        let Some(linked) = store.linked().read().clone() else {
            return;
        };
        self.attached = Some(Box::new(AttachedFeeder {
            feeder: RowFeeder::new(linked.add_feeder()),
            store: linked,
        }));
    }
}
