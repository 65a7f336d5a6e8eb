//! Computes reports about the exposition. One report has the number of series and bytes by family, resource, namespace
//! and label. Another report has the number of distinct values of each label of one family. The number of bytes is the
//! length of the sample lines without compression.

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
pub(crate) use text::{is_metric_name, is_quoted_sample};
