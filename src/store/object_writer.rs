//! Writers without the type of what they feed, for sources that carry many kinds.

use std::fmt;

use super::Writer;
use crate::decode::DecodeError;
use crate::resource::{CollectedResource, ResourceInfo};
use sealed::Sealed;

/// Feeds objects of a kind that is not known at compile time, as JSON.
///
/// It is what [`Writer`] is for a type; see there for what each method does. Families that a
/// configuration adds to the kind are fed along with those in Rust. The trait is sealed.
///
/// ```
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
/// let mut pods = metrics.object_writers_of(&BuiltIn::Pods.info()).remove(0);
/// pods.begin_list();
/// pods.apply(br#"{ "metadata": { "name": "a", "namespace": "b", "resourceVersion": "7" } }"#)?;
/// pods.end_list();
/// assert_eq!(pods.last_version(), "7");
/// pods.delete_key("b", "a");
/// assert_eq!(metrics.stats().next().map(|(_, stats)| stats.objects), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ObjectWriter: Send + fmt::Debug + Sealed {
    /// Names and scope of the resource.
    fn resource(&self) -> &ResourceInfo;

    /// Decodes an object and applies it.
    ///
    /// # Errors
    ///
    /// Names an object that does not decode; its old samples are gone.
    fn apply(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Decodes an object and removes it.
    ///
    /// # Errors
    ///
    /// Names an object that does not decode; what was stored under its name is gone.
    fn delete(&mut self, json: &[u8]) -> Result<(), DecodeError>;

    /// Removes what is stored as `namespace/name`.
    fn delete_key(&mut self, namespace: &str, name: &str);

    /// `metadata.resourceVersion` of the object fed last, empty where it had none.
    fn last_version(&self) -> &str;

    /// Begins a complete list; readers see the old state until it ends.
    fn begin_list(&mut self);

    /// Ends a list: what it did not name is removed.
    fn end_list(&mut self);

    /// Gives a list up: all it did is undone.
    fn abandon_list(&mut self);

    /// Whether a configuration has brought families, since the last list, that only another one
    /// fills.
    fn wants_list(&self) -> bool {
        false
    }

    /// Removes all rows of this writer and the writer.
    fn close(self: Box<Self>);
}
pub(crate) mod sealed {
    /// Keeps the trait open for methods to come.
    pub trait Sealed {}
}

// === impl ObjectWriter for Writer ===

impl<K: CollectedResource> Sealed for Writer<K> {}

impl<K: CollectedResource> ObjectWriter for Writer<K> {
    fn resource(&self) -> &ResourceInfo {
        self.store().resource()
    }

    fn apply(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.apply_json(json)
    }

    fn delete(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.delete_json(json)
    }

    fn delete_key(&mut self, namespace: &str, name: &str) {
        Writer::delete_key(self, namespace, name);
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

    fn close(self: Box<Self>) {
        Writer::close(*self);
    }
}
