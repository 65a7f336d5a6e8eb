//! [`UpdatePlan`]: the base labels and families that an event renders again.

use crate::decode::Fields;

/// The base labels and families that must be rendered again after a change of certain groups of fields.
#[derive(Debug)]
pub(super) struct UpdatePlan {
    /// The indexes of the base labels, in ascending order. The base labels of the plan's families are always included.
    pub(super) bases: Vec<usize>,
    /// The indexes of the families, in ascending order.
    pub(super) families: Vec<usize>,
    /// The indexes of the columns of these base labels and families.
    pub(super) columns: Vec<usize>,
    /// The fields that the base labels and families read.
    pub(super) fields: Fields,
}

// === impl UpdatePlan ===

impl UpdatePlan {
    /// Whether the plan is empty. In this case, the object need not be decoded.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}
