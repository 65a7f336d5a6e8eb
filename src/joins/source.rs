//! [`Source`]: the values of one object that joined labels need.

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

/// The values of one object that joined labels need.
#[derive(Debug)]
pub(super) struct Source {
    /// Identifies this state of the source. Each state of each source has a different number.
    id: u64,
    /// The reference to the controller, then the escaped value of each wanted key. [`FIELD_END`] precedes each value.
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

    /// The controller of the object.
    pub(super) fn controller(&self) -> Option<Reference<'_>> {
        Reference::read(self.fields().next().unwrap_or_default())
    }

    /// The escaped value of a wanted key; empty if the object lacks the key.
    pub(super) fn value(&self, position: usize) -> &[u8] {
        self.fields().nth(position + 1).unwrap_or_default()
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == FIELD_END)
    }
}

/// Appends the values of an object that joined labels need.
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
