//! Decodes JSON or protobuf to a typed object. Fields that no enabled family reads are skipped.
//!
//! The decoder wraps a [`serde::Deserializer`]. It passes only the *wanted* fields, which an enabled family reads, to
//! the type of the object. All other fields are not stored and not copied.
//!
//! The decoder treats `null` as an absent field, as API clients do. A time may have any notation of [RFC
//! 3339](https://www.rfc-editor.org/rfc/rfc3339) that the API server accepts. A quantity may be a JSON number instead
//! of a string.

mod adapter;
mod encoded;
mod fields;
mod fingerprint;
mod groups;
mod json;
#[cfg(feature = "watch")]
mod json_parts;
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
#[cfg(feature = "watch")]
pub(crate) use json_parts::{json_fields, json_items, json_text};
pub use reason::DecodeReason;
#[cfg(feature = "watch")]
pub(crate) use reason::PARTIAL;
pub(crate) use scan::{Scanned, Scanner};

use crate::errors::{debug_is_display, shortened};
use reason::Problem;

/// The error of an object that cannot be decoded. If the name of the object can be read, the error contains this name.
///
/// The message contains no value from the object, because such a value can be secret.
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
    // Errors are rare. The box keeps each `Result` with this error small.
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
    is_only_metadata: bool,
}

impl DecodeError {
    /// The reason why the object cannot be decoded.
    #[must_use]
    pub fn reason(&self) -> DecodeReason {
        self.details.reason
    }

    /// The `namespace/name` of the object, its `name`, or `<unnamed>`. A text of more than 1 KiB is truncated.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.details.object
    }

    /// Returns the namespace and the name of the object; `None` if they cannot be read. For cluster-scoped kinds, the
    /// namespace is empty.
    #[must_use]
    pub fn identity(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.details.identity.as_ref()?;
        Some((namespace, name))
    }

    /// Whether the object has only metadata, although the source needs whole objects. Such an object does not show how
    /// the fields have changed, so an earlier version of the object stays in the stores.
    pub(crate) fn is_only_metadata(&self) -> bool {
        self.details.is_only_metadata
    }

    /// Creates the error for a panic in the `Deserialize` implementation of the object's type.
    fn panicked(kind: &str, object: Encoded<'_>) -> Self {
        let text = String::from("the type's decoder panicked");
        Self::new(kind, object, Problem::new(DecodeReason::Field, text))
    }

    /// Creates the error for a protobuf object whose kind has no protobuf encoding.
    #[cfg(feature = "protobuf")]
    pub(crate) fn no_protobuf(kind: &str) -> Self {
        let text = String::from("the kind has no protobuf encoding; pass JSON");
        Self::of(kind, None, Problem::new(DecodeReason::Syntax, text))
    }

    /// Creates the error for an object without a name.
    pub(crate) fn unnamed(kind: &str) -> Self {
        let text = String::from("it has no metadata.name");
        Self::of(kind, None, Problem::new(DecodeReason::Field, text))
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
            is_only_metadata: problem.is_only_metadata,
        };
        Self {
            details: Box::new(details),
        }
    }
}

/// Decodes one object of `kind`, but only its fields in `fields`.
pub(crate) fn decode<K: DeserializeOwned>(
    kind: &str,
    object: Encoded<'_>,
    fields: &Fields,
) -> Result<K, DecodeError> {
    // The `Deserialize` implementation of a type may panic. Such a panic must affect only this object, not the feed.
    let decoded = catch_unwind(AssertUnwindSafe(|| object.decode(fields)));
    match decoded {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(problem)) => Err(DecodeError::new(kind, object, problem)),
        Err(_) => Err(DecodeError::panicked(kind, object)),
    }
}

/// The identity of an object, which [`peek`] reads.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Peeked {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// Reads only the identity of an object. This takes much less time than decoding the object.
pub(crate) fn peek(object: Encoded<'_>) -> Option<Peeked> {
    object.metadata()
}

/// Returns the name of an object for messages. For cluster-scoped objects, the namespace is empty.
pub(crate) fn object_name(identity: Option<(&str, &str)>) -> String {
    match identity {
        None => String::from("<unnamed>"),
        Some(("", name)) => name.to_owned(),
        Some((namespace, name)) => format!("{namespace}/{name}"),
    }
}

/// Reads the namespace and the name of an object that cannot be decoded as its kind.
fn identity_of(object: Encoded<'_>) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Metadata {
        namespace: Option<String>,
        name: String,
    }
    let Metadata { namespace, name } = object.metadata()?;
    (!name.is_empty()).then(|| (namespace.unwrap_or_default(), name))
}

#[cfg(test)]
mod tests;
