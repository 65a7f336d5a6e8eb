//! [`UpdatedCells`]: the rendered cells of an object, if only some of its families were rendered.
//!
//! The fields of objects are divided into groups; the fingerprint of a group is a hash of its fields.

use super::page::{Identity, Page, RowPlace};
use super::row_cells::RowCells;
use crate::decode::{Fingerprints, GroupSet};
use crate::family::referenced_labels::ObjectDictionary;

/// The rendered cells of an object. Only the families that read a changed group of fields were rendered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdatedCells<'a> {
    /// Where the row was in its table when the row was read.
    pub(crate) place: RowPlace,
    pub(crate) cells: &'a RowCells,
    pub(crate) fingerprints: &'a Fingerprints,
    /// The groups of fields that have changed. For all other groups, the row must have the same fingerprints as the
    /// object.
    pub(crate) rendered: GroupSet,
    /// The dictionary to which the cells refer. The row must have the same dictionary.
    pub(crate) dictionary: &'a ObjectDictionary,
    /// Whether later updates may keep these cells. If not, the row is stored without fingerprints, so that the next
    /// event renders the whole object.
    pub(crate) are_kept: bool,
}

// === impl UpdatedCells ===

impl UpdatedCells<'_> {
    /// Whether these cells and the other cells of the row belong to the same state of the object.
    pub(super) fn fits(&self, page: &Page, row: usize, identity: Identity<'_>) -> bool {
        let is_same = page.uid(row).is_some_and(|uid| uid.is(identity.uid));
        let changed = self.fingerprints.changed_since(page.fingerprints(row));
        let mut dictionary = page.shared().iter().zip(self.dictionary.lists());
        is_same
            && changed.is_some_and(|changed| changed.is_within(self.rendered))
            && (self.cells.is_empty() || dictionary.all(|(column, list)| column.cell(row) == list))
    }
}
