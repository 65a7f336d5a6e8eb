//! Decodes protobuf objects, and describes why an object cannot be decoded.

use kube_protobuf::{Envelope, Error, Malformed, Message, Object, PREFIX};
use serde::de::DeserializeOwned;

use super::adapter::{Adapter, Wanted};
use super::fields::{Fields, is_header};
use super::reason::{DecodeReason, PARTIAL, Problem};

/// Decodes an object, but only its fields in `fields`.
pub(super) fn decode<K: DeserializeOwned>(
    message: &'static Message,
    bytes: &[u8],
    fields: &Fields,
) -> Result<K, Problem> {
    if !fields.are_in_metadata()
        && bytes.starts_with(&PREFIX)
        && Envelope::parse(bytes).is_ok_and(|envelope| envelope.kind() == PARTIAL)
    {
        return Err(Problem::only_metadata());
    }
    object(message, bytes)
        .map_err(Error::from)
        .and_then(|object| {
            object.read(|value| K::deserialize(Adapter::of_object(value, Wanted::of(fields))))
        })
        .map_err(|error| problem(&error))
}

/// Returns the object in `bytes`. The bytes can start with an envelope, that is the header that Kubernetes adds.
///
/// The bytes of [`PREFIX`] mark an envelope. No object without an envelope starts with them. In protobuf, these bytes
/// would start a field of the type *group*, which Kubernetes does not use.
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
    /// Whether a protobuf message has all fields that families read. If families read the whole object, the result is
    /// true, because this crate's types have no field that the message lacks.
    pub(crate) fn are_in(&self, message: &'static Message) -> bool {
        let mut paths = self.paths().into_iter();
        paths.all(|path| is_header(&path) || message.contains(path))
    }

    /// Whether families read only values without fields, such as texts, numbers and lists of numbers. Only messages
    /// have fields, so a newer version of the API cannot add fields to the values.
    pub(crate) fn are_values_of(&self, message: &'static Message) -> bool {
        let mut paths = self.paths().into_iter();
        paths.all(|path| is_header(&path) || message.contains_value(path))
    }
}
