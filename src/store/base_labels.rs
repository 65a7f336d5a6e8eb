//! [`BaseLabels`]: the first labels of the samples of an object.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::row_cells::RowCells;
use crate::decode::Dependency;
use crate::family::{BaseLabel, BaseSource, SampleBuffer};
use crate::k8s::write_label_value;
use crate::resource::CollectedResource;

/// The base labels of one or more families.
#[derive(Debug)]
pub(super) struct BaseLabels<K> {
    pub(super) labels: Vec<BaseLabel<K>>,
    /// The names of the constant labels, then the names of the base labels.
    pub(super) reserved_names: Vec<Cow<'static, str>>,
    /// The changes of an object after which its base labels must be rendered again.
    pub(super) dependency: Dependency,
}

// === impl BaseLabels ===

impl<K: CollectedResource> BaseLabels<K> {
    /// The paths that each computed label reads; `None` for a label that may read all fields.
    pub(super) fn reads(&self) -> impl Iterator<Item = Option<Vec<&str>>> {
        self.labels.iter().filter_map(|label| match &label.source {
            BaseSource::Computed { reads, .. } => Some(reads.map(|path| vec![path])),
            _ => None,
        })
    }

    pub(super) fn render(&self, object: &K, buffer: &mut SampleBuffer, cells: &mut RowCells) {
        for (at, label) in self.labels.iter().enumerate() {
            if at > 0 {
                cells.text.push(b',');
            }
            cells.text.extend_from_slice(label.name.as_bytes());
            cells.text.extend_from_slice(b"=\"");
            match catch_unwind(AssertUnwindSafe(|| label.source.value(object))) {
                Ok(value) => write_label_value(&mut cells.text, &value),
                Err(_) => buffer.discard_after_panic(0),
            }
            cells.text.push(b'"');
        }
        cells.ends.push(cells.text.len());
    }
}

// === impl BaseSource ===

impl<K: CollectedResource> BaseSource<K> {
    fn value<'o>(&self, object: &'o K) -> Cow<'o, str> {
        let meta = object.meta();
        let field = match self {
            Self::Namespace => &meta.namespace,
            Self::Name => &meta.name,
            Self::Uid => &meta.uid,
            Self::Computed { value, .. } => return value(object),
        };
        Cow::Borrowed(field.as_deref().unwrap_or_default())
    }
}
