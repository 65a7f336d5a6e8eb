//! [`Object`]: the encoded bytes of an object, with the table that describes the fields of its kind.

use serde::de::DeserializeOwned;

use crate::canonical::rewritten;
use crate::error::Error;
use crate::schema::Type::Message as Nested;
use crate::schema::{Kind, Message, pointer};
use crate::tables::{KINDS, OBJECT_META};
use crate::value::Value;

/// The encoded bytes of an object, or of another message with a table.
///
/// ```
/// use kube_protobuf::{Object, message_of};
/// use serde_json::{Value, json};
///
/// // What a list has for a node: no envelope.
/// let bytes = [0x0a, 0x03, 0x0a, 0x01, b'a'];
/// let node = Object::new(message_of("v1", "Node").unwrap(), &bytes);
/// assert_eq!(node.to::<Value>()?, json!({ "metadata": { "name": "a" } }));
/// # Ok::<(), kube_protobuf::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    message: &'static Message,
    /// The API version and the kind. Both texts are empty if the object has no envelope.
    header: [&'a str; 2],
    raw: &'a [u8],
}

/// A table for objects of any kind. It contains only the metadata, which is field 1 of every kind.
pub static ANY_OBJECT: Message = Message {
    name: "Object",
    fields: &[pointer(1, "metadata", Nested(&OBJECT_META))],
};

/// Returns the table with the fields of a kind. Returns `None` if the kind has no table.
///
/// ```
/// let pod = kube_protobuf::message_of("v1", "Pod").unwrap();
/// assert!(pod.contains(["spec", "containers", "image"]));
/// assert!(!pod.contains_value(["spec", "containers"]));
/// assert!(kube_protobuf::message_of("example.com/v1", "Widget").is_none());
/// ```
#[must_use]
pub fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    let wanted = (api_version, kind);
    let found = KINDS.binary_search_by(|own: &Kind| (own.api_version, own.kind).cmp(&wanted));
    found
        .ok()
        .and_then(|at| KINDS.get(at))
        .map(|kind| kind.message)
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Creates an object from a message without an envelope. The items of a list have no envelope.
    #[must_use]
    pub fn new(message: &'static Message, raw: &'a [u8]) -> Self {
        Self {
            message,
            header: [""; 2],
            raw,
        }
    }

    pub(crate) fn with_header(self, header: [&'a str; 2]) -> Self {
        Self { header, ..self }
    }

    /// Returns the encoded bytes of the message.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Deserializes the object into a type.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are malformed, or if the type refuses a value.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.read(|value| T::deserialize(value))
    }

    /// Calls a function that deserializes the object.
    ///
    /// The fields of the object may be in an unusual order, or split into several pieces. In this case, this method
    /// rewrites the object, and calls the function a second time.
    ///
    /// # Errors
    ///
    /// Returns the error of the function, or an error if the object cannot be rewritten.
    pub fn read<T>(&self, mut read: impl FnMut(Value<'_>) -> Result<T, Error>) -> Result<T, Error> {
        match read(Value::object(self.message, self.header, self.raw)) {
            Err(error) if error.is_not_canonical() => {
                let raw = rewritten(self.message, self.raw)?;
                read(Value::object(self.message, self.header, &raw))
            }
            result => result,
        }
    }
}
