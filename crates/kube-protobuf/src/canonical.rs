//! Rewrites a message whose fields are in an unusual order, or whose fields are split into several pieces.
//!
//! The encoders of the API server never write such a message.
//!
//! Protobuf permits fields in any order. It also permits that a message is split into several pieces, which a decoder
//! must merge. But the types that serde deserializes accept each field only once. This crate does not check the order
//! in advance, because the objects of an API server have each field once and in the usual order.
//! [`Object::read`](crate::Object::read) stops at the first field in an unusual order, rewrites the object with this
//! module, and reads the object again.

use crate::error::Malformed;
use crate::schema::{Field, Message, Presence, Type, always};
use crate::wire::{Payload, Records};

/// Maximum size in bytes of an object that the crate rewrites. Objects in etcd have at most about 1.5 MiB.
///
/// To rewrite a nested message, the code also copies each message around it. So the code may need several times this
/// amount of memory.
const MAX_REWRITTEN: usize = 4 << 20;

/// Returns the same message with its fields in the order of the table (`message`). A record is one encoded value of a
/// field, or a piece of this value. In the result, all records of a field are next to each other.
///
/// The recursion follows the tables. No message in the tables contains itself, so the depth of the recursion is
/// limited.
pub(crate) fn rewritten(message: &'static Message, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    if bytes.len() > MAX_REWRITTEN {
        return Err(Malformed::TooLarge);
    }
    let mut out = Vec::with_capacity(bytes.len());
    for field in message.fields {
        write_field(field, bytes, &mut out)?;
    }
    Ok(out)
}

/// Writes the records of one field.
///
/// The function reads the whole message once for each field. It does not store the positions of the records, because a
/// message may have millions of records.
fn write_field(field: &Field, message: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut records = Records::new(message);
    let (mut number, mut joined) = (None, None::<Vec<u8>>);
    while let Some(record) = records.next()? {
        if record.number != field.number {
            continue;
        }
        match (field.presence, record.payload) {
            (Presence::List, Payload::Varint(number)) => put_number(field.number, number, out),
            (Presence::List, payload) => put_rewritten(field, payload.bytes()?, out)?,
            (Presence::Map, payload) => {
                put_bytes(field.number, &entry(field, payload.bytes()?)?, out);
            }
            (_, payload) if field.content.is_number() => number = Some(payload.number()?),
            // If a text field or a bytes field occurs several times, only the last record counts.
            (_, payload) if matches!(field.content, Type::Text | Type::Bytes) => {
                joined = Some(payload.bytes()?.to_vec());
            }
            // To merge the pieces of a message, the code writes their bytes one after another.
            (_, payload) => {
                let parts = joined.get_or_insert_default();
                parts.extend_from_slice(payload.bytes()?);
            }
        }
    }
    if let Some(number) = number {
        put_number(field.number, number, out);
    }
    if let Some(joined) = joined {
        put_rewritten(field, &joined, out)?;
    }
    Ok(())
}

/// Rewrites a map entry, so that it has exactly one key and one value.
fn entry(field: &Field, entry: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(entry.len());
    write_field(&always(1, "", Type::Text), entry, &mut out)?;
    write_field(&always(2, "", field.content), entry, &mut out)?;
    Ok(out)
}

fn put_rewritten(field: &Field, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    match field.content {
        Type::Message(below) => put_bytes(field.number, &rewritten(below, bytes)?, out),
        _ => put_bytes(field.number, bytes, out),
    }
    Ok(())
}

/// Appends a record with bytes.
pub(crate) fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a record with a number.
pub(crate) fn put_number(number: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3, out);
    put_varint(value, out);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
