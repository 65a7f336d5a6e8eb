//! Durations in [Go's notation](https://pkg.go.dev/time#ParseDuration), such as `1m30s`, which the
//! files and flags of exporters use.
//!
//! ```
//! use prometheus_web_config::duration;
//! use std::time::Duration;
//!
//! assert_eq!(duration::parse("1m30s"), Ok(Duration::from_secs(90)));
//! assert!(duration::parse("90").is_err());
//! ```

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// The reason why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// The text is not a sequence of numbers with units.
    #[error("is not a duration; give a number with a unit, such as `300ms`, `5s` or `1m30s`")]
    Syntax,
    /// The duration exceeds 2^63 nanoseconds, about 292 years.
    #[error("is longer than 292 years; give a shorter duration")]
    TooLong,
}

/// Parses a duration: `0`, or one or more decimal numbers, each with a unit (`ns`, `us`, `ms`, `s`, `m` or `h`).
///
/// The result for a negative duration is zero. The function ignores fractions of a nanosecond.
///
/// # Errors
///
/// Returns an error if the text is not a duration, or if the duration is longer than Go can represent. The error
/// message has no subject (for example, `is not a duration`), so the caller must write the text of the duration before
/// the message.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos = 0_u64;
    loop {
        let (amount, tail) = take_amount(rest)?;
        nanos = nanos
            .checked_add(amount)
            .filter(|nanos| i64::try_from(*nanos).is_ok())
            .ok_or(DurationError::TooLong)?;
        if tail.is_empty() {
            break;
        }
        rest = tail;
    }
    Ok(if negative {
        Duration::ZERO
    } else {
        Duration::from_nanos(nanos)
    })
}

/// Parses the first number of a text and the unit of this number. Returns the amount in nanoseconds, and the rest of
/// the text.
fn take_amount(text: &str) -> Result<(u64, &str), DurationError> {
    let (integer, rest) = split_at(text, |c| !c.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_at(rest, |c| !c.is_ascii_digit()),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return Err(DurationError::Syntax);
    }
    let (unit, rest) = split_at(rest, |c| c == '.' || c.is_ascii_digit());
    let unit = match unit {
        "ns" => 1,
        // Go accepts the micro sign (U+00B5) and the Greek letter (U+03BC).
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return Err(DurationError::Syntax),
    };
    let integer = match integer {
        "" => Some(0),
        digits => digits.parse::<u64>().ok(),
    };
    let whole = integer.and_then(|integer| integer.checked_mul(unit));
    let amount = whole.and_then(|whole| whole.checked_add(part_of(fraction, unit)));
    Ok((amount.ok_or(DurationError::TooLong)?, rest))
}

/// Converts the digits of a decimal fraction to nanoseconds, rounded down. `unit` is the unit in nanoseconds.
fn part_of(fraction: &str, unit: u64) -> u64 {
    // Maximum number of digits that the function reads. Further digits stand for less than a nanosecond, even if the
    // unit is an hour.
    const DIGITS: usize = 15;
    let (digits, power) = fraction
        .bytes()
        .take(DIGITS)
        .fold((0_u128, 1_u128), |(digits, power), byte| {
            (digits * 10 + u128::from(byte - b'0'), power * 10)
        });
    u64::try_from(digits * u128::from(unit) / power).unwrap_or(u64::MAX)
}

fn split_at(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.find(ends)
        .and_then(|end| text.split_at_checked(end))
        .unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let cases = [
            ("300ms", 300_000_000),
            ("5s", 5 * SECOND),
            ("1m30s", 90 * SECOND),
            ("1.5h", 5400 * SECOND),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("+2m", 120 * SECOND),
            ("100\u{b5}s", 100_000),
            ("0", 0),
            ("0s", 0),
            ("-5s", 0),
            ("-1h", 0),
            ("2562047h47m16.854775807s", i64::MAX as u64),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_cure() {
        for text in [
            "", "5", "s", "-", "+", ".", ".s", "5 s", "5x", "1m30", "1..5s", "1e3s", "-+5s",
            "\u{661}s",
        ] {
            assert_eq!(parse(text), Err(DurationError::Syntax), "{text}");
        }
        for text in ["99999999999999999h", "2562048h", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text}");
        }
    }
}
