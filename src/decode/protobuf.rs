//! Decodes objects in protobuf, and describes why an object cannot be decoded.

use kube_protobuf::{Envelope, Error, Malformed, Message, Object, PREFIX};
use serde::de::DeserializeOwned;

use super::adapter::{Adapter, Wanted};
use super::fields::{Fields, is_header};
use super::reason::{DecodeReason, Problem};

/// Decodes an object, and keeps only `fields`.
pub(super) fn decode<K: DeserializeOwned>(
    message: &'static Message,
    bytes: &[u8],
    fields: &Fields,
) -> Result<K, Problem> {
    object(message, bytes)
        .map_err(Error::from)
        .and_then(|object| {
            object.read(|value| K::deserialize(Adapter::of_object(value, Wanted::of(fields))))
        })
        .map_err(|error| problem(&error))
}

/// Returns the object in `bytes`, which may have an envelope.
///
/// An object without an envelope never begins with the bytes of [`PREFIX`]. In protobuf, these bytes would start a
/// field of the type *group*, which Kubernetes does not use.
pub(super) fn object<'a>(
    message: &'static Message,
    bytes: &'a [u8],
) -> Result<Object<'a>, Malformed> {
    if bytes.starts_with(&PREFIX) {
        return Ok(Envelope::parse(bytes)?.object_as(message));
    }
    Ok(Object::new(message, bytes))
}

fn problem(error: &Error) -> Problem {
    let problem = if error.is_data() {
        Problem::of_message(&error.problem())
    } else {
        let text = format!("not valid protobuf: {}", error.problem());
        Problem::new(DecodeReason::Syntax, text)
    };
    problem.at(&error.path())
}

// === impl Fields ===

impl Fields {
    /// Whether a message has all fields that the families read. If the families read the whole object, the result is
    /// true, because the message has all fields that the types of this crate have.
    pub(crate) fn are_in(&self, message: &'static Message) -> bool {
        let mut paths = self.paths().into_iter();
        paths.all(|path| is_header(&path) || message.contains(path))
    }

    /// Whether the families read only values that have no fields below them, such as texts, numbers and lists of
    /// numbers. Such values cannot get fields in a newer version of the API, because only messages have fields.
    pub(crate) fn are_values_of(&self, message: &'static Message) -> bool {
        let mut paths = self.paths().into_iter();
        paths.all(|path| is_header(&path) || message.contains_value(path))
    }
}
