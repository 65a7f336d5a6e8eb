//! Reads the data around an object.
//!
//! Each object has an envelope, which names the kind. In a watch, an event is around the envelope.
//!
//! A kind has a table if this crate knows its fields.

use crate::error::Malformed;
use crate::object::{Object, message_of};
use crate::schema::Message;
use crate::wire::Records;

/// The first bytes of every response with an object, a list or an error in this encoding.
pub const PREFIX: [u8; 4] = *b"k8s\0";

/// The media type of this encoding. For a watch, the parameter `stream=watch` follows this media type.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// An object together with the API version and the kind, which the API server adds to it.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    header: [&'a str; 2],
    raw: &'a [u8],
}

/// An event of a watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchEvent<'a> {
    kind: &'a str,
    object: &'a [u8],
}

// === impl Envelope ===

impl<'a> Envelope<'a> {
    /// Reads the envelope of an object, of a list or of a `Status`.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes do not begin with the [prefix](PREFIX), are malformed, or are compressed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bytes = bytes.strip_prefix(&PREFIX).ok_or(Malformed::Prefix)?;
        let (mut records, mut header, mut raw) = (Records::new(bytes), [""; 2], &[][..]);
        while let Some(record) = records.next()? {
            match record.number {
                1 => header = type_meta(record.payload.bytes()?)?,
                2 => raw = record.payload.bytes()?,
                3 if !record.payload.bytes()?.is_empty() => return Err(Malformed::Encoding),
                _ => {}
            }
        }
        Ok(Self { header, raw })
    }

    /// The API version, such as `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> &'a str {
        self.header[0]
    }

    /// The kind, such as `Deployment`.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.header[1]
    }

    /// The object. `None` if its kind has no table.
    #[must_use]
    pub fn object(&self) -> Option<Object<'a>> {
        message_of(self.api_version(), self.kind()).map(|message| self.object_as(message))
    }

    /// Returns the object. The table `message` describes the fields of the object.
    #[must_use]
    pub fn object_as(&self, message: &'static Message) -> Object<'a> {
        Object::new(message, self.raw).with_header(self.header)
    }
}

/// Returns the API version and the kind from a `TypeMeta` message.
pub(crate) fn type_meta(message: &[u8]) -> Result<[&str; 2], Malformed> {
    let (mut records, mut header) = (Records::new(message), [""; 2]);
    while let Some(record) = records.next()? {
        let text = match record.number {
            1 => &mut header[0],
            2 => &mut header[1],
            _ => continue,
        };
        // If the text is not UTF-8, the kind counts as unknown.
        *text = std::str::from_utf8(record.payload.bytes()?).unwrap_or_default();
    }
    Ok(header)
}

// === impl WatchEvent ===

impl<'a> WatchEvent<'a> {
    /// Reads an event from one frame of a watch.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are malformed.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut records, mut kind, mut object) = (Records::new(frame), "", &[][..]);
        while let Some(record) = records.next()? {
            match record.number {
                1 => kind = std::str::from_utf8(record.payload.bytes()?).unwrap_or_default(),
                2 => object = crate::leaf::last_bytes(record.payload.bytes()?)?,
                _ => {}
            }
        }
        Ok(Self { kind, object })
    }

    /// The type of the event, such as `MODIFIED`.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// The bytes of the object, including its envelope.
    #[must_use]
    pub fn object(&self) -> &'a [u8] {
        self.object
    }
}
