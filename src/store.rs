//! The store contains rendered samples of all objects of a kind, but not the objects.
//!
//! A *row* has the samples of one object. The rows are in the order of the keys of their objects. A *page* has up to
//! 255 adjacent rows. In a page, each family has a *column*, which contains the samples of this family in all rows of
//! the page. The store keeps the base labels once per row, and the name of a family only once.
//!
//! A snapshot shares the columns of the store. When an object changes, the store copies the columns that change.
//! Therefore, to create a snapshot, the store only increments reference counts. A scrape does not lock the store while
//! it reads samples.

mod any_store;
mod base_labels;
mod cache;
mod column;
#[cfg(feature = "watch")]
mod feeder_rows;
mod feeder_table;
mod join_writer;
mod joined_rows;
mod joined_state;
mod kept_text;
mod linked_store;
mod list_page;
mod marks;
mod metrics_store;
mod object_applier;
mod object_type;
mod object_writer;
mod page;
mod page_builder;
mod reader;
mod row;
mod row_cells;
mod row_feeder;
mod row_fingerprints;
mod sample_line;
mod schema;
mod snapshot;
mod stats;
mod table;
mod text_size;
mod uid;
mod update;
mod update_plan;
mod updated_cells;
#[cfg(feature = "watch")]
mod watch_writer;
mod writer;

pub(crate) use any_store::{AnyStore, StoreAddress, StoreFamily};
pub use cache::{CacheStore, StoredObject};
pub(crate) use column::Column;
#[cfg(feature = "watch")]
pub(crate) use column::MAX_ROWS as PAGE_ROWS;
pub use column::replaced_bytes;
#[cfg(feature = "watch")]
pub(crate) use feeder_rows::FeederRows;
pub(crate) use join_writer::JoinWriter;
pub(crate) use joined_rows::JoinedRows;
pub use metrics_store::MetricsStore;
pub use object_writer::ObjectWriter;
pub(crate) use page::Page;
pub use reader::StoreReader;
pub(crate) use row::{RowLabels, RowPrefix};
#[cfg(feature = "testing")]
pub(crate) use row_cells::RowCells;
#[cfg(feature = "watch")]
pub(crate) use row_feeder::{namespace_in, write_key};
pub(crate) use sample_line::SampleLine;
pub(crate) use schema::{Allowlists, Schema};
pub(crate) use snapshot::StoreSnapshot;
pub use stats::{ExceededLimit, StoreStats};
pub(crate) use text_size::TextSize;
#[cfg(feature = "watch")]
pub(crate) use uid::Uid;
#[cfg(feature = "watch")]
pub(crate) use watch_writer::{ListHelper, WatchWriter, WrittenRows};
pub use writer::Writer;

#[cfg(test)]
mod tests;
pub use crate::decode::{DecodeError, DecodeReason};
