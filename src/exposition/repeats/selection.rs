//! [`Selection`]: the rows of a family that the filter of an exposition includes.

use std::sync::Arc;

use crate::exposition::family_rows::FamilyRows;
use crate::exposition::filter::ExpositionFilter;

/// The rows of a family that a filter includes. A search with a selection reads only these rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exposition) struct Selection {
    filter: Arc<ExpositionFilter>,
    /// For each column of the family, whether the filter includes the resource of the column.
    columns: Arc<[bool]>,
}

// === impl Selection ===

impl Selection {
    /// Creates the selection of a filter. `columns` states for each column of the family whether the filter includes
    /// its resource.
    pub(in crate::exposition) fn new(
        filter: &Arc<ExpositionFilter>,
        columns: impl IntoIterator<Item = bool>,
    ) -> Self {
        Self {
            filter: Arc::clone(filter),
            columns: columns.into_iter().collect(),
        }
    }

    pub(super) fn includes_column(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|included| *included)
    }

    pub(super) fn includes_row(&self, rows: &FamilyRows<'_>, row: usize) -> bool {
        self.filter.includes_row(rows, row)
    }
}
