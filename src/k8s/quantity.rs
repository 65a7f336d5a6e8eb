//! Kubernetes quantities: `500m`, `1Gi`, `1e3`.
//!
//! This module accepts the grammar of [resource quantities] in the Kubernetes API, including special cases. For
//! example, `m` without digits is zero. The parsed value is exact: a decimal number times a power of 1024. A conversion
//! to a double rounds the value only once. Values up to about 10^38 are computed with integers of 128 bits, without an
//! allocation. Larger values are computed with decimal digits. The time is then linear in the length of the text.
//!
//! [resource quantities]: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

/// A parsed quantity, which is not yet rounded.
///
/// The methods that convert the quantity return `None` if the value is too large for a double (above 1.8e308).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    integer: &'a str,
    /// Digits after the point, without trailing zeros.
    fraction: &'a str,
    /// The power of ten that multiplies the number.
    exponent: i64,
    /// The power of 1024 that multiplies the number.
    kibis: u32,
}

/// The absolute value of a quantity, rounded up to an integer.
enum Rounded {
    Exact(u128),
    /// An integer that does not fit into 128 bits: decimal digits, and the power of ten that multiplies them.
    Text {
        digits: String,
        exponent: i64,
    },
}

/// The largest integer for which [`Quantity::milli`] computes thousandths. Above this number, the number of thousandths
/// would exceed 2^63 - 1.
const MAX_MILLI: u128 = i64::MAX as u128 / 1000;

impl<'a> Quantity<'a> {
    /// Parses a quantity; `None` for an invalid text. Blanks before and after the quantity are ignored.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // Do not remove control characters, such as newlines: the API server does not accept them in a quantity.
        let text = text.trim_matches(|c: char| c.is_whitespace() && !c.is_ascii_control());
        if text.is_empty() {
            return None;
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (integer, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let (exponent, kibis) = multiplier(suffix)?;
        Some(Self {
            negative,
            integer: integer.trim_start_matches('0'),
            fraction: fraction.trim_end_matches('0'),
            exponent,
            kibis,
        })
    }

    /// The value rounded away from zero to an integer: `100m` → 1, `-1.5` → -2.
    pub(crate) fn whole(&self) -> Option<f64> {
        self.scaled(0)
    }

    /// The value rounded away from zero to a multiple of 0.001: `1u` → 0.001.
    ///
    /// A value above 9223372036854775 or below -9223372036854775 is rounded to an integer instead, because Kubernetes
    /// cannot store its thousandths. To get the same result as Kubernetes, the number of thousandths is converted to a
    /// double and then divided by 1,000.
    pub(crate) fn milli(&self) -> Option<f64> {
        match self.rounded_up(0) {
            Rounded::Exact(whole) if whole <= MAX_MILLI => Some(self.scaled(3)? / 1000.0),
            _ => self.scaled(0),
        }
    }

    /// The double nearest to the value, without rounding to an integer or to thousandths: `700m` → 0.7. This function
    /// allocates.
    ///
    /// Kubernetes stores multiples of `1n`, so any other value is first rounded away from zero to a multiple of `1n`.
    pub(crate) fn nearest(&self) -> Option<f64> {
        let nanos = match self.rounded_up(9) {
            Rounded::Exact(nanos) => format!("{nanos}e-9"),
            Rounded::Text { digits, exponent } => {
                format!("{digits}e{}", exponent.saturating_sub(9))
            }
        };
        self.signed(nanos.parse().ok()?)
    }

    /// The value times 10^`places`, rounded away from zero to an integer. `places` is at most nine.
    ///
    /// There is a special case in the Kubernetes library: if a negative big decimal (see [`Self::is_big_decimal`]) is
    /// not an integer, the library removes its fraction and adds 1. This function does the same, so that the values are
    /// equal to the values of kube-state-metrics.
    fn scaled(&self, places: u32) -> Option<f64> {
        if self.negative && self.is_big_decimal() {
            let step = 10_u128.pow(9_u32.saturating_sub(places));
            match self.rounded_up(9) {
                Rounded::Exact(nanos) if nanos % step != 0 => {
                    return Some(1.0 - (nanos / step) as f64);
                }
                _ => {}
            }
        }
        self.signed(self.rounded_up(i64::from(places)).to_f64()?)
    }

    /// Whether Kubernetes stores the quantity as a big decimal. This is the case if the quantity has more than 18
    /// digits, is not a multiple of `1n`, or has a fraction and a binary unit, such as `1.5Gi`.
    fn is_big_decimal(&self) -> bool {
        self.integer.len() + self.fraction.len() > 18
            || self.exponent_of_last_digit() < -9
            || (self.kibis > 0 && !self.fraction.is_empty())
    }

    fn signed(&self, magnitude: f64) -> Option<f64> {
        magnitude
            .is_finite()
            .then_some(if self.negative { -magnitude } else { magnitude })
    }

    /// The absolute value times 10^`places`, rounded up to an integer.
    fn rounded_up(&self, places: i64) -> Rounded {
        match self.rounded_up_in_128_bits(places) {
            Some(integer) => Rounded::Exact(integer),
            None => self.rounded_up_in_decimal(places),
        }
    }

    /// Like [`Self::rounded_up`], with integers of 128 bits; `None` if a number exceeds 128 bits.
    fn rounded_up_in_128_bits(&self, places: i64) -> Option<u128> {
        let digits = self.integer.bytes().chain(self.fraction.bytes());
        let mantissa = digits
            .map(|byte| u128::from(byte - b'0'))
            .try_fold(0_u128, |value, digit| {
                value.checked_mul(10)?.checked_add(digit)
            })?;
        let mantissa = mantissa.checked_mul(1024_u128.checked_pow(self.kibis)?)?;
        if mantissa == 0 {
            return Some(0);
        }
        let exponent = self.exponent_of_last_digit().saturating_add(places);
        let power = u32::try_from(exponent.unsigned_abs())
            .ok()
            .and_then(|e| 10_u128.checked_pow(e));
        match power {
            Some(power) if exponent >= 0 => mantissa.checked_mul(power),
            Some(power) => Some(mantissa.div_ceil(power)),
            None if exponent >= 0 => None,
            // The divisor exceeds 128 bits. So the quotient is below 1, and is rounded up to 1.
            None => Some(1),
        }
    }

    fn rounded_up_in_decimal(&self, places: i64) -> Rounded {
        let (mut digits, exponent) = self.decimal();
        let exponent = exponent.saturating_add(places);
        if exponent >= 0 {
            return Rounded::Text {
                digits: to_text(&digits),
                exponent,
            };
        }
        let dropped = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
        let rounds = digits
            .drain(..dropped.min(digits.len()))
            .any(|digit| digit != 0);
        if rounds {
            increment(&mut digits);
        }
        let digits = to_text(&digits);
        match digits.parse() {
            Ok(integer) => Rounded::Exact(integer),
            Err(_) => Rounded::Text {
                digits,
                exponent: 0,
            },
        }
    }

    /// The absolute value as decimal digits in reverse order, and the power of ten that multiplies the digits.
    fn decimal(&self) -> (Vec<u8>, i64) {
        let digits = self.integer.bytes().chain(self.fraction.bytes()).rev();
        let mut digits: Vec<u8> = digits.map(|byte| byte - b'0').collect();
        for _ in 0..self.kibis {
            multiply_by_1024(&mut digits);
        }
        (digits, self.exponent_of_last_digit())
    }

    fn exponent_of_last_digit(&self) -> i64 {
        self.exponent
            .saturating_sub(i64::try_from(self.fraction.len()).unwrap_or(i64::MAX))
    }
}

impl Rounded {
    fn to_f64(&self) -> Option<f64> {
        match self {
            Self::Exact(integer) => Some(*integer as f64),
            Self::Text { digits, exponent } => format!("{digits}e{exponent}").parse().ok(),
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Returns the power of ten and the power of 1024 that belong to a suffix such as `M` or `Mi`.
fn multiplier(suffix: &str) -> Option<(i64, u32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 1),
        "Mi" => (0, 2),
        "Gi" => (0, 3),
        "Ti" => (0, 4),
        "Pi" => (0, 5),
        "Ei" => (0, 6),
        _ => (exponent(suffix.strip_prefix(['e', 'E'])?)?, 0),
    })
}

/// Parses the exponent after an `e`. If the exponent does not fit into 64 bits, the result is the largest or the
/// smallest number of 64 bits.
fn exponent(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if negative { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(limit))
}

fn multiply_by_1024(digits: &mut Vec<u8>) {
    let mut carry = 0_u32;
    for digit in digits.iter_mut() {
        carry += u32::from(*digit) * 1024;
        *digit = (carry % 10) as u8;
        carry /= 10;
    }
    while carry > 0 {
        digits.push((carry % 10) as u8);
        carry /= 10;
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits.push(1);
}

/// Writes digits that are stored in reverse order.
fn to_text(digits: &[u8]) -> String {
    if digits.is_empty() {
        return "0".to_owned();
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

#[cfg(test)]
mod tests;
