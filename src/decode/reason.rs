//! [`DecodeReason`]: the reason why an object could not be decoded.

/// The reason why an object could not be decoded.
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
    /// The bytes are neither JSON nor protobuf, or end too early.
    Syntax,
    /// A field is missing, or has a type or a value that the kind of the object does not allow.
    Field,
}

/// The reason why bytes cannot be decoded. It contains no value of the object.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) reason: DecodeReason,
    pub(super) text: String,
    /// The solution, which ends the sentence "the object yields no metrics until ...".
    pub(super) cure: &'static str,
}

/// The solution for an object with an invalid value or syntax.
const CORRECTED: &str = "it is corrected";
/// The solution for an object without a field that the type requires. Often, the mistake is in the Rust type and not in
/// the object.
const HAS_FIELD: &str = "it has the field. If the field has another name in the type than in the API, rename the field \
    with serde (`rename_all = \"camelCase\"`). If objects may lack the field, make it an `Option`";

impl DecodeReason {
    /// The word for the reason in metrics and logs: `syntax` or `field`.
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
    /// Creates a problem that is solved by correcting the object.
    pub(super) fn new(reason: DecodeReason, text: String) -> Self {
        Self {
            reason,
            text,
            cure: CORRECTED,
        }
    }

    /// The problem that a deserializer describes by `message`.
    ///
    /// A message of serde starts with the invalid value, and ends with the expected type. The value may be secret, so
    /// only the end of the message is repeated. The name of a missing field comes from the type and not from the
    /// object, so this name is repeated, too.
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
            },
            None => Self::new(reason, String::from("invalid value")),
        }
    }

    /// Adds the path of the field, if the path is not empty.
    pub(super) fn at(mut self, path: &str) -> Self {
        if !path.is_empty() {
            self.text = format!("{} at {path}", self.text);
        }
        self
    }
}

/// The name of the missing field, if the message states only that a field is missing.
fn missing_field(message: &str) -> Option<&str> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte);
    (name.len() <= 64 && name.bytes().all(is_name)).then_some(name)
}

/// The expected type as a JSON type, because the decoder names Rust types.
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
