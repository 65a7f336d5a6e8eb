//! Decodes JSON or protobuf to a typed object, and skips the fields that no enabled family reads.
//!
//! The decoder wraps any [`serde::Deserializer`], and passes only the wanted fields to the type of the object. All
//! other fields are neither stored nor copied.
//!
//! Like API clients, the decoder treats `null` as an absent field. A time may have every notation of [RFC
//! 3339](https://www.rfc-editor.org/rfc/rfc3339) that the API server accepts. A quantity may be a number without
//! quotes.

mod adapter;
mod encoded;
mod fields;
mod fingerprint;
mod groups;
mod json;
#[cfg(feature = "protobuf")]
mod protobuf;
mod reason;
mod scan;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) use encoded::{Encoded, Encoding};
pub(crate) use fields::Fields;
#[cfg(feature = "custom-resources")]
pub(crate) use fields::ITEMS;
pub(crate) use fingerprint::{Fingerprints, GroupSet, MAX_GROUPS, random};
pub(crate) use groups::{Dependency, FieldGroups};
#[cfg(feature = "manifests")]
pub(crate) use json::without_position;
pub use reason::DecodeReason;
pub(crate) use scan::{Scanned, Scanner};

use crate::errors::{debug_is_display, shortened};
use reason::Problem;

/// An object that could not be decoded. The error names the object, if its name can be read.
///
/// The message never repeats a value of the object, because the value may be secret.
///
/// ```
/// use kube_state_metrics::store::DecodeReason;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).all_fed_by_host().build()?;
/// let mut pods = metrics.feeds().remove(0);
/// let json = br#"{ "metadata": { "name": "cart", "namespace": "shop" }, "spec": { "nodeName": 1 } }"#;
/// let error = pods.apply_json(json).unwrap_err();
/// assert_eq!(error.reason(), DecodeReason::Field);
/// assert_eq!(error.object(), "shop/cart");
/// assert_eq!(error.identity(), Some(("shop", "cart")));
/// assert!(error.to_string().contains("expected a string at spec.nodeName"));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot decode {} {}: {}; the object yields no metrics until {}",
    details.kind, details.object, details.problem, details.cure
)]
pub struct DecodeError {
    // Errors are rare. The box keeps the size of each `Result` small.
    details: Box<Details>,
}

debug_is_display!(DecodeError);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: String,
    object: String,
    identity: Option<(String, String)>,
    reason: DecodeReason,
    problem: String,
    cure: &'static str,
}

impl DecodeError {
    /// The reason why the object could not be decoded.
    #[must_use]
    pub fn reason(&self) -> DecodeReason {
        self.details.reason
    }

    /// The object's `namespace/name`, or `name`, or `<unnamed>`; truncated after 1 KiB.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.details.object
    }

    /// Returns the namespace (empty for cluster-scoped kinds) and name, if they are readable.
    #[must_use]
    pub fn identity(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.details.identity.as_ref()?;
        Some((namespace, name))
    }

    /// Creates the error for a panic in the `Deserialize` implementation of the type.
    fn panicked(kind: &str, object: Encoded<'_>) -> Self {
        let text = String::from("the type's decoder panicked");
        Self::new(kind, object, Problem::new(DecodeReason::Field, text))
    }

    /// The error for an object in protobuf, if its kind has no protobuf encoding.
    #[cfg(feature = "protobuf")]
    pub(crate) fn no_protobuf(kind: &str) -> Self {
        let text = String::from("the kind has no protobuf encoding; pass JSON");
        Self::of(kind, None, Problem::new(DecodeReason::Syntax, text))
    }

    fn new(kind: &str, object: Encoded<'_>, problem: Problem) -> Self {
        Self::of(kind, identity_of(object), problem)
    }

    fn of(kind: &str, identity: Option<(String, String)>, problem: Problem) -> Self {
        let named = identity.as_ref();
        let object = object_name(named.map(|(namespace, name)| (&**namespace, &**name)));
        let details = Details {
            kind: kind.to_owned(),
            object: shortened(object),
            identity,
            reason: problem.reason,
            problem: shortened(problem.text),
            cure: problem.cure,
        };
        Self {
            details: Box::new(details),
        }
    }
}

/// Decodes one object of `kind`, and keeps only `fields`.
pub(crate) fn decode<K: DeserializeOwned>(
    kind: &str,
    object: Encoded<'_>,
    fields: &Fields,
) -> Result<K, DecodeError> {
    // The `Deserialize` of a type may panic. A panic must affect only one object, not the feed.
    let decoded = catch_unwind(AssertUnwindSafe(|| object.decode(fields)));
    match decoded {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(problem)) => Err(DecodeError::new(kind, object, problem)),
        Err(_) => Err(DecodeError::panicked(kind, object)),
    }
}

/// The identity of an object, as [`peek`] reads it.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Peeked {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// Reads only the identity of an object, at a fraction of the cost of decoding it.
pub(crate) fn peek(object: Encoded<'_>) -> Option<Peeked> {
    object.metadata()
}

/// The name of an object in messages. The namespace may be empty.
pub(crate) fn object_name(identity: Option<(&str, &str)>) -> String {
    match identity {
        None => String::from("<unnamed>"),
        Some(("", name)) => name.to_owned(),
        Some((namespace, name)) => format!("{namespace}/{name}"),
    }
}

/// The namespace and name of an object that cannot be decoded as its kind.
fn identity_of(object: Encoded<'_>) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Metadata {
        namespace: Option<String>,
        name: String,
    }
    let Metadata { namespace, name } = object.metadata()?;
    Some((namespace.unwrap_or_default(), name))
}

#[cfg(test)]
mod tests;
