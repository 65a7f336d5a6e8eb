//! [`FamilyColumn`]: the column of a store that has samples of a family.

use crate::store::RowPrefix;

/// A column with samples of a family, and the column with the base labels of these samples.
#[derive(Debug)]
pub(super) struct FamilyColumn {
    /// The position of the store in the plan.
    pub(super) store: usize,
    pub(super) base_labels: usize,
    pub(super) samples: usize,
    pub(super) prefix: RowPrefix,
    /// Whether two rows can have equal series: two rows of this column, or one of it and one of another such column.
    pub(super) may_repeat: bool,
}
