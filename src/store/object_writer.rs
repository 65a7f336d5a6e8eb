//! [`ObjectWriter`]: a writer without the type of its objects, for sources that feed many kinds of objects.

use std::fmt;

use super::Writer;
use crate::decode::DecodeError;
use crate::resource::{CollectedResource, ResourceInfo};
use sealed::Sealed;

/// Feeds objects of a kind that is not known at compile time, as JSON or protobuf.
///
/// The methods are like those of [`Writer`], whose documentation has more details. The writer also feeds the families
/// that a configuration adds to the resource. The trait takes JSON, so it also works for a host with other versions of
/// `kube` and `k8s-openapi`. The trait is sealed: only this crate can implement the trait.
///
/// ```
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).all_fed_by_host().build()?;
/// let mut pods = metrics.feeds_of(BuiltIn::Pods)?.remove(0);
/// pods.begin_list();
/// pods.apply_json(br#"{ "metadata": { "name": "a", "namespace": "b", "resourceVersion": "7" } }"#)?;
/// pods.end_list();
/// assert_eq!(pods.last_version(), "7");
/// pods.delete_key("b", "a");
/// assert_eq!(metrics.stores()[0].stats().objects, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ObjectWriter: Send + fmt::Debug + Sealed {
    /// The names and the scope of the resource.
    fn resource(&self) -> &ResourceInfo;

    /// Decodes an object, and adds the object or replaces its samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the earlier samples of the object are removed.
    /// These samples stay if the object has only metadata (kind `PartialObjectMetadata`).
    fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Decodes an object, and removes its samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the samples of the stored object with the same
    /// name are removed.
    fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Decodes an object from protobuf, and adds the object or replaces its samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the store removes the samples of the object, and
    /// counts the error. The error contains the name of the object.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    fn apply_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError>;

    /// Decodes an object from protobuf, and removes its samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode. In this case, the samples of the stored object with the same
    /// name are removed.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    fn delete_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError>;

    /// Whether the protobuf encoding of the kind has every field that the families declare.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    fn reads_protobuf(&self) -> bool;

    /// Removes the object with this namespace and name. The namespace of a cluster-scoped object is empty.
    fn delete_key(&mut self, namespace: &str, name: &str);

    /// Keeps the stored object `namespace/name`: it counts as part of the list in progress, although the source did not
    /// pass it again. Returns whether the list now contains the object.
    fn keep_key(&mut self, namespace: &str, name: &str) -> bool;

    /// Returns the `metadata.resourceVersion` of the object that was applied or deleted last.
    ///
    /// The result is empty if the object has no version.
    fn last_version(&self) -> &str;

    /// Begins a complete list. Readers see the earlier samples until the list ends.
    fn begin_list(&mut self);

    /// Ends a list: removes the objects that the list did not contain, and makes the new samples visible to readers.
    fn end_list(&mut self);

    /// Discards a list. Readers still see the samples from before the list.
    fn abandon_list(&mut self);

    /// Whether a configuration has added families since the last list. In this case a new list is needed, because only
    /// a list can fill the new families.
    fn wants_list(&self) -> bool {
        false
    }

    /// Whether `paths`, such as `metadata`, contain all fields that the enabled families read. The fields `apiVersion`
    /// and `kind` are not considered. If the result is true, a source can request only these fields of objects.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder()
    ///     .built_in([BuiltIn::ConfigMaps, BuiltIn::Secrets])
    ///     .all_fed_by_host()
    ///     .build()?;
    /// let configmaps = metrics.feeds_of(BuiltIn::ConfigMaps)?.remove(0);
    /// assert!(configmaps.reads_only(&["metadata"]));
    /// let secrets = metrics.feeds_of(BuiltIn::Secrets)?.remove(0);
    /// assert!(!secrets.reads_only(&["metadata"]));
    /// assert!(secrets.reads_only(&["metadata", "type"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn reads_only(&self, paths: &[&str]) -> bool;

    /// Removes the writer and all its rows.
    fn close(self: Box<Self>);
}
pub(super) mod sealed {
    /// Seals the trait, so that methods can be added later.
    pub trait Sealed {}
}

// === impl ObjectWriter for Writer ===

impl<K: CollectedResource> Sealed for Writer<K> {}

impl<K: CollectedResource> ObjectWriter for Writer<K> {
    fn resource(&self) -> &ResourceInfo {
        self.store().resource()
    }

    fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        Writer::apply_json(self, json)
    }

    fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        Writer::delete_json(self, json)
    }

    #[cfg(feature = "protobuf")]
    fn apply_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        Writer::apply_protobuf(self, object)
    }

    #[cfg(feature = "protobuf")]
    fn delete_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        Writer::delete_protobuf(self, object)
    }

    #[cfg(feature = "protobuf")]
    fn reads_protobuf(&self) -> bool {
        Writer::reads_protobuf(self)
    }

    fn delete_key(&mut self, namespace: &str, name: &str) {
        Writer::delete_key(self, namespace, name);
    }

    fn keep_key(&mut self, namespace: &str, name: &str) -> bool {
        Writer::keep_key(self, namespace, name)
    }

    fn last_version(&self) -> &str {
        Writer::last_version(self)
    }

    fn begin_list(&mut self) {
        Writer::begin_list(self);
    }

    fn end_list(&mut self) {
        Writer::end_list(self);
    }

    fn abandon_list(&mut self) {
        Writer::abandon_list(self);
    }

    fn wants_list(&self) -> bool {
        Writer::wants_list(self)
    }

    fn reads_only(&self, paths: &[&str]) -> bool {
        Writer::reads_only(self, paths)
    }

    fn close(self: Box<Self>) {
        Writer::close(*self);
    }
}
