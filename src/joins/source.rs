//! [`Source`]: an object from which labels are joined, reduced to the values that joined labels need.

use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::kinds::SourceKind;
use super::object::ObjectView;
use super::reference::{FIELD_END, Reference};
use super::wanted::Wanted;
use crate::k8s::write_label_value;

/// An object of which only the metadata is decoded.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct SourceObject {
    #[serde(default)]
    pub(crate) metadata: ObjectMeta,
}

/// An object from which labels are joined, reduced to the values that joined labels need.
#[derive(Debug)]
pub(super) struct Source {
    /// Identifies the content of the source. If a source changes, it gets a new number that no other source has.
    id: u64,
    /// The text has two parts. The first part is the reference to the controller of the object. It is empty if the
    /// object is neither a ReplicaSet nor a Job. The second part has the values of the Kubernetes labels and
    /// annotations that joined labels need. Each value is escaped, and follows a [`FIELD_END`].
    text: Box<[u8]>,
}

// === impl Source ===

impl Source {
    pub(super) fn new(text: &[u8]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            text: text.into(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the controller of a ReplicaSet or a Job, if there is one. For other kinds, the result is `None`.
    pub(super) fn controller(&self) -> Option<Reference<'_>> {
        Reference::read(self.fields().next().unwrap_or_default())
    }

    /// The escaped values of the Kubernetes labels and annotations that joined labels need. A value is empty if the
    /// object does not have the label or the annotation.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.fields().skip(1)
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == FIELD_END)
    }
}

/// Appends values of an object to `out`: those that joined labels need.
pub(super) fn write_source(
    kind: SourceKind,
    wanted: &Wanted,
    object: ObjectView<'_>,
    out: &mut Vec<u8>,
) {
    if kind.is_intermediate()
        && let Some(controller) = object.controller()
    {
        controller.write_reference(out);
    }
    for (map, key) in wanted.of_kind(kind) {
        out.push(FIELD_END);
        write_label_value(out, object.value(*map, key).unwrap_or_default());
    }
}
