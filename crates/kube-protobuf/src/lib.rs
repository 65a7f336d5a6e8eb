#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod canonical;
#[cfg(feature = "encode")]
pub mod encode;
mod envelope;
mod error;
mod frames;
mod leaf;
mod list;
mod object;
mod piece;
mod raw;
mod schema;
mod start;
mod tables;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub use envelope::{CONTENT_TYPE, Envelope, PREFIX, WatchEvent};
pub use error::{Error, Malformed};
pub use frames::FrameReader;
pub use list::{ListEnd, ListReader};
pub use object::{ANY_OBJECT, Object, message_of};
pub use piece::Piece;
pub use raw::{RawField, RawFields};
pub use schema::{Kind, Message, WirePlace};
pub use start::{ObjectStart, event_start, item_start};
pub use tables::{KINDS, LIST_META, OBJECT_META, STATUS, VERSION};
pub use value::Value;
