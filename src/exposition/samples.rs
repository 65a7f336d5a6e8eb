//! The samples of an [`Exposition`], one by one.

use super::family_rows::FamilyRows;
use super::plan_family::PlanFamily;
use super::sample::StoredSample;
use super::snapshot::Exposition;

// === impl Exposition ===

impl Exposition {
    /// The samples of a family that the filter includes, except those numbered in `repeated`.
    pub(super) fn family_samples<'a>(
        &'a self,
        family: &'a PlanFamily,
        repeated: &'a [usize],
    ) -> impl Iterator<Item = StoredSample<'a>> {
        let samples = family.columns().iter().flat_map(move |column| {
            let column_included = self.includes_column(column);
            let rows = FamilyRows::all(column, self.snapshots()).flat_map(FamilyRows::rows);
            rows.flat_map(move |(page, row)| {
                let included = column_included && self.includes_row(&page, row);
                let tails = page.tails(row).split_inclusive(|&byte| byte == b'\n');
                tails.map(move |tail| (included, StoredSample::new(page, row, tail)))
            })
        });
        // The numbers count all samples of the family, included or not.
        (samples.enumerate()).filter_map(|(number, (included, sample))| {
            (included && repeated.binary_search(&number).is_err()).then_some(sample)
        })
    }
}
