//! [`DecodeReason`]: the reason why an object could not be decoded.

/// The reason why an object cannot be decoded.
///
/// ```
/// use kube_state_metrics::store::DecodeReason;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).all_fed_by_host().build()?;
/// let mut pods = metrics.feeds().remove(0);
/// let error = pods.apply_json(b"{ \"metadata\": ").unwrap_err();
/// assert_eq!(error.reason(), DecodeReason::Syntax);
/// assert_eq!(error.reason().as_str(), "syntax");
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeReason {
    /// The bytes are not valid JSON or protobuf, or some bytes at the end are missing.
    Syntax,
    /// A field is missing, or the kind of the object does not allow the type or the value of a field. Also, a text that
    /// families read is not valid Unicode.
    Field,
}

/// A description of the reason why bytes cannot be decoded. The text contains no value from the object.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) reason: DecodeReason,
    pub(super) text: String,
    /// What solves the problem, as the end of the sentence "the object yields no metrics until ...".
    pub(super) cure: &'static str,
    /// Whether the object has only metadata.
    pub(super) is_only_metadata: bool,
}

/// The kind of objects that contain only metadata.
pub(crate) const PARTIAL: &str = "PartialObjectMetadata";
/// The message of the deserializer for an object of the kind [`PARTIAL`].
pub(super) const ONLY_METADATA: &str = "an object with only its metadata";

/// The solution if a value or the syntax of an object is invalid.
const CORRECTED: &str = "it is corrected";
/// The solution if an object has only metadata.
const WHOLE: &str = "its source sends the whole object";
/// The solution if an object lacks a field that its Rust type requires. Often, the mistake is in the Rust type, not in
/// the object.
const HAS_FIELD: &str = "it has the field. If the field has another name in the type than in the API, rename the field \
    with serde (`rename_all = \"camelCase\"`). If objects may lack the field, make it an `Option`";

impl DecodeReason {
    /// The reason as a word for metrics and logs: `syntax` or `field`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Field => "field",
        }
    }
}

// === impl Problem ===

impl Problem {
    /// Creates a problem. The solution is to correct the object.
    pub(super) fn new(reason: DecodeReason, text: String) -> Self {
        Self {
            reason,
            text,
            cure: CORRECTED,
            is_only_metadata: false,
        }
    }

    /// Creates the problem of an object that has only metadata.
    pub(super) fn only_metadata() -> Self {
        let text = format!("the object has only metadata, because its kind is `{PARTIAL}`");
        Self {
            cure: WHOLE,
            is_only_metadata: true,
            ..Self::new(DecodeReason::Field, text)
        }
    }

    /// Creates a problem from the message of a deserializer.
    ///
    /// A message of serde starts with the invalid value, and ends with the expected type. The value can be secret, so
    /// only the end of the message is repeated. The name of a missing field is also repeated, because it comes from the
    /// type, not from the object.
    pub(super) fn of_message(message: &str) -> Self {
        let reason = DecodeReason::Field;
        if let Some((_, expected)) = message.rsplit_once(", expected ") {
            return Self::new(reason, format!("expected {}", in_json_terms(expected)));
        }
        match missing_field(message) {
            Some(field) => Self {
                reason,
                text: format!("missing field `{field}`"),
                cure: HAS_FIELD,
                is_only_metadata: false,
            },
            None => Self::new(reason, String::from("invalid value")),
        }
    }

    /// If the path is not empty, adds the path of the field to the text.
    pub(super) fn at(mut self, path: &str) -> Self {
        if !path.is_empty() {
            self.text = format!("{} at {path}", self.text);
        }
        self
    }
}

/// If the message only states that a field is missing, returns the name of the field.
fn missing_field(message: &str) -> Option<&str> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte);
    (name.len() <= 64 && name.bytes().all(is_name)).then_some(name)
}

/// Returns the expected type as a JSON type, because serde names a Rust type.
fn in_json_terms(expected: &str) -> &str {
    let is_type = || {
        let name = expected.strip_prefix("struct ").unwrap_or(expected);
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "IntOrString" => "an integer or a string",
        _ if is_type() => "a map",
        expected => expected,
    }
}
