//! [`Writer`]: the handle with which one source of objects changes a store.

use std::fmt;

use super::MetricsStore;
#[cfg(feature = "protobuf")]
use super::linked_store::LinkedWriter;
use super::object_applier::ObjectApplier;
use crate::decode::{DecodeError, Encoding};
use crate::resource::CollectedResource;

/// Feeds the objects of one source into a [`MetricsStore`].
///
/// Each source (a watch, the watch of a namespace, a directory of manifests) has one writer. A list replaces only the
/// rows of its writer. If a writer is dropped, its rows stay, and a list in progress is discarded.
/// [`close`](Self::close) removes the rows.
///
/// A writer takes an object in one of four forms:
///
/// * [`apply_object`](Self::apply_object) takes a typed object;
/// * `apply_watcher_event` (feature `watch`) takes an event of a [`kube`] watcher;
/// * [`apply_json`](Self::apply_json) takes the JSON of an object. This method also works for a host with other
///   versions of `kube` and `k8s-openapi`;
/// * `apply_protobuf` (feature `protobuf`) takes the protobuf encoding of an object of a built-in kind.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{CacheStore, Collector, Family, MetricsStore};
/// use serde_json::json;
///
/// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
/// let store = MetricsStore::new(Collector::<Pod>::new().family(seen));
/// let pod = |name| serde_json::from_value::<Pod>(json!({ "metadata": { "name": name } }));
///
/// let mut writer = store.writer();
/// writer.apply_object(&pod("a")?);
/// writer.begin_list();
/// writer.apply_object(&pod("b")?);
/// assert_eq!(store.list_keys(), ["a"]); // readers see the old state until the list is complete
/// writer.end_list();
/// assert_eq!(store.list_keys(), ["b"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// An example with typed objects and JSON:
///
/// ```
/// use kube_state_metrics::{CacheStore, MetricsStore, families};
///
/// let store = MetricsStore::new(families::nodes());
/// let mut writer = store.writer();
/// let node = br#"{ "metadata": { "name": "a", "resourceVersion": "7" } }"#;
/// writer.apply_json(node)?;
/// assert_eq!(writer.last_version(), "7");
/// writer.delete_json(node)?;
///
/// let node = serde_json::from_slice(node)?;
/// writer.apply_object(&node);
/// writer.delete_object(&node);
/// writer.apply_object(&node);
/// writer.delete_key("", "a");
/// writer.begin_list();
/// writer.apply_object(&node);
/// writer.abandon_list();
/// assert_eq!(writer.store().stats().objects, 0);
///
/// writer.apply_object(&node);
/// writer.begin_list();
/// assert!(writer.keep_key("", "a") && !writer.keep_key("", "b"));
/// writer.end_list();
/// assert_eq!(writer.store().list_keys(), ["a"]);
/// writer.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<K: CollectedResource> {
    applier: ObjectApplier<K>,
}

// === impl MetricsStore ===

impl<K: CollectedResource> MetricsStore<K> {
    /// Returns a new writer of the store.
    ///
    /// Each writer has separate rows, and a list replaces only the rows of its writer.
    ///
    /// ```
    /// use kube_state_metrics::{MetricsStore, families};
    ///
    /// let store = MetricsStore::new(families::nodes());
    /// let (mut one, mut other) = (store.writer(), store.writer());
    /// one.apply_json(br#"{ "metadata": { "name": "a" } }"#)?;
    /// other.apply_json(br#"{ "metadata": { "name": "b" } }"#)?;
    /// other.close();
    /// assert_eq!((store.resource().kind(), store.stats().objects), ("Node", 1));
    /// # Ok::<(), kube_state_metrics::store::DecodeError>(())
    /// ```
    #[must_use]
    pub fn writer(&self) -> Writer<K> {
        Writer::new(self.clone())
    }
}

// === impl Writer ===

impl<K: CollectedResource> Writer<K> {
    /// Creates a writer, and a table for its rows. If the writer applies JSON or protobuf, it also feeds the linked
    /// store.
    pub(super) fn new(store: MetricsStore<K>) -> Self {
        Self {
            applier: ObjectApplier::new(store),
        }
    }

    /// The store that the writer feeds.
    #[must_use]
    pub fn store(&self) -> &MetricsStore<K> {
        &self.applier.store
    }

    /// Adds an object or replaces its samples.
    ///
    /// If no list is in progress, an earlier version of the stored object (same uid, lower `resourceVersion`) is
    /// ignored. An object with a different uid and the same namespace and name replaces the stored object. An object
    /// outside the namespaces or the shard of the store gets no samples. In this case, the samples of a stored object
    /// with the same namespace and name are removed.
    pub fn apply_object(&mut self, object: &K) {
        self.applier
            .store
            .apply_object(&mut self.applier.feeder, object);
    }

    /// Removes an object.
    ///
    /// The call compares the object with the stored object of the same namespace and name. It has no effect if the
    /// stored object has a different uid or a higher `resourceVersion`.
    pub fn delete_object(&mut self, object: &K) {
        self.applier
            .store
            .delete_object(&mut self.applier.feeder, object);
    }

    /// Removes the object with this namespace and name. The namespace is ignored for cluster-scoped kinds.
    pub fn delete_key(&mut self, namespace: &str, name: &str) {
        self.applier
            .store
            .delete_key(&mut self.applier.feeder, namespace, name);
        self.applier.linked.delete_key(namespace, name);
    }

    /// Adds the stored object with this namespace and name to the list in progress, so that the end of the list does
    /// not remove the object.
    ///
    /// A source calls this method for an object that it cannot read at the moment. If the list already contains the
    /// object, the call changes nothing.
    ///
    /// Returns whether the list now contains the object. If there is no list in progress, the call changes nothing and
    /// returns `false`.
    pub fn keep_key(&mut self, namespace: &str, name: &str) -> bool {
        self.applier.linked.keep_key(namespace, name);
        self.applier
            .store
            .keep_key(&mut self.applier.feeder, namespace, name)
    }

    /// Decodes an object from JSON, and adds the object or replaces its samples. Fields that no family reads are
    /// skipped.
    ///
    /// This method also works for a host with other versions of `kube` and `k8s-openapi`. The method also feeds the
    /// families that a configuration adds to the resource.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the store removes the samples of the object, and
    /// counts the error in its [`stats`](MetricsStore::stats). The samples stay if the object has only metadata (kind
    /// `PartialObjectMetadata`). The error contains the name of the object, but no values of its fields.
    pub fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.applier.apply(Encoding::Json.object(json))
    }

    /// Decodes an object from JSON and removes it.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`apply_json`](Self::apply_json). After an error, the stored object with the same
    /// name is removed.
    pub fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.applier.delete(Encoding::Json.object(json))
    }

    /// Decodes an object from the protobuf of the Kubernetes API, and adds the object or replaces its samples. Fields
    /// that no family reads are skipped.
    ///
    /// `object` contains the bytes of one object: an item of a list, or a single object with its envelope
    /// (`runtime.Unknown`). The samples are the same as for the same object in JSON.
    ///
    /// ```
    /// use kube_state_metrics::{CacheStore, MetricsStore, families};
    ///
    /// let store = MetricsStore::new(families::nodes());
    /// let mut writer = store.writer();
    /// writer.apply_protobuf(b"\x0a\x03\x0a\x01a")?; // field 1, metadata, with field 1, the name
    /// assert_eq!(store.list_keys(), ["a"]);
    /// # Ok::<(), kube_state_metrics::store::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`apply_json`](Self::apply_json). Also returns an error if the kind is not built into
    /// Kubernetes, because only built-in kinds have a protobuf encoding.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn apply_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        let object = self.applier.store.schema().protobuf(object)?;
        self.applier.apply(object)
    }

    /// Decodes an object from the protobuf of the Kubernetes API, and removes the object.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`apply_protobuf`](Self::apply_protobuf). After an error, the stored object with the
    /// same name is removed.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn delete_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        let object = self.applier.store.schema().protobuf(object)?;
        self.applier.delete(object)
    }

    /// Whether [`apply_protobuf`](Self::apply_protobuf) can read every field that the families declare.
    ///
    /// Returns false for kinds without a protobuf encoding, and if a family reads a field that is newer than this
    /// crate. Also returns false if a configured family reads a whole value that has nested fields, such as `spec`.
    /// Such a value may contain fields that this crate does not know.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    #[must_use]
    pub fn reads_protobuf(&self) -> bool {
        let schema = self.applier.store.schema();
        let has_fields =
            |message| schema.is_in(message) && LinkedWriter::is_in(&self.applier.store, message);
        schema.message().is_some_and(has_fields)
    }

    /// Begins a complete list of this writer's objects.
    ///
    /// Until [`end_list`](Self::end_list), readers see the samples from before the list. If a list is already in
    /// progress, this list is discarded and a new list begins.
    pub fn begin_list(&mut self) {
        self.applier.store.begin_list(self.applier.feeder.id);
        self.applier.linked.begin_list(&self.applier.store);
    }

    /// Ends a list: removes the objects that the list did not contain, and makes the new samples visible to readers in
    /// one step.
    pub fn end_list(&mut self) {
        self.applier.store.end_list(self.applier.feeder.id);
        self.applier.linked.end_list();
    }

    /// Discards a list. Readers still see the samples from before the list.
    pub fn abandon_list(&mut self) {
        self.applier.store.abandon_list(self.applier.feeder.id);
        self.applier.linked.abandon_list();
    }

    /// Returns the `metadata.resourceVersion` of the object that was applied or deleted last.
    ///
    /// The result is empty if the object has no version.
    #[must_use]
    pub fn last_version(&self) -> &str {
        &self.applier.feeder.version
    }

    /// Removes the writer and all its rows.
    pub fn close(mut self) {
        self.applier.store.remove_feeder(self.applier.feeder.id);
        self.applier.linked.close();
    }

    /// Whether a configuration has added families since the last list. In this case a new list is needed, because only
    /// a list can fill the new families.
    pub(crate) fn wants_list(&self) -> bool {
        self.applier.linked.wants_list(&self.applier.store)
    }

    /// Whether `paths` contain all fields that the enabled families read.
    pub(crate) fn reads_only(&self, paths: &[&str]) -> bool {
        self.applier.linked.reads_only(&self.applier.store, paths)
    }

    /// Makes an object without a name an error.
    #[cfg(feature = "watch")]
    pub(super) fn with_names(mut self) -> Self {
        self.applier.require_names();
        self
    }

    #[cfg(feature = "watch")]
    pub(super) fn applier(&self) -> &ObjectApplier<K> {
        &self.applier
    }
}

impl<K: CollectedResource> Drop for Writer<K> {
    fn drop(&mut self) {
        self.abandon_list();
    }
}

impl<K: CollectedResource> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("resource", self.applier.store.resource())
            .field("id", &self.applier.feeder.id)
            .finish_non_exhaustive()
    }
}
