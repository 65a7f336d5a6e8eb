//! Joined labels: labels that all samples of an object get from the object's namespace, node or workload, or from the
//! metadata of the object itself.
//!
//! The objects from which labels are joined are called *sources*. [`JoinSources`] stores the labels of each source
//! once. The row of an object in a store does not contain these labels. It contains the names of the object's node
//! and controller. If a joined value comes from the object itself, the row contains the value. An exposition takes one
//! snapshot of the sources and of all stores, and writes the joined labels after the base labels. Therefore, no row
//! changes if a label of a namespace changes. A scrape shows the new label either in all samples or in none.

mod config;
mod join;
mod joined_text;
mod kinds;
mod object;
mod reference;
mod row_joins;
mod row_key;
mod source;
mod source_table;
mod sources;
mod wanted;

pub use config::JoinConfig;
pub use join::{Join, JoinError};
pub(crate) use joined_text::JoinedText;
pub(crate) use kinds::SourceKind;
pub(crate) use row_joins::RowJoins;
pub(crate) use row_key::RowKey;
pub(crate) use source::SourceObject;
pub(crate) use source_table::SourceTable;
pub(crate) use sources::{JoinSources, SourceFeed};

#[cfg(test)]
mod tests;
