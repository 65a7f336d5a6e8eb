//! [`ListReader`]: splits the response of a list into objects while its bytes arrive.
//!
//! In protobuf, a list is a message, which consists of records. A record begins with its *start*: the number of a
//! field, and usually the length of the payload. The payload, for example an object, follows.

use crate::envelope::{PREFIX, type_meta};
use crate::error::Malformed;
use crate::object::Object;
use crate::piece::Piece;
use crate::tables::LIST_META;
use crate::wire::RecordStart;

/// Splits the response of a list into objects.
///
/// The reader never stores the whole response. It keeps only the metadata of the list.
#[derive(Debug, Default)]
pub struct ListReader {
    state: State,
    /// The bytes of an incomplete prefix, or of an incomplete start of a record.
    start: Vec<u8>,
    /// The number of unread bytes of the message that contains the objects. `None` before this message and after it.
    list: Option<u64>,
    has_list: bool,
    type_meta: Vec<u8>,
    meta: Vec<u8>,
}

/// The metadata and the kind of a complete list.
#[derive(Debug)]
pub struct ListEnd {
    type_meta: Vec<u8>,
    meta: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Prefix,
    /// At the start of a record.
    Start,
    /// In the payload of a record. The number states how many bytes of the payload are missing.
    Payload(Content, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    TypeMeta,
    Meta,
    Object,
    Skipped,
}

/// The maximum size of a list's metadata, in bytes.
const MAX_META: usize = 1 << 20;

// === impl ListReader ===

impl ListReader {
    /// Reads the next bytes of the response, and calls `each` with every piece of an object.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are malformed, or if the metadata of the list is too large.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Piece<'_>),
    ) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Prefix => self.prefix(bytes)?,
                State::Start => self.start(bytes, &mut each)?,
                State::Payload(content, left) => self.payload(content, left, bytes, &mut each)?,
            };
        }
        Ok(())
    }

    /// Checks that the list is complete, and returns its metadata and its kind.
    ///
    /// # Errors
    ///
    /// Returns an error if the list is not complete, or if the bytes are not a list.
    pub fn finish(self) -> Result<ListEnd, Malformed> {
        let is_complete =
            self.state == State::Start && self.start.is_empty() && self.list.is_none();
        if !is_complete || !self.has_list {
            return Err(Malformed::Truncated);
        }
        Ok(ListEnd {
            type_meta: self.type_meta,
            meta: self.meta,
        })
    }

    fn prefix<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Ok(bytes);
        };
        self.start.push(byte);
        if !PREFIX.starts_with(&self.start) {
            return Err(Malformed::Prefix);
        }
        if self.start.len() == PREFIX.len() {
            self.start.clear();
            self.state = State::Start;
        }
        Ok(rest)
    }

    /// Reads one byte of the start of a record, that is, of the bytes before its payload. When the start is complete,
    /// the method decides what the payload contains.
    fn start<'a>(
        &mut self,
        bytes: &'a [u8],
        each: &mut impl FnMut(Piece<'_>),
    ) -> Result<&'a [u8], Malformed> {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Ok(bytes);
        };
        self.start.push(byte);
        let start = match RecordStart::take(&self.start) {
            Ok((start, _)) => start,
            // The longest start consists of two numbers with ten bytes each.
            Err(Malformed::Truncated) if self.start.len() < 20 => return Ok(rest),
            Err(malformed) => return Err(malformed),
        };
        let size = self.start.len() as u64;
        self.start.clear();
        if let Some(left) = &mut self.list {
            let used = size.checked_add(start.length).ok_or(Malformed::Truncated)?;
            *left = left.checked_sub(used).ok_or(Malformed::Truncated)?;
        }
        self.enter(&start)?;
        if let State::Payload(content, 0) = self.state {
            self.payload(content, 0, &[], each)?;
        }
        Ok(rest)
    }

    /// Decides what the payload of a record contains. `start` is the start of the record.
    fn enter(&mut self, start: &RecordStart) -> Result<(), Malformed> {
        let content = match (self.list, start.number) {
            (None, 2) if start.is_bytes => {
                self.has_list = true;
                self.list = Some(start.length);
                self.end_payload();
                return Ok(());
            }
            (None, 1) if start.is_bytes => Content::TypeMeta,
            (Some(_), 1) if start.is_bytes => Content::Meta,
            (Some(_), 2) if start.is_bytes => Content::Object,
            (None, 1 | 2) | (Some(_), 1 | 2) => return Err(Malformed::WireType),
            (None, 3) if start.length > 0 => return Err(Malformed::Encoding),
            _ => Content::Skipped,
        };
        self.state = State::Payload(content, start.length);
        Ok(())
    }

    fn payload<'a>(
        &mut self,
        content: Content,
        left: u64,
        bytes: &'a [u8],
        each: &mut impl FnMut(Piece<'_>),
    ) -> Result<&'a [u8], Malformed> {
        let (piece, rest) = Piece::take(left, bytes);
        match content {
            Content::Skipped => {}
            Content::TypeMeta => append_meta(&mut self.type_meta, piece.bytes)?,
            Content::Meta => append_meta(&mut self.meta, piece.bytes)?,
            Content::Object => each(piece),
        }
        self.state = State::Payload(content, piece.left);
        if piece.left == 0 {
            self.end_payload();
        }
        Ok(rest)
    }

    /// Ends the payload of a record, so that the next byte begins another record.
    fn end_payload(&mut self) {
        self.state = State::Start;
        if self.list == Some(0) {
            self.list = None;
        }
    }
}

fn append_meta(meta: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    if meta.len() + bytes.len() > MAX_META {
        return Err(Malformed::TooLarge);
    }
    meta.extend_from_slice(bytes);
    Ok(())
}

// === impl ListEnd ===

impl ListEnd {
    /// Returns the kind of the list, such as `PodList`. The text is empty if the kind is unknown.
    #[must_use]
    pub fn kind(&self) -> &str {
        type_meta(&self.type_meta).map_or("", |[_, kind]| kind)
    }

    /// Returns the metadata of the list. This includes its resource version, and the token with which a client requests
    /// the next page.
    #[must_use]
    pub fn meta(&self) -> Object<'_> {
        Object::new(&LIST_META, &self.meta)
    }
}
