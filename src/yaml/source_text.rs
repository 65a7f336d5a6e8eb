//! Reads the scalars of a configuration: as their source text, as booleans or as integers.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Node, Scalar, Value};
use crate::k8s::decode_base64;

// === impl Node ===

impl Node {
    /// The source text of a scalar. For a scalar with the tag `!!binary`, the text is the decoded base64. For null, the
    /// text is empty. `None` for lists, maps and invalid base64.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        let Value::Scalar(scalar) = &self.value else {
            return None;
        };
        if self.is_null() {
            return Some(Cow::Borrowed(""));
        }
        if scalar.tag.core() == Some("binary") {
            let bytes = decode_base64(&scalar.text)?;
            return Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()));
        }
        Some(Cow::Borrowed(&scalar.text))
    }

    /// The type of the node, for error messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.tag.core() == Some("binary") => {
                "`!!binary` that is not base64"
            }
            Value::Scalar(scalar) if scalar.plain => "a string or a number",
            Value::Scalar(_) => "a string in quotes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The value of a key in a map. Merged maps are not searched.
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Node>> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let found = entries
            .iter()
            .find(|(own, _)| own.text().is_some_and(|own| own == key));
        found.map(|(_, value)| value)
    }
}

// === impl Scalar ===

impl Scalar {
    /// Reads a boolean by the rules of YAML 1.1. The words `true` and `false` must not be in quotes. Other words for
    /// booleans, such as `yes`, may be in quotes.
    pub(crate) fn flag(&self) -> Option<bool> {
        Some(match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => true,
            "false" | "False" | "FALSE" if self.plain => false,
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false,
            _ => return None,
        })
    }

    /// Reads a 32-bit integer in decimal, hexadecimal, octal or binary notation. Also reads a float and drops its
    /// fraction.
    pub(crate) fn integer(&self) -> Option<i32> {
        if !self.plain {
            return None;
        }
        let text = self.text.replace('_', "");
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        let radix = |prefix, radix| {
            let digits = digits.strip_prefix(prefix)?;
            i64::from_str_radix(digits, radix).ok()
        };
        let integer = radix("0x", 16)
            .or_else(|| radix("0o", 8))
            .or_else(|| radix("0b", 2))
            .or_else(|| radix("0", 8))
            .or_else(|| digits.parse().ok());
        let integer = match integer {
            Some(integer) if negative => -integer,
            Some(integer) => integer,
            None => {
                let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
                let float: f64 = text.parse().ok().filter(|_| starts)?;
                let cut = float.trunc();
                let in_range = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&cut);
                #[allow(clippy::cast_possible_truncation, reason = "in range")]
                in_range.then_some(cut as i64)?
            }
        };
        i32::try_from(integer).ok()
    }
}
