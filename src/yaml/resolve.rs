//! Finds the types of scalars (such as number, boolean or string) by the same rules as kubectl.
//!
//! kubectl converts YAML to JSON by the rules of [YAML 1.1](https://yaml.org/type/). However, kubectl does not support
//! numbers of base 60, and reads times as strings.

use std::borrow::Cow;

use super::{Scalar, Tag};
use crate::k8s::decode_base64;

/// The value of a scalar.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved<'n> {
    Null,
    Flag(bool),
    Integer(i64),
    /// An integer above the maximum of signed 64-bit integers.
    Unsigned(u64),
    /// A finite number.
    Float(f64),
    Text(Cow<'n, str>),
}

/// Why a scalar cannot be converted to a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("`{0}` is not a JSON number; put it in quotes if it is a string")]
    NotFinite(String),
    #[error("the value is not base64, which the tag `!!binary` needs")]
    Binary,
    #[error("the value does not have the type of its tag `!!{0}`; remove the tag")]
    Tag(String),
}

// === impl Scalar ===

impl Scalar {
    pub(super) fn resolve(&self) -> Result<Resolved<'_>, Unresolved> {
        let text = self.text.as_str();
        let as_text = Ok(Resolved::Text(Cow::Borrowed(text)));
        let tag = match &self.tag {
            Tag::None if self.plain => return plain(text),
            Tag::None | Tag::Other => return as_text,
            Tag::Core(tag) => &**tag,
        };
        let value = match tag {
            "binary" => {
                let bytes = decode_base64(text).ok_or(Unresolved::Binary)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Ok(Resolved::Text(Cow::Owned(text)));
            }
            "null" | "bool" | "int" | "float" => plain(text)?,
            _ => return as_text,
        };
        match (tag, value) {
            ("null", Resolved::Null) => Ok(Resolved::Null),
            ("bool", value @ Resolved::Flag(_)) => Ok(value),
            ("int", value @ (Resolved::Integer(_) | Resolved::Unsigned(_))) => Ok(value),
            (
                "float",
                value @ (Resolved::Integer(_) | Resolved::Unsigned(_) | Resolved::Float(_)),
            ) => Ok(value),
            _ => Err(Unresolved::Tag(tag.to_owned())),
        }
    }

    /// Returns the scalar as the key of an entry, or `None` if the scalar cannot be a key.
    pub(super) fn key(&self) -> Option<Cow<'_, str>> {
        match self.resolve() {
            Ok(value) => value.into_key(),
            // In JSON, a key is a string, so a key can also be an infinite number or NaN.
            Err(Unresolved::NotFinite(text)) => {
                let text = text.to_ascii_lowercase();
                Some(Cow::Owned(text.trim_start_matches('+').to_owned()))
            }
            Err(_) => None,
        }
    }
}

// === impl Resolved ===

impl<'n> Resolved<'n> {
    /// Returns the value as the key of an entry, or `None` if the value cannot be a key.
    fn into_key(self) -> Option<Cow<'n, str>> {
        Some(match self {
            Self::Null => return None,
            Self::Flag(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Unsigned(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(float_key(number)),
            Self::Text(text) => text,
        })
    }
}

/// Formats a float that is a key of a YAML map, in the same way as Go's `%g`. The text is the shortest one for the
/// 32-bit value. Small numbers, and numbers with more than six digits before the point, are written with an exponent.
#[allow(
    clippy::cast_possible_truncation,
    reason = "kubectl formats float keys as 32-bit values"
)]
fn float_key(number: f64) -> String {
    let number = number as f32;
    if number.is_infinite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}.inf");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..=5 => number.to_string(),
        exponent => format!(
            "{digits}e{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        ),
    }
}

/// The value of a plain scalar without a tag.
fn plain(text: &str) -> Result<Resolved<'_>, Unresolved> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" => Resolved::Flag(true),
        "true" | "True" | "TRUE" | "on" | "On" | "ON" => Resolved::Flag(true),
        "n" | "N" | "no" | "No" | "NO" => Resolved::Flag(false),
        "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Resolved::Flag(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Err(Unresolved::NotFinite(text.to_owned())),
        _ => number(text).unwrap_or(Resolved::Text(Cow::Borrowed(text))),
    })
}

fn number<'n>(text: &str) -> Option<Resolved<'n>> {
    match text.as_bytes().first()? {
        b'.' => separates_digits(text).then(|| float(&text.replace('_', "")))?,
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        _ => None,
    }
}

/// Whether each `_` in a string is between two digits.
fn separates_digits(text: &str) -> bool {
    let ends_with_digit = |part: &str| part.ends_with(|c: char| c.is_ascii_digit());
    let starts_with_digit = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    text.match_indices('_')
        .all(|(at, _)| ends_with_digit(&text[..at]) && starts_with_digit(&text[at + 1..]))
}

/// Parses an integer: decimal, or with one of the prefixes `0x`, `0o`, `0b` and `0` (octal).
fn integer<'n>(text: &str) -> Option<Resolved<'n>> {
    let (sign, digits) = match text.split_at_checked(1)? {
        (sign @ ("+" | "-"), digits) => (sign, digits),
        _ => ("", text),
    };
    let prefixed = |prefix: &str| {
        let (start, digits) = digits.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(digits)
    };
    let (radix, digits) = prefixed("0x")
        .map(|digits| (16, digits))
        .or_else(|| prefixed("0o").map(|digits| (8, digits)))
        .or_else(|| prefixed("0b").map(|digits| (2, digits)))
        .or_else(|| prefixed("0").map(|digits| (8, digits)))
        .filter(|(_, digits)| !digits.is_empty())
        .unwrap_or((10, digits));
    // This check is needed, because `from_str_radix` would accept a second sign.
    let is_digits = digits.chars().all(|digit| digit.is_digit(radix));
    let magnitude = u64::from_str_radix(digits, radix);
    let magnitude = magnitude.ok().filter(|_| is_digits)?;
    let number = match sign {
        "-" => 0_i64.checked_sub_unsigned(magnitude),
        _ => i64::try_from(magnitude).ok(),
    };
    match number {
        Some(number) => Some(Resolved::Integer(number)),
        None => sign.is_empty().then_some(Resolved::Unsigned(magnitude)),
    }
}

/// Parses a finite number that is not a 64-bit integer: a number with a point or an exponent, or with too many digits.
fn float<'n>(text: &str) -> Option<Resolved<'n>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts = unsigned.strip_prefix('.').unwrap_or(unsigned);
    // This check is needed, because Rust's parser also accepts words such as `inf`.
    let is_number = starts.starts_with(|c: char| c.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    number.is_finite().then_some(Resolved::Float(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Resolved<'_> {
        Resolved::Text(Cow::Borrowed(text))
    }

    #[test]
    fn plain_scalars_have_the_types_of_kubectl() {
        for word in "y Y yes Yes YES true True TRUE on On ON".split(' ') {
            assert_eq!(plain(word), Ok(Resolved::Flag(true)), "{word}");
        }
        for word in "n N no No NO false False FALSE off Off OFF".split(' ') {
            assert_eq!(plain(word), Ok(Resolved::Flag(false)), "{word}");
        }
        for word in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(word), Ok(Resolved::Null), "{word}");
        }
        for (word, number) in [
            ("0", 0),
            ("-0", 0),
            ("12", 12),
            ("+12", 12),
            ("-12", -12),
            ("1_000", 1000),
            ("0644", 420),
            ("-010", -8),
            ("0o17", 15),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0b101", 5),
            ("-0b101", -5),
            ("00", 0),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(plain(word), Ok(Resolved::Integer(number)), "{word}");
        }
        assert_eq!(
            plain("18446744073709551615"),
            Ok(Resolved::Unsigned(u64::MAX))
        );
        for (word, number) in [
            ("1.5", 1.5),
            ("1.", 1.0),
            (".5", 0.5),
            (".5_0", 0.5),
            ("-.5", -0.5),
            ("+.5", 0.5),
            ("1e3", 1000.0),
            ("1_0.5E-1", 1.05),
            ("089", 89.0),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-9223372036854775809", -9_223_372_036_854_775_809.0),
            ("+9223372036854775808", 9_223_372_036_854_775_808.0),
        ] {
            assert_eq!(plain(word), Ok(Resolved::Float(number)), "{word}");
        }
        for word in [
            "yEs",
            "tRUE",
            "nULL",
            "none",
            "x",
            "inf",
            "nan",
            "NaN",
            "infinity",
            "+inf",
            "-nan",
            "-",
            "+",
            ".",
            "..",
            "._5",
            ".1_",
            "--1",
            "+-1",
            "0x",
            "0xg",
            "0b2",
            "1e",
            "1e999",
            "100m",
            "1.2.3",
            "1:30",
            "10:30:00",
            "2024-01-31",
            "2024-01-31T12:00:00Z",
            "١",
        ] {
            assert_eq!(plain(word), Ok(text(word)), "{word}");
        }
        for word in [".nan", ".inf", "-.Inf", "+.INF"] {
            let wrong = Err(Unresolved::NotFinite(word.to_owned()));
            assert_eq!(plain(word), wrong, "{word}");
        }
    }

    #[test]
    fn quotes_and_tags_decide() {
        let scalar = |text: &str, plain, tag: &str| Scalar {
            text: text.to_owned(),
            plain,
            tag: match tag {
                "" => Tag::None,
                "other" => Tag::Other,
                tag => Tag::Core(tag.into()),
            },
        };
        for (word, is_plain, tag) in [
            ("yes", false, ""),
            ("1", false, ""),
            ("1", true, "str"),
            ("1", true, "other"),
            ("2024-01-31", true, "timestamp"),
        ] {
            let scalar = scalar(word, is_plain, tag);
            assert_eq!(scalar.resolve(), Ok(text(word)), "{word} {tag}");
        }
        for (word, tag, value) in [
            ("5", "int", Resolved::Integer(5)),
            ("5", "float", Resolved::Integer(5)),
            ("on", "bool", Resolved::Flag(true)),
            ("~", "null", Resolved::Null),
            ("aGk=", "binary", text("hi")),
        ] {
            assert_eq!(scalar(word, false, tag).resolve(), Ok(value), "{word}");
        }
        for tag in ["int", "bool", "null"] {
            let wrong = Err(Unresolved::Tag(tag.to_owned()));
            assert_eq!(scalar("1.5", true, tag).resolve(), wrong);
        }
        let wrong = scalar("?", true, "binary");
        assert_eq!(wrong.resolve(), Err(Unresolved::Binary));
    }
}
