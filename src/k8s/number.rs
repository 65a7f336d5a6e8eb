//! Writes sample values in the notation of the Prometheus text format.
//!
//! As in the [text format], a number has the smallest number of digits that parse to the same double. Numbers with an
//! exponent below -4 or above 5 are written as `d.ddde±XX`, with at least two digits in the exponent. Rust's `Display`
//! does not write them in this form.
//!
//! [text format]: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

use std::fmt::{self, Write as _};

/// A double represents every integer below this number exactly. Therefore, such an integer is written without the code
/// for fractions.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Appends a sample value: `1`, `0.25`, `1.7e+09`, `NaN`, `+Inf`. Negative zero becomes `0`.
///
/// The function allocates only if `out` has too little capacity.
pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
        return;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    if magnitude < EXACT_INTEGERS && magnitude.fract() == 0.0 {
        write_integer(out, magnitude as u64);
    } else {
        let mut number = Scientific::default();
        // Writing to `number` cannot fail, because it has room for 17 digits, and a double needs no more.
        let _ = write!(number, "{magnitude:e}");
        write_digits(out, number.digits(), number.exponent());
    }
}

/// Writes an integer of at most 16 digits, greater than zero.
fn write_integer(out: &mut Vec<u8>, mut integer: u64) {
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (integer % 10) as u8;
        integer /= 10;
        start -= 1;
        if integer == 0 {
            break;
        }
    }
    let digits = &buffer[start..];
    let significant = digits.len() - digits.iter().rev().take_while(|&&d| d == b'0').count();
    write_digits(out, &digits[..significant], digits.len() as i32 - 1);
}

/// Formats the number `d.ddd × 10^exponent`, given its digits without trailing zeros.
fn write_digits(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    match exponent {
        -4..=-1 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend_from_slice(digits);
        }
        0..=5 => {
            let integer_digits = exponent as usize + 1;
            match digits.split_at_checked(integer_digits) {
                Some((integer, [])) => out.extend_from_slice(integer),
                Some((integer, fraction)) => write_point(out, integer, fraction),
                None => {
                    out.extend_from_slice(digits);
                    out.extend(std::iter::repeat_n(b'0', integer_digits - digits.len()));
                }
            }
        }
        _ => {
            match digits.split_at_checked(1) {
                Some((first, fraction)) if !fraction.is_empty() => {
                    write_point(out, first, fraction)
                }
                _ => out.extend_from_slice(digits),
            }
            write_exponent(out, exponent);
        }
    }
}

fn write_point(out: &mut Vec<u8>, integer: &[u8], fraction: &[u8]) {
    out.extend_from_slice(integer);
    out.push(b'.');
    out.extend_from_slice(fraction);
}

fn write_exponent(out: &mut Vec<u8>, exponent: i32) {
    let magnitude = exponent.unsigned_abs();
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if magnitude >= 100 {
        out.push(b'0' + (magnitude / 100) as u8);
    }
    out.push(b'0' + (magnitude / 10 % 10) as u8);
    out.push(b'0' + (magnitude % 10) as u8);
}

/// Receives the text `d.ddde-X` that the standard library writes for a double, and splits it into digits and exponent.
#[derive(Default)]
struct Scientific {
    digits: [u8; 20],
    len: usize,
    exponent: i32,
    in_exponent: bool,
    negative_exponent: bool,
}

impl Scientific {
    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    fn exponent(&self) -> i32 {
        if self.negative_exponent {
            -self.exponent
        } else {
            self.exponent
        }
    }
}

impl fmt::Write for Scientific {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'e' => self.in_exponent = true,
                b'-' => self.negative_exponent = self.in_exponent,
                b'0'..=b'9' if self.in_exponent => {
                    self.exponent = self.exponent * 10 + i32::from(byte - b'0');
                }
                b'0'..=b'9' => {
                    if let Some(slot) = self.digits.get_mut(self.len) {
                        *slot = byte;
                        self.len += 1;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_the_documented_notation() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (42.0, "42"),
            (10.0, "10"),
            (-100.0, "-100"),
            (123_456.0, "123456"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (-1_000_000.0, "-1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (123_456.789, "123456.789"),
            (999_999.5, "999999.5"),
            (1_000_000.5, "1.0000005e+06"),
            (1234.567, "1234.567"),
            (0.25, "0.25"),
            (-0.5, "-0.5"),
            (0.001, "0.001"),
            (0.000_1, "0.0001"),
            (0.000_123, "0.000123"),
            (0.000_01, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1_672_628_645.0, "1.672628645e+09"),
            (1_709_626_530.0, "1.70962653e+09"),
            (1_700_000_000.0, "1.7e+09"),
            (-62_135_596_800.0, "-6.21355968e+10"),
            (1e10, "1e+10"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (9_007_199_254_740_991.0, "9.007199254740991e+15"),
            (9_007_199_254_740_992.0, "9.007199254740992e+15"),
            (9_007_199_254_740_993_i64 as f64, "9.007199254740992e+15"),
            (
                18_446_744_073_709_551_615_u64 as f64,
                "1.8446744073709552e+19",
            ),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), want, "{value:e}");
        }
    }

    #[test]
    fn appends_without_touching_what_is_there() {
        let mut out = b"} ".to_vec();
        write_f64(&mut out, 1e6);
        assert_eq!(out, b"} 1e+06");
    }

    /// Asserts that the text of a finite number other than zero has the expected notation.
    fn assert_layout(value: f64) {
        let text = text(value);
        assert_eq!(
            text.parse::<f64>().unwrap().to_bits(),
            value.to_bits(),
            "{text}"
        );
        let unsigned = text.strip_prefix('-').unwrap_or(&text);
        let (mantissa, exponent) = match unsigned.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        if let Some((_, fraction)) = mantissa.split_once('.') {
            assert!(!fraction.is_empty() && !fraction.ends_with('0'), "{text}");
        }
        match exponent {
            Some(exponent) => {
                assert!(
                    exponent.starts_with(['+', '-']) && exponent.len() >= 3,
                    "{text}"
                );
                assert!(
                    !(-4..6).contains(&exponent.parse::<i32>().unwrap()),
                    "{text}"
                );
                assert!(
                    mantissa.len() == 1 || mantissa.as_bytes()[1] == b'.',
                    "{text}"
                );
            }
            None => assert!((1e-4..1e6).contains(&value.abs()), "{text}"),
        }
    }

    proptest! {
        #[test]
        fn any_double_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() && value != 0.0 {
                assert_layout(value);
            }
        }

        #[test]
        fn any_integer_reads_back(integer: i64, shift in 0..63_u32) {
            let value = (integer >> shift) as f64;
            if value != 0.0 {
                assert_layout(value);
            }
        }

        #[test]
        fn any_thousandth_reads_back(thousandths in 1..2_000_000_000_i64) {
            assert_layout(thousandths as f64 / 1000.0);
        }
    }
}
