//! [`FamilyColumn`]: shows in which column of which store the samples of a family are.

use crate::store::RowPrefix;

/// The positions of two columns of a store: one has the samples of a family, and the other has the base labels of these
/// samples.
#[derive(Debug)]
pub(super) struct FamilyColumn {
    /// The position of the store in the plan.
    pub(super) store: usize,
    pub(super) base_labels: usize,
    pub(super) samples: usize,
    pub(super) prefix: RowPrefix,
    /// Whether a row of this column can have the same series as another row of the family. If the other row is in
    /// another column, that column also has this flag.
    pub(super) may_repeat: bool,
    /// Whether a sample of the family can already have a label with the name of a joined label. Such a sample does not
    /// get the joined label.
    pub(super) own_wins: bool,
}
