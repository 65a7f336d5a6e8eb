//! Joined labels: labels that all samples of an object get from its namespace, its node, its workload or itself.
//!
//! A row of a store has only references: the names of its node and of its owner. [`JoinSources`] has the labels of the
//! referenced objects, once per object. An exposition reads one state of the sources and of all stores, and writes the
//! labels behind the base labels. So a change of a namespace changes no row, and a scrape never shows half of it.

mod config;
mod join;
mod kinds;
mod object;
mod reference;
mod row_joins;
mod source;
mod source_table;
mod sources;
mod wanted;

pub use config::JoinConfig;
pub use join::{Join, JoinError};
pub(crate) use kinds::SourceKind;
pub(crate) use row_joins::{JoinedText, RowJoins, RowKey};
pub(crate) use source::SourceObject;
pub(crate) use source_table::SourceTable;
pub(crate) use sources::{JoinSources, SourceFeed};

#[cfg(test)]
mod tests;
