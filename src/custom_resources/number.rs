//! Conversion of JSON values to sample values.

use serde_json::Value;

use crate::k8s::{Quantity, Timestamp};

/// Returns the number that a JSON value represents; `None` if the value is not a number.
///
/// Booleans are 1 or 0. `null`, lists and maps are not numbers. A string is a number if it has one of the following
/// formats. If several formats match, the first matching format in this list is used.
///
/// 1. a word: `true`, `yes`, `false`, `no` or `unknown`
/// 2. an RFC 3339 time, as Unix seconds
/// 3. a quantity
/// 4. a percentage, as a fraction of 1
/// 5. a float in the notation of Go's `strconv`
pub(super) fn to_number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text_to_number(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_to_number(text: &str) -> Option<f64> {
    const WORDS: [(&str, f64); 5] = [
        ("true", 1.0),
        ("yes", 1.0),
        ("false", 0.0),
        ("no", 0.0),
        ("unknown", 0.0),
    ];
    if let Some((_, value)) = WORDS
        .iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word))
    {
        return Some(*value);
    }
    if let Some(time) = Timestamp::parse(text) {
        #[allow(clippy::cast_precision_loss, reason = "seconds of four-digit years")]
        return Some(time.seconds as f64);
    }
    quantity(text)
        .or_else(|| percentage(text))
        .or_else(|| float(text))
}

/// Parses a quantity. Spaces before or after the quantity are not allowed. If the number is too large for a 64-bit
/// float, the result is infinite.
fn quantity(text: &str) -> Option<f64> {
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return None;
    }
    let quantity = Quantity::parse(text)?;
    let infinite = if text.starts_with('-') {
        f64::NEG_INFINITY
    } else {
        f64::INFINITY
    };
    Some(quantity.nearest().unwrap_or(infinite))
}

fn percentage(text: &str) -> Option<f64> {
    let digits = text.strip_suffix('%')?;
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: f64 = digits.parse().ok().filter(|_| decimal)?;
    Some(number / 100.0).filter(|value| value.is_finite())
}

/// Parses a floating-point number in the notation of Go. The notation allows underscores between digits, and
/// hexadecimal numbers with a binary exponent.
///
/// Source: [strconv.ParseFloat](https://pkg.go.dev/strconv#ParseFloat).
fn float(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "nan" => return (text.len() == 3).then_some(f64::NAN),
        "inf" | "infinity" => f64::INFINITY,
        _ => {
            let (is_hex, digits) = match lower.strip_prefix("0x") {
                Some(digits) => (true, digits),
                None => (false, lower.as_str()),
            };
            let plain = without_underscores(digits, is_hex)?;
            let value = if is_hex {
                hex_float(&plain)?
            } else {
                decimal_float(&plain)?
            };
            Some(value).filter(|value| value.is_finite())?
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Removes single underscores between digits. Before the first digit, an underscore is allowed only after a prefix such
/// as `0x`.
fn without_underscores(digits: &str, is_hex: bool) -> Option<String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || is_hex && byte.is_ascii_hexdigit();
    let mut before = is_hex;
    let mut bytes = digits.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'_' {
            let after = bytes.peek().is_some_and(|&next| is_digit(next));
            if !before || !after {
                return None;
            }
        }
        before = is_digit(byte);
    }
    Some(digits.replace('_', ""))
}

fn decimal_float(text: &str) -> Option<f64> {
    let known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-');
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse()
        .ok()
        .filter(|_| starts && text.bytes().all(known))
}

/// Parses a hexadecimal number of the form `h.hhhp±d`. The exponent is required.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i64::from(i32::MIN)
    } else {
        i64::from(i32::MAX)
    });
    // `bits` has up to 64 bits of the mantissa. The conversion to a float rounds it once, to 53 bits. For correct
    // rounding, the last bit is set if any of the dropped digits is not zero.
    let (mut bits, mut dropped, mut rest) = (0_u64, 0_i64, false);
    for digit in integer.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 58 == 0 {
            bits = bits << 4 | digit;
        } else {
            dropped += 4;
            rest |= digit != 0;
        }
    }
    bits |= u64::from(rest);
    let fraction_bits = i64::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let scale = exponent
        .saturating_add(dropped)
        .saturating_sub(fraction_bits);
    #[allow(clippy::cast_precision_loss, reason = "this is the rounding")]
    let value = bits as f64;
    // The scale is applied in four steps, so that no intermediate result is out of range.
    let scale = i32::try_from(scale.clamp(-3000, 3000)).ok()?;
    let half = scale / 2;
    let scaled = value * 2_f64.powi(half / 2) * 2_f64.powi(half - half / 2);
    let other = scale - half;
    Some(scaled * 2_f64.powi(other / 2) * 2_f64.powi(other - other / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_convert_as_documented() {
        for (value, number) in [
            (json!(true), 1.0),
            (json!(false), 0.0),
            (json!(3), 3.0),
            (json!(1.5), 1.5),
            (json!("YES"), 1.0),
            (json!("True"), 1.0),
            (json!("no"), 0.0),
            (json!("Unknown"), 0.0),
            (json!("2024-03-05T08:15:30.9Z"), 1_709_626_530.0),
            (json!("2024-03-05T8:15:30,5Z"), 1_709_626_530.0),
            (json!("0001-01-01T00:00:00Z"), -62_135_596_800.0),
            (json!("1969-12-31T23:59:58.5Z"), -2.0),
            (json!("0.3"), 0.3),
            (json!("700m"), 0.7),
            (json!("2.14159"), 2.141_59),
            (json!("1Ki"), 1024.0),
            (json!("1M"), 1e6),
            (json!("1m"), 0.001),
            (json!("m"), 0.0),
            (json!("-"), 0.0),
            (json!("1e3"), 1000.0),
            (json!("1e-10"), 1e-9),
            (json!("10Ei"), 11_529_215_046_068_469_760.0),
            (json!("1e400"), f64::INFINITY),
            (json!("-1e400"), f64::NEG_INFINITY),
            (json!("1e2147483648"), f64::INFINITY),
            (json!("1e-2147483648"), 1e-9),
            (json!("50%"), 0.5),
            (json!("0x1p4"), 16.0),
            (json!("0x_1.8p1"), 3.0),
            (json!("-0x1p-1"), -0.5),
            (json!("0x1p-1074"), 5e-324),
            (json!("1_000"), 1000.0),
            (json!("1_0.2_5"), 10.25),
            (json!("+Inf"), f64::INFINITY),
            (json!("-infinity"), f64::NEG_INFINITY),
        ] {
            assert_eq!(to_number(&value), Some(number), "{value}");
        }
        assert!(to_number(&json!("NaN")).unwrap().is_nan());
    }

    #[test]
    fn other_values_have_no_number() {
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!(""),
            json!("on"),
            json!("y"),
            json!("t"),
            json!("hello"),
            json!("5m30s"),
            json!("1h"),
            json!("v1.2"),
            json!("1,5"),
            json!(" 1"),
            json!("1 "),
            json!("2022-06-28"),
            json!("0x10"),
            json!("1K"),
            json!("12.5%"),
            json!("-5%"),
            json!("5 %"),
            json!("%"),
            json!("_1"),
            json!("1_"),
            json!("1__0"),
            json!("+nan"),
            json!("0xp1"),
            json!("0x1p"),
            json!("infin"),
            json!("\u{661}"),
        ] {
            assert_eq!(to_number(&value), None, "{value}");
        }
    }
}
