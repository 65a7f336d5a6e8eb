//! [`FamilyColumn`]: the column of a store that has samples of a family.

use crate::store::RowPrefix;

/// A column that has samples of a family, and the column of their base labels.
#[derive(Debug)]
pub(super) struct FamilyColumn {
    /// The position of the store in the plan.
    pub(super) store: usize,
    pub(super) base_labels: usize,
    pub(super) samples: usize,
    pub(super) prefix: RowPrefix,
    /// Two rows of the column, or one of it and one of another such column, can have equal series.
    pub(super) may_repeat: bool,
}
