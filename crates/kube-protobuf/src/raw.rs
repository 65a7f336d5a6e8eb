//! [`RawFields`]: the fields of a message with their bytes, for code that compares messages without decoding them.

use crate::error::Malformed;
use crate::wire::{Payload, Records};

/// The fields of a message, in the order of their bytes. Each element of a list and each entry of a map is a separate
/// field.
///
/// ```
/// use kube_protobuf::RawFields;
///
/// // Field 1 with the text `a`, then field 2 with the number 7.
/// let fields: Vec<_> = RawFields::new(b"\x0a\x01a\x10\x07").collect::<Result<_, _>>()?;
/// assert_eq!((fields[0].number, fields[0].payload), (1, Some(&b"a"[..])));
/// assert_eq!((fields[1].number, fields[1].payload), (2, None));
/// assert_eq!(fields[1].bytes, b"\x10\x07");
/// # Ok::<(), kube_protobuf::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct RawFields<'a> {
    records: Records<'a>,
}

/// A field with its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawField<'a> {
    /// The number of the field.
    pub number: u32,
    /// All bytes of the field, including its number and its length.
    pub bytes: &'a [u8],
    /// The content of a text, a message or another field with a length. `None` for a number.
    pub payload: Option<&'a [u8]>,
}

// === impl RawFields ===

impl<'a> RawFields<'a> {
    /// The fields of a message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self {
            records: Records::new(message),
        }
    }
}

impl<'a> Iterator for RawFields<'a> {
    type Item = Result<RawField<'a>, Malformed>;

    /// Returns the next field. After an error, the caller must not use the iterator any more.
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.records.rest();
        let record = match self.records.next() {
            Ok(record) => record?,
            Err(malformed) => return Some(Err(malformed)),
        };
        let length = start.len() - self.records.rest().len();
        Some(Ok(RawField {
            number: record.number,
            bytes: start.get(..length).unwrap_or_default(),
            payload: match record.payload {
                Payload::Bytes(payload) => Some(payload),
                Payload::Varint(_) | Payload::Fixed => None,
            },
        }))
    }
}
