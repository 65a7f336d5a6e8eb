//! [`FamilySize`]: series and bytes of a family, counted without writing the samples.

use super::family_rows::FamilyRows;
use super::plan::Plan;
use crate::resource::ResourceInfo;
use crate::store::{StoreSnapshot, TextSize};

/// How many series and bytes one family has in the store of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FamilySize {
    /// The resource whose objects are in the store.
    pub resource: ResourceInfo,
    /// The name of the family.
    pub family: String,
    /// Stored series, including series that repeat a series of another object.
    pub series: u64,
    /// The length of the sample lines in the Prometheus text format, in bytes. Newlines are included, headers are not
    /// included.
    pub bytes: u64,
}

// === impl Plan ===

impl Plan {
    /// Returns the size of each family that has samples, in the order of the stores.
    pub(crate) fn family_sizes(&self) -> Vec<FamilySize> {
        let (mut sizes, snapshots) = (Vec::new(), self.snapshots());
        for (index, store) in self.stores().iter().enumerate() {
            // The outer loop is over the pages. So for each page, the lengths of the dictionary values are computed
            // only once for all families.
            let mut of_store: Vec<_> = (self.families().iter())
                .flat_map(|family| {
                    let columns = family.columns().iter();
                    let columns = columns.filter(|column| column.store == index);
                    columns.map(|column| (family.metadata().name(), column, 0, 0))
                })
                .collect();
            let pages = snapshots.get(index).map(StoreSnapshot::pages);
            for (at, page) in pages.into_iter().flatten().enumerate() {
                let text = TextSize::new(page);
                for (_, column, series, bytes) in &mut of_store {
                    let samples = page.columns().get(column.samples);
                    *series += samples.map_or(0, |samples| samples.lines());
                    let rows = FamilyRows::at(column, &snapshots, at);
                    let joined = rows.and_then(|rows| rows.joined);
                    if let Some(rows) = rows.filter(|rows| !rows.copies_joined()) {
                        // Some lines of a row may lack joined labels, so each line is counted separately.
                        let lines = rows.rows().flat_map(|(rows, row)| rows.sample_lines(row));
                        *bytes += lines.map(|line| line.len() as u64).sum::<u64>();
                        continue;
                    }
                    let prefix = column.prefix.len() as u64;
                    let (samples, base_labels) = (column.samples, column.base_labels);
                    *bytes += text.bytes(samples, base_labels, prefix, joined);
                }
            }
            let of_store = of_store.into_iter().filter(|(.., series, _)| *series > 0);
            sizes.extend(of_store.map(|(family, _, series, bytes)| FamilySize {
                resource: store.resource().clone(),
                family: family.to_owned(),
                series,
                bytes,
            }));
        }
        sizes
    }
}

#[cfg(test)]
mod tests;
