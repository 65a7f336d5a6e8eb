//! Reads the name, the namespace and the resource version of an object from its first bytes. The remaining bytes of the
//! object do not have to be available.

use crate::envelope::PREFIX;
use crate::wire::RecordStart;

/// What the first bytes of an object or an event contain. A text is empty if the first bytes do not contain it
/// completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectStart<'a> {
    /// The type of the event. The text is empty for an item of a list.
    pub event: &'a str,
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.resourceVersion`.
    pub resource_version: &'a str,
}

/// The fields of a message whose last bytes may be missing. If the bytes are malformed, the iterator ends.
struct Fields<'a> {
    rest: &'a [u8],
}

/// A field of a message. The last field of the message may be incomplete.
struct Field<'a> {
    number: u32,
    payload: &'a [u8],
    is_complete: bool,
}

/// Reads the first bytes of an item in a list.
///
/// ```
/// // Field 1, metadata, of 100 bytes, of which only field 1, the name, has arrived.
/// let start = kube_protobuf::item_start(b"\x0a\x64\x0a\x01a");
/// assert_eq!(start.name, "a");
/// ```
#[must_use]
pub fn item_start(start: &[u8]) -> ObjectStart<'_> {
    let mut found = ObjectStart::default();
    found.read_object(start);
    found
}

/// Reads the first bytes of an event in a watch.
#[must_use]
pub fn event_start(start: &[u8]) -> ObjectStart<'_> {
    let mut found = ObjectStart::default();
    let object = field(start, 2).and_then(|extension| {
        let envelope = field(extension, 1)?;
        field(envelope.strip_prefix(&PREFIX)?, 2)
    });
    if let Some(object) = object {
        found.read_object(object);
    }
    let kind = Fields::of(start).find(|field| field.number == 1);
    found.event = kind.and_then(|kind| kind.text()).unwrap_or_default();
    found
}

/// Returns the payload of the first field with this number. This payload may be incomplete.
fn field(message: &[u8], number: u32) -> Option<&[u8]> {
    let mut fields = Fields::of(message);
    let found = fields.find(|field| field.number == number);
    found.map(|field| field.payload)
}

// === impl ObjectStart ===

impl<'a> ObjectStart<'a> {
    fn read_object(&mut self, object: &'a [u8]) {
        // In every kind, field 1 is the metadata.
        let metadata = Fields::of(object).filter(|field| field.number == 1);
        for field in metadata.flat_map(|metadata| Fields::of(metadata.payload)) {
            // The numbers are the field numbers in `ObjectMeta`.
            let place = match field.number {
                1 => &mut self.name,
                3 => &mut self.namespace,
                6 => &mut self.resource_version,
                _ => continue,
            };
            *place = field.text().unwrap_or_default();
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (start, after) = RecordStart::take(self.rest).ok()?;
        let length = usize::try_from(start.length).unwrap_or(usize::MAX);
        let complete = after.split_at_checked(length);
        let (payload, rest) = complete.unwrap_or((after, &[]));
        self.rest = rest;
        Some(Field {
            number: start.number,
            payload,
            is_complete: complete.is_some(),
        })
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    /// The text of the field, if all its bytes are available.
    fn text(&self) -> Option<&'a str> {
        let text = std::str::from_utf8(self.payload);
        text.ok().filter(|_| self.is_complete)
    }
}
