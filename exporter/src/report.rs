//! Reports about the exposition: series and bytes by family, and distinct values by label.

mod abandoned;
mod families;
mod labels;
mod remembered;

pub(crate) use families::{FamilyReport, Report};
pub(crate) use remembered::Reports;
