//! Reads the wire format of protobuf. A message consists of records, and each record has a field number and a payload.
//!
//! Source: [Protocol Buffers, "Encoding"](https://protobuf.dev/programming-guides/encoding/).

use crate::error::Malformed;

/// The unread records of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'de> {
    rest: &'de [u8],
}

/// One encoded field: its number and its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'de> {
    pub(crate) number: u32,
    pub(crate) payload: Payload<'de>,
}

/// The payload of a record. The variants are the wire types of protobuf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'de> {
    Varint(u64),
    /// Eight or four bytes. No type in the tables is encoded in this way.
    Fixed,
    Bytes(&'de [u8]),
}

/// The bytes of a record before its payload. If the payload is a varint, the start is the whole record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordStart {
    pub(crate) number: u32,
    /// Whether the record states the length of its payload.
    pub(crate) is_bytes: bool,
    /// The number of bytes of the payload after the start of the record; 0 for a varint.
    pub(crate) length: u64,
}

// === impl Records ===

impl<'de> Records<'de> {
    pub(crate) fn new(message: &'de [u8]) -> Self {
        Self { rest: message }
    }

    /// Returns the bytes of the unread records.
    pub(crate) fn rest(&self) -> &'de [u8] {
        self.rest
    }

    /// Returns the next record. Returns `None` after the last record.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'de>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = tag(&mut self.rest)?;
        let payload = match wire_type {
            WireType::Varint => Payload::Varint(varint(&mut self.rest)?),
            WireType::Bytes => {
                let length = varint(&mut self.rest)?;
                Payload::Bytes(self.take(length)?)
            }
            WireType::Fixed(length) => {
                self.take(length)?;
                Payload::Fixed
            }
        };
        Ok(Some(Record { number, payload }))
    }

    fn take(&mut self, length: u64) -> Result<&'de [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
        let (taken, rest) = (self.rest.split_at_checked(length)).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

// === impl Payload ===

impl<'de> Payload<'de> {
    pub(crate) fn bytes(self) -> Result<&'de [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::WireType),
        }
    }

    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::WireType),
        }
    }
}

// === impl RecordStart ===

impl RecordStart {
    /// Reads the start of a record, and returns the bytes after the start.
    pub(crate) fn take(mut bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (number, wire_type) = tag(&mut bytes)?;
        let (is_bytes, length) = match wire_type {
            WireType::Varint => {
                varint(&mut bytes)?;
                (false, 0)
            }
            WireType::Bytes => (true, varint(&mut bytes)?),
            WireType::Fixed(length) => (false, length),
        };
        let start = Self {
            number,
            is_bytes,
            length,
        };
        Ok((start, bytes))
    }
}

enum WireType {
    Varint,
    Bytes,
    /// The payload has exactly this number of bytes.
    Fixed(u64),
}

/// Reads the field number and the wire type of a record, and removes their bytes from the front of `bytes`.
#[inline]
fn tag(bytes: &mut &[u8]) -> Result<(u32, WireType), Malformed> {
    let tag = varint(bytes)?;
    let number = u32::try_from(tag >> 3).map_err(|_| Malformed::Tag)?;
    let wire_type = match tag & 7 {
        _ if number == 0 => return Err(Malformed::Tag),
        0 => WireType::Varint,
        1 => WireType::Fixed(8),
        2 => WireType::Bytes,
        3 | 4 => return Err(Malformed::Group),
        5 => WireType::Fixed(4),
        _ => return Err(Malformed::Tag),
    };
    Ok((number, wire_type))
}

/// Reads a number, and removes its bytes from the front of `bytes`.
#[inline]
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        let number = u64::from(*byte);
        *bytes = rest;
        return Ok(number);
    }
    long_varint(bytes)
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for (at, &byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte may contain only one bit, which is the last of the 64 bits.
        if at == 9 && bits > 1 {
            return Err(Malformed::Number);
        }
        number |= bits << (7 * at);
        if byte < 0x80 {
            *bytes = bytes.get(at + 1..).unwrap_or_default();
            return Ok(number);
        }
    }
    Err(if bytes.len() < 10 {
        Malformed::Truncated
    } else {
        Malformed::Number
    })
}
