//! Describes errors in a YAML text. A description is made only from the kind of the error and the expected type. It
//! does not contain the text, which may be secret.

use std::borrow::Cow;
use std::fmt;

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use crate::keys::{key_at, resembles};

/// An error in a YAML text, and its position. The description does not contain a value of the text, because the value
/// may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct YamlProblem {
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, counted from 1.
    pub column: u64,
    /// The key whose value has the error. `None` if no expected key is near the error.
    pub key: Option<String>,
    /// A description of the error, and how to fix it.
    pub reason: String,
}

/// Describes an error that a parser found in `text`. `keys` are the keys that the text may have.
///
/// ```
/// let text = "key_file: [secret]";
/// let error = serde_saphyr::from_str::<std::collections::BTreeMap<String, String>>(text);
/// let problem = config_file::yaml_problem(&error.unwrap_err(), text, &["key_file"]);
/// assert!(problem.to_string().starts_with("line 1, column 11: `key_file`: "));
/// assert!(!problem.to_string().contains("secret"));
/// ```
#[must_use]
pub fn yaml_problem(error: &Error, text: &str, keys: &[&str]) -> YamlProblem {
    let location = error.location();
    let line = location.map_or(1, |location| location.line());
    let column = location.map_or(1, |location| location.column());
    let names_key = matches!(
        error.without_snippet(),
        Error::SerdeUnknownField { .. } | Error::DuplicateMappingKey { .. }
    );
    let key = (!names_key).then(|| key_at(text, line, column, keys));
    YamlProblem {
        line,
        column,
        key: key.flatten().map(str::to_owned),
        reason: reason(error, keys),
    }
}

/// Removes empty YAML documents from the end of a text. Many programs ignore all documents after the first, so files
/// may end with `---`. For a YAML parser of one document, this would be an error.
///
/// ```
/// assert_eq!(config_file::without_empty_documents("a: 1\n---\n# nothing\n"), "a: 1\n");
/// assert_eq!(config_file::without_empty_documents("a: 1\n---\nb: 2\n"), "a: 1\n---\nb: 2\n");
/// ```
#[must_use]
pub fn without_empty_documents(text: &str) -> &str {
    let mut end = text.len();
    let mut at = text.len();
    for line in text.split_inclusive('\n').rev() {
        at -= line.len();
        let line = line.trim_end();
        let after = line.strip_prefix("---");
        let is_comment =
            |text: &str| text.starts_with([' ', '\t']) && text.trim_start().starts_with('#');
        if after.is_some_and(|after| after.is_empty() || is_comment(after)) {
            end = at;
        } else if !line.is_empty() && !line.trim_start().starts_with('#') {
            break;
        }
    }
    &text[..end]
}

// === impl YamlProblem ===

impl fmt::Display for YamlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for YamlProblem {}

/// Describes the name of a Rust type that an error contains. Returns other texts unchanged.
fn scalar(name: &str) -> Cow<'_, str> {
    let (signed, bits) = match name.split_at_checked(1) {
        Some((sign @ ("u" | "i"), bits)) => (sign == "i", bits),
        Some(("f", "32" | "64")) => return "a number".into(),
        _ if name == "bool" => return "true or false".into(),
        _ => return name.into(),
    };
    match bits
        .parse::<u32>()
        .ok()
        .filter(|bits| [8, 16, 32, 64].contains(bits))
    {
        Some(bits) if signed => {
            let half = 1_u128 << (bits - 1);
            format!("a whole number from -{half} to {}", half - 1).into()
        }
        Some(bits) => format!("a whole number from 0 to {}", (1_u128 << bits) - 1).into(),
        None if bits == "size" => "a whole number".into(),
        None => name.into(),
    }
}

/// Describes an error with fixed words, because the message of the parser may quote the text.
fn reason(error: &Error, keys: &[&str]) -> String {
    match error.without_snippet() {
        Error::SerdeInvalidType { expected, .. }
        | Error::SerdeInvalidValue { expected, .. }
        | Error::SerdeInvalidLength { expected, .. } => format!("expected {}", scalar(expected)),
        Error::Unexpected { expected, .. } => format!("expected {}", collection(expected)),
        Error::InvalidScalar { ty, .. } => format!("expected {}", scalar(ty)),
        Error::NullIntoString { .. } | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            "expected a string".to_owned()
        }
        Error::SerdeUnknownVariant { expected, .. } => {
            format!("expected one of {}", expected.join(", "))
        }
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let name = match resembles(field, expected) {
                true => format!("the key `{field}` does not exist"),
                false => "a key does not exist".to_owned(),
            };
            format!("{name}; the keys here are {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        Error::DuplicateMappingKey { key, .. } => {
            match key.as_deref().filter(|key| keys.contains(key)) {
                Some(key) => format!("the key `{key}` is given twice; remove one"),
                None => "a key is given twice; remove one".to_owned(),
            }
        }
        Error::UnknownAnchor { .. } => "an alias has no anchor".to_owned(),
        Error::Eof { .. } => "the text ends too early".to_owned(),
        Error::MultipleDocuments { .. } => {
            "there is more than one document; remove the others".to_owned()
        }
        Error::InvalidUtf8Input => "the text is not UTF-8".to_owned(),
        Error::Budget { breach, .. } => limit(breach).to_owned(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => ALIASES.to_owned(),
        Error::AliasError { error, .. } => reason(error, keys),
        Error::ExternalMessage { msg, .. } => syntax(msg).to_owned(),
        _ => NOT_YAML.to_owned(),
    }
}

const ALIASES: &str = "the aliases expand to too much data; write the values without aliases";

const NESTED: &str = "the text is nested too deeply; use fewer levels";

/// Describes the limit of the parser that a text has exceeded.
fn limit(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Depth { .. } => NESTED,
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::MergeKeys { .. } => ALIASES,
        _ => "the text has too many keys and values; remove those that are not needed",
    }
}

/// Returns the usual name of a YAML collection. `event` is the name that the parser uses.
fn collection(event: &str) -> &str {
    match event {
        "mapping start" => "a map",
        "sequence start" => "a list",
        other => other,
    }
}

const NOT_YAML: &str = "not valid YAML, or not the expected keys and types";

/// Returns the cause of a syntax error. The function searches the parser's message for words that show the cause. The
/// result does not contain the parser's message, because this message may quote a character of the text.
fn syntax(message: &str) -> &'static str {
    let causes = [
        ("recursion limit", NESTED),
        ("unclosed quote", "a quotation mark is not closed"),
        ("unclosed bracket", "a bracket or a brace is not closed"),
        ("tab", "a tab is not allowed here; indent with spaces"),
        (
            "quoted scalar",
            "a quotation mark is not closed, or an escape sequence in quotation marks is wrong",
        ),
        ("flow", "a bracket or a brace is not closed"),
        ("alias", "an alias has no anchor"),
        ("anchor", "an alias has no anchor"),
        (
            "tag",
            "a tag is not valid; a string that starts with `!` needs quotation marks",
        ),
        (
            "mapping values are not allowed",
            "a colon is not allowed here; use quotation marks or another indentation",
        ),
        ("expected key", "expected a key; check the indentation"),
        ("indentation", "the indentation is wrong"),
        ("simple key", "expected a colon after a key"),
    ];
    let cause = causes.iter().find(|(word, _)| message.contains(word));
    cause.map_or("not valid YAML", |(_, cause)| *cause)
}
