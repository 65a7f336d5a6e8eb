//! A cache of compressed text. The text is divided into blocks. A block stays in the cache until its samples change.
//!
//! A block is raw deflate data that ends with a sync flush. So blocks can be joined in any order. A gzip member
//! consists of a gzip header, the joined blocks, an empty final block, and the combined checksum. Sources: [RFC
//! 1951](https://www.rfc-editor.org/rfc/rfc1951), [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952).

mod block;
mod cache;
mod run_key;
mod scrape_predictor;

pub(super) use block::{Block, FINAL_BLOCK, HEADER, compress};
pub(crate) use cache::GzipCache;
pub(super) use cache::{CacheSession, Refresh};
pub(super) use run_key::{RunKey, RunRevision};
