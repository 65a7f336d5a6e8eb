//! [`FamilyColumn`]: shows in which column of which store the samples of a family are.
//!
//! Joined labels are labels that an exposition adds to the samples of an object, such as labels of its namespace.

use crate::store::RowPrefix;

/// The indexes of two columns in a store: the column with the samples of a family, and the column with the base labels
/// of these samples.
#[derive(Debug)]
pub(super) struct FamilyColumn {
    /// The index of the store in the plan.
    pub(super) store: usize,
    pub(super) base_labels: usize,
    pub(super) samples: usize,
    pub(super) prefix: RowPrefix,
    /// Whether a row of this column can have the same series as another row of the family. If the other row is in
    /// another column of the family, this field is true for both columns.
    pub(super) may_repeat: bool,
    /// Whether the labels of each sample, except the constant labels, are sorted by name.
    pub(super) sorts_labels: bool,
    /// Whether samples of the family can have a label with the same name as a joined label. For such a sample, its own
    /// label takes precedence over the joined label.
    pub(super) own_wins: bool,
}
