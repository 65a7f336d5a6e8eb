//! [`Encoded`]: the bytes of an object, as a source received them.

#[cfg(feature = "protobuf")]
use kube_protobuf::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fields::Fields;
use super::json;
#[cfg(feature = "protobuf")]
use super::protobuf;
use super::reason::Problem;

/// The encoding of an object: JSON or protobuf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Json,
    /// Protobuf. The bytes can start with an envelope, that is the header that Kubernetes adds. The `Message` describes
    /// the fields of the kind.
    #[cfg(feature = "protobuf")]
    Protobuf(&'static Message),
}

/// The bytes of an object, as the source has received them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a> {
    encoding: Encoding,
    bytes: &'a [u8],
}

// === impl Encoding ===

impl Encoding {
    /// Returns `bytes` as an object in this encoding.
    pub(crate) fn object(self, bytes: &[u8]) -> Encoded<'_> {
        let encoding = self;
        Encoded { encoding, bytes }
    }
}

// === impl Encoded ===

impl<'a> Encoded<'a> {
    pub(crate) fn encoding(self) -> Encoding {
        self.encoding
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Decodes the object, but only its fields in `fields`.
    pub(super) fn decode<K: DeserializeOwned>(self, fields: &Fields) -> Result<K, Problem> {
        match self.encoding {
            Encoding::Json => json::decode(self.bytes, fields),
            #[cfg(feature = "protobuf")]
            Encoding::Protobuf(message) => protobuf::decode(message, self.bytes, fields),
        }
    }

    /// Reads the metadata of an object. This also works for objects that cannot be decoded as their kind.
    pub(crate) fn metadata<T: DeserializeOwned>(self) -> Option<T> {
        #[derive(Deserialize)]
        struct Object<T> {
            metadata: T,
        }
        let object: Object<T> = match self.encoding {
            Encoding::Json => serde_json::from_slice(self.bytes).ok()?,
            #[cfg(feature = "protobuf")]
            Encoding::Protobuf(_) => {
                let message = &kube_protobuf::ANY_OBJECT;
                protobuf::object(message, self.bytes).ok()?.to().ok()?
            }
        };
        Some(object.metadata)
    }
}
