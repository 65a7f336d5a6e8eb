//! [`Identity`]: the identity of an object, while a scan reads the object.

use std::borrow::Cow;

/// The fields in the metadata that identify an object.
#[derive(Debug, Default)]
pub(super) struct Identity<'a> {
    pub(super) namespace: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) uid: Option<Cow<'a, str>>,
    pub(super) resource_version: Option<Cow<'a, str>>,
}

// === impl Identity ===

impl<'a> Identity<'a> {
    /// Returns the place for the value of the metadata field `name`; `None` if an identity does not contain this field.
    pub(super) fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "name" => &mut self.name,
            "namespace" => &mut self.namespace,
            "uid" => &mut self.uid,
            "resourceVersion" => &mut self.resource_version,
            _ => return None,
        })
    }
}
