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

/// Scans objects before they are decoded. A scan reads the identity of the object, and computes a hash (*fingerprint*)
/// for each group of fields.
#[derive(Debug)]
pub(crate) struct Scanner {
    groups: FieldGroups,
    /// The API version and the kind of all objects.
    header: [String; 2],
    /// The random key of the store for the hash function.
    seed: u64,
    #[cfg(feature = "protobuf")]
    wire: Option<wire::WireFields>,
}

/// The identity of an object, and the fingerprints of its groups of fields.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) uid: Cow<'a, str>,
    pub(crate) resource_version: Cow<'a, str>,
    pub(crate) fingerprints: Fingerprints,
    /// The JSON texts of the fields in the groups. `None` if the object is protobuf, or if families may also read
    /// fields outside the groups.
    parts: Option<JsonParts<'a>>,
}

// === impl Scanner ===

impl Scanner {
    /// Creates a scanner for the objects of a kind. `message` describes the fields of the kind in protobuf.
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

    /// Reads an object. Returns `None` if the object is malformed or unusual (for example, if its metadata occurs
    /// twice). The caller must then decode the whole object.
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
    /// Decodes the object, but only its fields in `fields`. The decoder reads only the texts that the scan has found.
    ///
    /// Returns `None` if the scan has found no texts, or if they cannot be decoded. The caller must then decode all
    /// bytes of the object, so that an error message contains the position.
    pub(crate) fn decode_parts<K: DeserializeOwned>(&self, fields: &Fields) -> Option<K> {
        let parts = self.parts.as_ref()?;
        // The `Deserialize` implementation of a type may panic. After a panic, the caller decodes the object again and
        // reports the panic.
        catch_unwind(AssertUnwindSafe(|| parts.decode(fields))).ok()?
    }
}

#[cfg(test)]
mod tests;
