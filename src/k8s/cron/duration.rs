//! Durations in the notation of Go, such as `1h30m`, which [`time.ParseDuration`] defines.
//!
//! [`time.ParseDuration`]: https://pkg.go.dev/time#ParseDuration

const SECOND: u64 = 1_000_000_000;

/// The whole seconds of a duration. Returns `None` if the text is not a duration, or if the duration is negative or
/// longer than 292 years (2^63 nanoseconds).
pub(super) fn whole_seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0_u64;
    loop {
        let (amount, tail) = take_amount(rest)?;
        nanos = nanos
            .checked_add(amount)
            .filter(|&nanos| i64::try_from(nanos).is_ok())?;
        if tail.is_empty() {
            return i64::try_from(nanos / SECOND).ok();
        }
        rest = tail;
    }
}

/// Parses the first number and its unit, such as `1h`. Returns the amount in nanoseconds, and the rest of the text.
fn take_amount(text: &str) -> Option<(u64, &str)> {
    let (integer, rest) = split_at(text, |c| !c.is_ascii_digit());
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_at(rest, |c| !c.is_ascii_digit()),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = split_at(rest, |c| c == '.' || c.is_ascii_digit());
    let unit = match unit {
        "ns" => 1,
        // For microseconds, Go accepts both the micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return None,
    };
    let integer = if integer.is_empty() {
        0
    } else {
        integer.parse::<u64>().ok()?
    };
    Some((
        integer
            .checked_mul(unit)?
            .checked_add(part_of(fraction, unit))?,
        rest,
    ))
}

/// Converts a decimal fraction of a unit to nanoseconds, rounded down. `fraction` contains the digits after the point,
/// and `unit` is the length of the unit in nanoseconds.
fn part_of(fraction: &str, unit: u64) -> u64 {
    // The digits after these 15 stand for less than a nanosecond, even if the unit is an hour.
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
    use proptest::prelude::*;

    #[test]
    fn durations_add_up() {
        for (text, seconds) in [
            ("0", 0),
            ("+0", 0),
            ("1s", 1),
            ("1.999s", 1),
            ("999999999ns", 0),
            ("1000000us", 1),
            ("1000000µs", 1),
            ("1000000μs", 1),
            ("2000ms", 2),
            ("1h30m", 5_400),
            ("1h30m15s", 5_415),
            ("90m", 5_400),
            (".5h", 1_800),
            ("0.5m", 30),
            ("1.h", 3_600),
            ("+1m", 60),
            ("1m1m", 120),
            ("500ms500ms", 1),
            ("0.33333333333333333333h", 1_199),
            ("2562047h47m16s", 9_223_372_036),
            ("2562047h47m16.854775807s", 9_223_372_036),
        ] {
            assert_eq!(whole_seconds(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_durations() {
        for text in [
            "",
            "+",
            "-",
            "60",
            "1",
            "00",
            "s",
            ".",
            ".s",
            "-1h",
            "-0",
            "1 h",
            " 1h",
            "1h ",
            "1x",
            "1d",
            "1H",
            "1hm",
            "1..5s",
            "1e3s",
            "++1s",
            "1s+1s",
            "2562048h",
            "2562047h47m16.854775808s",
            "99999999999999999999s",
            "18446744073709551615h",
            "1h\n",
            "１s",
        ] {
            assert_eq!(whole_seconds(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn printed_durations_read_back(h in 0..100_000_i64, m in 0..1000_i64, s in 0..1000_i64) {
            prop_assert_eq!(whole_seconds(&format!("{h}h{m}m{s}s")), Some(h * 3600 + m * 60 + s));
        }

        #[test]
        fn any_text_is_harmless(text in "[0-9.nuµmsh+-]{0,30}|\\PC*") {
            prop_assert!(whole_seconds(&text).is_none_or(|seconds| seconds >= 0));
        }
    }
}
