//! Compressed blocks of text, cached until their columns change.
//!
//! A block is raw deflate that ends with a sync flush, so blocks can be joined in any order. A gzip header, joined
//! blocks, an empty final block and the combined checksum form one gzip member. Sources:
//! [RFC 1951](https://www.rfc-editor.org/rfc/rfc1951), [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952).

mod block;
mod cache;
mod run_key;
mod scrape_predictor;

pub(super) use block::{Block, FINAL_BLOCK, HEADER, compress};
pub(crate) use cache::GzipCache;
pub(super) use cache::{CacheSession, Refresh};
pub(super) use run_key::{RunKey, RunRevision};
