//! Reports about the exposition: series and bytes by family, resource, namespace and label, and distinct values by
//! label.

mod abandoned;
mod costs;
mod families;
mod labels;
mod queries;
mod remembered;
mod rows;
mod search;
mod search_words;
mod text;

#[cfg(test)]
pub(crate) use costs::LabelRow;
pub(crate) use costs::{CostRow, LabelExamples};
pub(crate) use families::{FamilyReport, JsonReport, Report};
pub(crate) use queries::queries;
pub(crate) use remembered::Reports;
pub(crate) use search::Search;
pub(crate) use text::is_metric_name;
