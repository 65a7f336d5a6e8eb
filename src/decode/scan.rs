//! [`Scanner`]: finds out what has changed in an object before the object is decoded.

mod identity;
mod json;
mod parts;
#[cfg(feature = "protobuf")]
mod wire;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(feature = "protobuf")]
use kube_protobuf::Message;
use serde::de::DeserializeOwned;

use super::encoded::{Encoded, Encoding};
use super::fields::Fields;
use super::fingerprint::{self, Fingerprints, GroupHashers};
use super::groups::FieldGroups;
use parts::JsonParts;

/// Reads the identity of an object and computes the fingerprints of its groups of fields, without decoding the object.
#[derive(Debug)]
pub(crate) struct Scanner {
    groups: FieldGroups,
    /// The API version and the kind of the objects.
    header: [String; 2],
    /// The random key of the store.
    seed: u64,
    #[cfg(feature = "protobuf")]
    wire: Option<wire::WireFields>,
}

/// The identity and the fingerprints of an object.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) uid: Cow<'a, str>,
    pub(crate) resource_version: Cow<'a, str>,
    pub(crate) fingerprints: Fingerprints,
    /// The fields that families read, in JSON. `None` if the object is in protobuf, or if families may read other
    /// fields.
    parts: Option<JsonParts<'a>>,
}

// === impl Scanner ===

impl Scanner {
    /// Creates a scanner of the objects of a kind. `message` has the fields of the kind in protobuf.
    pub(crate) fn new(
        groups: FieldGroups,
        header: [String; 2],
        #[cfg(feature = "protobuf")] message: Option<&'static Message>,
    ) -> Self {
        Self {
            #[cfg(feature = "protobuf")]
            wire: message.and_then(|message| wire::WireFields::new(&groups, message)),
            groups,
            header,
            seed: fingerprint::random(),
        }
    }

    pub(crate) fn groups(&self) -> &FieldGroups {
        &self.groups
    }

    /// Reads an object. `None` if the object must be decoded as a whole, because it is malformed or unusual (for
    /// example, its metadata occurs twice).
    pub(crate) fn scan<'a>(&self, object: Encoded<'a>) -> Option<Scanned<'a>> {
        let mut hashers = GroupHashers::new(self.seed);
        let (identity, parts) = match object.encoding() {
            Encoding::Json => {
                let (identity, parts) =
                    json::scan(&self.groups, &self.header, object.bytes(), &mut hashers)?;
                let parts = Some(parts).filter(|_| self.groups.has_all_fields());
                (identity, parts)
            }
            #[cfg(feature = "protobuf")]
            Encoding::Protobuf(message) => {
                let wire = self.wire.as_ref()?;
                let identity =
                    wire::scan(wire, &self.header, message, object.bytes(), &mut hashers)?;
                (identity, None)
            }
        };
        let name = identity.name.filter(|name| !name.is_empty())?;
        Some(Scanned {
            namespace: identity.namespace.unwrap_or_default(),
            name,
            uid: identity.uid.unwrap_or_default(),
            resource_version: identity.resource_version.unwrap_or_default(),
            fingerprints: hashers.finish(),
            parts,
        })
    }
}

// === impl Scanned ===

impl Scanned<'_> {
    /// Decodes the object from the parts that the scan has found, and keeps only `fields`.
    ///
    /// Returns `None` if the scan has found no parts, or if the parts cannot be decoded. The caller must then decode
    /// the bytes of the object, so that an error has a position.
    pub(crate) fn decode_parts<K: DeserializeOwned>(&self, fields: &Fields) -> Option<K> {
        let parts = self.parts.as_ref()?;
        // The `Deserialize` of a type may panic. In this case, the caller decodes the object again and reports the
        // panic.
        catch_unwind(AssertUnwindSafe(|| parts.decode(fields))).ok()?
    }
}

#[cfg(test)]
mod tests;
