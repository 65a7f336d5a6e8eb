//! Reads values that are messages in protobuf, and strings or numbers in JSON.

use std::borrow::Cow;

use serde::de::Error as _;

use crate::error::{Error, Malformed};
use crate::wire::Records;

/// A time in the format of RFC 3339, as in the JSON of the API.
pub(crate) struct TimeText {
    bytes: [u8; TimeText::MAX],
    length: usize,
}

/// The precision of a time in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Seconds,
    Microseconds,
}

pub(crate) enum IntOrString<'de> {
    Int(i32),
    Text(Cow<'de, str>),
}

const SECONDS_OF_DAY: i64 = 86_400;

/// Converts bytes to text. Each invalid byte becomes U+FFFD. The API server does the same when it writes an object as
/// JSON.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_invalid(bytes)),
    }
}

fn replace_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Reads a `Quantity`. Field 1 of this message is the text of the quantity. If the field is missing, the quantity is
/// zero.
pub(crate) fn quantity(message: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    match last_bytes(message)? {
        [] => Ok(Cow::Borrowed("0")),
        bytes => Ok(text(bytes)),
    }
}

/// Returns the bytes of field 1. In a `FieldsV1` or a `RawExtension`, these bytes are JSON. The result is empty if the
/// message has no field 1.
pub(crate) fn last_bytes(message: &[u8]) -> Result<&[u8], Malformed> {
    let (mut records, mut last) = (Records::new(message), &[][..]);
    while let Some(record) = records.next()? {
        if record.number == 1 {
            last = record.payload.bytes()?;
        }
    }
    Ok(last)
}

/// Reads an `IntOrString`. Field 1 is the type (0 for a number, 1 for a text), field 2 is the number, and field 3 is
/// the text.
pub(crate) fn int_or_string(message: &[u8]) -> Result<IntOrString<'_>, Malformed> {
    let (mut records, mut is_text, mut int, mut string) =
        (Records::new(message), false, 0, &[][..]);
    while let Some(record) = records.next()? {
        match record.number {
            1 => is_text = record.payload.number()? == 1,
            2 => int = int32(record.payload.number()?),
            3 => string = record.payload.bytes()?,
            _ => {}
        }
    }
    Ok(match is_text {
        true => IntOrString::Text(text(string)),
        false => IntOrString::Int(int),
    })
}

/// Reads a `Time` or a `MicroTime`. These messages contain the seconds since 1970, and the nanoseconds. An empty
/// message means that no time is set. The caller must handle an empty message before this call.
pub(crate) fn time(message: &[u8], precision: Precision) -> Result<TimeText, Error> {
    let (mut records, mut seconds, mut nanos) = (Records::new(message), 0, 0);
    while let Some(record) = records.next()? {
        match record.number {
            1 => seconds = int64(record.payload.number()?),
            2 => nanos = int32(record.payload.number()?),
            _ => {}
        }
    }
    TimeText::new(seconds, nanos, precision)
        .ok_or_else(|| Error::custom("invalid value, expected a time in the years 0 to 9999"))
}

/// Truncates the number to 32 bits, as Go does.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper bits of a valid number only repeat its sign"
)]
pub(crate) fn int32(number: u64) -> i32 {
    number as i32
}

pub(crate) fn int64(number: u64) -> i64 {
    number.cast_signed()
}

// === impl TimeText ===

impl TimeText {
    const MAX: usize = "2006-01-02T15:04:05.000000Z".len();

    fn new(seconds: i64, nanos: i32, precision: Precision) -> Option<Self> {
        let nanos = i64::from(nanos);
        let seconds = seconds.checked_add(nanos.div_euclid(1_000_000_000))?;
        let nanos = nanos.rem_euclid(1_000_000_000);
        let (days, second) = (
            seconds.div_euclid(SECONDS_OF_DAY),
            seconds.rem_euclid(SECONDS_OF_DAY),
        );
        let (year, month, day) = civil_date(days)?;
        let mut text = Self {
            bytes: [0; Self::MAX],
            length: 0,
        };
        text.number(year, 4, b'-');
        text.number(month, 2, b'-');
        text.number(day, 2, b'T');
        text.number(second / 3600, 2, b':');
        text.number(second / 60 % 60, 2, b':');
        match precision {
            Precision::Seconds => text.number(second % 60, 2, b'Z'),
            Precision::Microseconds => {
                text.number(second % 60, 2, b'.');
                text.number(nanos / 1000, 6, b'Z');
            }
        }
        Some(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }

    /// Appends a number with leading zeros, and then a separator.
    fn number(&mut self, mut number: i64, digits: usize, separator: u8) {
        let end = self.length + digits;
        let Some([written @ .., last]) = self.bytes.get_mut(self.length..=end) else {
            return;
        };
        for digit in written.iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
        *last = separator;
        self.length = end + 1;
    }
}

/// Returns the year, month and day of a date, which is given as the number of days since 1970. Returns `None` if the
/// year is not between 0 and 9999.
///
/// Source: [`civil_from_days`](https://howardhinnant.github.io/date_algorithms.html#civil_from_days).
fn civil_date(days: i64) -> Option<(i64, i64, i64)> {
    // The calculation counts the days from 0000-03-01. In this calculation, a year ends in February, so a leap day is
    // the last day of a year.
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_api_writes_them() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_164_800, 0, "2024-02-29T00:00:00Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00Z"),
        ];
        for (seconds, nanos, text) in cases {
            let written = TimeText::new(seconds, nanos, Precision::Seconds).unwrap();
            assert_eq!(written.as_str(), text);
        }
        let micro = TimeText::new(1, 23_456_789, Precision::Microseconds).unwrap();
        assert_eq!(micro.as_str(), "1970-01-01T00:00:01.023456Z");
        for seconds in [253_402_300_800, -62_167_219_201, i64::MAX, i64::MIN] {
            assert!(TimeText::new(seconds, 0, Precision::Seconds).is_none());
        }
    }

    #[test]
    fn each_invalid_byte_becomes_a_replacement_character() {
        assert_eq!(text("é".as_bytes()), "é");
        assert_eq!(text(b"a\xe2\x82b"), "a\u{fffd}\u{fffd}b");
    }
}
