//! Points in time, in the notation of the Kubernetes API.
//!
//! The notation is [RFC 3339] with the rules of Go's `time` package, which the API server uses. The letters `T` and `Z`
//! must be capital letters. The hour may have one digit. A comma may replace the decimal point. The largest offset is
//! `+24:60`. There are no leap seconds. The typed objects contain `jiff` timestamps, but [`jiff`] has other rules.
//! Therefore, [`normalize_rfc3339`] converts a time to a notation that [`jiff`] accepts.
//!
//! [RFC 3339]: https://www.rfc-editor.org/rfc/rfc3339#section-5.6

use std::borrow::Cow;

use jiff::civil::Date;

/// A point in time, in seconds and nanoseconds from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    /// Whole seconds, rounded down.
    pub(crate) seconds: i64,
    /// Nanoseconds after `seconds`, below 10^9.
    pub(crate) nanos: u32,
}

/// The error for a string that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time; write one such as 2024-01-31T12:00:00Z")]
pub(crate) struct TimestampError {
    /// The invalid text.
    pub(crate) text: String,
}

/// Maximum number of digits of a fraction. Further digits are ignored.
const NANO_DIGITS: usize = 9;

/// The day of the Unix epoch.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// The last second that `jiff` supports, 9999-12-30T22:00:00Z.
const JIFF_LAST_SECOND: i64 = 253_402_207_200;

/// In the second [`JIFF_LAST_SECOND`], nanoseconds from this number on are not a fraction, but encode a whole second.
/// This number encodes [`JIFF_LAST_SECOND`] itself, the next number encodes the next second, and so on. With this
/// encoding, times are exact until the end of the year 9999, and keep their order.
const FIRST_CODE: u32 = 999_000_000;

/// The nanosecond that encodes the last possible second: 9999-12-31T23:59:59 with the offset -24:60.
const LAST_CODE: u32 = FIRST_CODE + 183_599;

impl Timestamp {
    /// Converts a time that a typed object contains. If the time encodes a second after [`JIFF_LAST_SECOND`], decodes
    /// it.
    pub(crate) fn of(time: &jiff::Timestamp) -> Self {
        let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
        let magnitude = nanos.unsigned_abs();
        if nanos < 0 {
            let (seconds, nanos) = (seconds - 1, 1_000_000_000 - magnitude);
            return Self { seconds, nanos };
        }
        if seconds == JIFF_LAST_SECOND && (FIRST_CODE..=LAST_CODE).contains(&magnitude) {
            let seconds = seconds + i64::from(magnitude - FIRST_CODE);
            return Self { seconds, nanos: 0 };
        }
        let nanos = magnitude;
        Self { seconds, nanos }
    }

    /// Converts the time to the form in which a typed object stores it. [`Self::of`] converts the stored time back.
    fn in_jiff(self) -> Self {
        let later = self.seconds.saturating_sub(JIFF_LAST_SECOND);
        match u32::try_from(later) {
            Err(_) => self,
            Ok(0) => Self {
                nanos: self.nanos.min(FIRST_CODE - 1),
                ..self
            },
            Ok(later) => Self {
                seconds: JIFF_LAST_SECOND,
                nanos: FIRST_CODE.saturating_add(later).min(LAST_CODE),
            },
        }
    }

    /// Parses a time in the notation of this module. The function does not allocate.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        read(text).map(|(timestamp, _)| timestamp)
    }

    /// Writes the time in UTC in the notation of `jiff`. A fraction has nine digits. Returns `None` for a time that
    /// `jiff` does not support.
    fn to_text(self) -> Option<String> {
        let nanos = i32::try_from(self.nanos).ok()?;
        let time = jiff::Timestamp::new(self.seconds, nanos).ok()?;
        Some(if nanos == 0 {
            time.to_string()
        } else {
            format!("{time:.9}")
        })
    }
}

/// Rewrites a time in a notation that [`jiff::Timestamp`] reads.
///
/// If the text has the usual notation `2024-01-31T12:00:00Z`, with or without a fraction, the result borrows the text.
/// For other notations, the function allocates. The last second that `jiff` supports is 26 hours before the end of the
/// year 9999. If the time is later, the result is this last second, and the nanoseconds of the result are the number of
/// further seconds. [`Timestamp::of`] computes the time from both.
///
/// # Errors
///
/// Returns an error if the text does not have the notation that this module describes, or contains a day that does not
/// exist.
pub(crate) fn normalize_rfc3339(text: &str) -> Result<Cow<'_, str>, TimestampError> {
    let normalized = match read(text) {
        Some((timestamp, true)) if timestamp == timestamp.in_jiff() => Some(Cow::Borrowed(text)),
        Some((timestamp, _)) => timestamp.in_jiff().to_text().map(Cow::Owned),
        None => None,
    };
    normalized.ok_or_else(|| TimestampError {
        text: text.to_owned(),
    })
}

/// Parses a time without an allocation. The boolean is true if `jiff` accepts the notation of the text.
fn read(text: &str) -> Option<(Timestamp, bool)> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b'-')?;
    let day = digits(&mut rest, 2)?;
    literal(&mut rest, b'T')?;
    let hour_is_short = rest.get(1) == Some(&b':');
    let hour = digits(&mut rest, if hour_is_short { 1 } else { 2 })?;
    literal(&mut rest, b':')?;
    let minute = digits(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let second = digits(&mut rest, 2)?;
    let (nanos, fraction_is_plain) = fraction(&mut rest)?;
    let (offset, offset_is_utc) = offset(&mut rest)?;
    if !rest.is_empty() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    // Compute with dates here, because `jiff::Timestamp` does not support the end of the year 9999.
    let days = date.duration_since(EPOCH);
    let second_of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let seconds = days.as_secs() + second_of_day - offset;
    Some((
        Timestamp { seconds, nanos },
        !hour_is_short && fraction_is_plain && offset_is_utc,
    ))
}

/// Parses a number of exactly `count` digits, at most four.
fn digits(rest: &mut &[u8], count: usize) -> Option<i16> {
    let (number, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    number.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i16::from(byte - b'0'))
    })
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[expected])?;
    Some(())
}

/// Parses the fraction of a second, if there is a fraction. Returns nanoseconds. The boolean is true if `jiff` accepts
/// the notation of the fraction.
fn fraction(rest: &mut &[u8]) -> Option<(u32, bool)> {
    let Some((mark @ (b'.' | b','), tail)) = rest.split_first() else {
        return Some((0, true));
    };
    let count = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let (fraction, tail) = tail.split_at_checked(count)?;
    *rest = tail;
    let padded = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(NANO_DIGITS);
    let nanos = padded.fold(0, |nanos, byte| nanos * 10 + u32::from(byte - b'0'));
    Some((nanos, *mark == b'.' && count <= NANO_DIGITS))
}

/// Parses the offset from UTC. Returns seconds, which are positive east of UTC. The boolean is true if the offset is
/// `Z`.
fn offset(rest: &mut &[u8]) -> Option<(i64, bool)> {
    let (sign, tail) = rest.split_first()?;
    *rest = tail;
    let sign = match sign {
        b'Z' => return Some((0, true)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(rest, 2)?;
    literal(rest, b':')?;
    let minutes = digits(rest, 2)?;
    (hours <= 24 && minutes <= 60).then(|| {
        (
            sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60),
            false,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<Timestamp> {
        read(text).map(|(timestamp, _)| timestamp)
    }

    #[test]
    fn reads_what_the_api_accepts() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2024-03-05T08:15:30Z", 1_709_626_530, 0),
            ("2024-02-29T00:00:00Z", 1_709_164_800, 0),
            ("1969-12-31T23:59:58.5Z", -2, 500_000_000),
            ("1970-01-01T00:00:05.999Z", 5, 999_000_000),
            ("1970-01-01T00:00:05,25Z", 5, 250_000_000),
            ("1970-01-01T00:00:05.1234567899Z", 5, 123_456_789),
            ("1970-01-01T3:04:05Z", 11_045, 0),
            ("1970-01-01T05:30:00+05:30", 0, 0),
            ("1969-12-31T19:00:00-05:00", 0, 0),
            ("1970-01-01T00:00:00-00:00", 0, 0),
            ("1970-01-02T00:00:00+24:00", 0, 0),
            ("1970-01-01T01:00:00+00:60", 0, 0),
            ("1970-01-02T01:00:00+24:60", 0, 0),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("0001-01-01T01:00:00+01:00", -62_135_596_800, 0),
            ("0000-01-01T00:00:00Z", -62_167_219_200, 0),
            ("0000-01-01T00:00:00+24:00", -62_167_305_600, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
            (
                "9999-12-31T23:59:59.999999999-24:60",
                253_402_390_799,
                999_999_999,
            ),
        ] {
            assert_eq!(parse(text), Some(Timestamp { seconds, nanos }), "{text}");
        }
    }

    #[test]
    fn refuses_what_the_api_refuses() {
        for text in [
            "",
            "2024-01-01",
            "2024-01-01 00:00:00Z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+0200",
            "2024-01-01T00:00:00+02",
            "2024-01-01T00:00:00+2:00",
            "2024-01-01T00:00:00+25:00",
            "2024-01-01T00:00:00+00:61",
            "2024-01-01T00:00:00+02:00Z",
            " 2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z ",
            "2024-01-01T00:00:00ZZ",
            "2024-01-01T00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00,Z",
            "2024-01-01T00:00:00.5.5Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T23:60:00Z",
            "2024-01-01T23:59:60Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "24-01-01T00:00:00Z",
            "02024-01-01T00:00:00Z",
            "+2024-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "2024-1-01T00:00:00Z",
            "2024-01-1T00:00:00Z",
            "2024-01-01T:00:00Z",
            "2024-01-01T000:00:00Z",
            "2024-01-01T00:0:00Z",
            "2024-01-01T00:00:0Z",
            "２024-01-01T00:00:00Z",
            "1704067200",
            "2024-01-01T00:00:00\u{2212}02:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(
                normalize_rfc3339(text),
                Err(TimestampError {
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn the_error_names_the_text_and_the_cure() {
        let error = normalize_rfc3339("yesterday").unwrap_err().to_string();
        assert!(
            error.contains("\"yesterday\"") && error.contains("2024-01-31T12:00:00Z"),
            "{error}"
        );
    }

    #[test]
    fn normalizes_to_what_jiff_reads() {
        for (text, want) in [
            ("2024-03-05T08:15:30Z", "2024-03-05T08:15:30Z"),
            ("2024-03-05T08:15:30.123456Z", "2024-03-05T08:15:30.123456Z"),
            ("2024-03-05T8:15:30Z", "2024-03-05T08:15:30Z"),
            ("2024-03-05T08:15:30,5Z", "2024-03-05T08:15:30.500000000Z"),
            (
                "2024-03-05T08:15:30.1234567891Z",
                "2024-03-05T08:15:30.123456789Z",
            ),
            ("2024-03-05T08:15:30+05:30", "2024-03-05T02:45:30Z"),
            ("2024-03-05T08:15:30+00:60", "2024-03-05T07:15:30Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00+24:00", "-000001-12-31T00:00:00Z"),
            (
                "9999-12-30T22:00:00.998999999Z",
                "9999-12-30T22:00:00.998999999Z",
            ),
            (
                "9999-12-30T22:00:00.999999999Z",
                "9999-12-30T22:00:00.998999999Z",
            ),
            ("9999-12-30T22:00:01Z", "9999-12-30T22:00:00.999000001Z"),
            ("9999-12-31T23:59:59.5Z", "9999-12-30T22:00:00.999093599Z"),
            (
                "9999-12-31T23:59:59-24:60",
                "9999-12-30T22:00:00.999183599Z",
            ),
        ] {
            let normal = normalize_rfc3339(text).unwrap();
            assert_eq!(normal, want);
            assert_eq!(matches!(normal, Cow::Borrowed(_)), text == want, "{text}");
            normal.parse::<jiff::Timestamp>().unwrap();
        }
        let last = jiff::Timestamp::MAX;
        assert_eq!(last.as_second(), JIFF_LAST_SECOND);
        // These nanoseconds do not encode a later second, so the time stays unchanged.
        let nanos = last.subsec_nanosecond().unsigned_abs();
        let seconds = JIFF_LAST_SECOND;
        assert_eq!(Timestamp::of(&last), Timestamp { seconds, nanos });
    }

    proptest! {
        #[test]
        fn any_accepted_time_is_the_same_time_in_jiff(
            year in 0..10_000_i16, month in 1..14_i8, day in 1..33_i8, hour in 0..25, minute in 0..61,
            second in 0..61, short_hour: bool, fraction in "([.,][0-9]{0,12})?",
            offset in "(Z|[+-](0[0-9]|1[0-9]|2[0-5]):(0[0-9]|[1-6][0-9]))",
        ) {
            let hour = if short_hour { format!("{hour}") } else { format!("{hour:02}") };
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour}:{minute:02}:{second:02}{fraction}{offset}"
            );
            if let Some(time) = parse(&text) {
                let held: jiff::Timestamp = normalize_rfc3339(&text).unwrap().parse().unwrap();
                let held = Timestamp::of(&held);
                prop_assert_eq!(held.seconds, time.seconds);
                prop_assert!(held.nanos == time.nanos || time.seconds >= JIFF_LAST_SECOND);
            } else {
                let date = Date::new(year, month, day);
                let offset_is_wide = offset.get(1..3) > Some("24") || offset.get(4..) > Some("60");
                prop_assert!(date.is_err() || hour.parse::<u32>().unwrap() > 23 || minute > 59
                    || second > 59 || fraction.len() == 1 || offset_is_wide);
            }
        }

        #[test]
        fn any_text_is_harmless(text in "[0-9T:.,Z+-]{0,30}|\\PC*") {
            prop_assert_eq!(parse(&text).is_some(), normalize_rfc3339(&text).is_ok());
        }
    }
}
