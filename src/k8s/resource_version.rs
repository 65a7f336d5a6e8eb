//! Reads `metadata.resourceVersion` as a sample value, and as a number for comparisons.
//!
//! The API documentation calls the resource version an opaque text. But all API servers write a decimal integer, and
//! newer servers guarantee this ([KEP-5504]). A resource version that is not a decimal integer has no sample value, and
//! cannot be compared.
//!
//! [KEP-5504]: https://github.com/kubernetes/enhancements/issues/5504

/// The version as a sample value; `None` if the text is not a plain decimal integer.
///
/// The result is the double nearest to the integer. If the integer is too large for a double, the result is also
/// `None`.
pub(crate) fn parse(version: &str) -> Option<f64> {
    if !is_decimal(version) {
        return None;
    }
    version
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
}

/// The version as an integer, to compare two versions of one object; `None` if the text is not an integer.
pub(crate) fn as_u64(version: &str) -> Option<u64> {
    if is_decimal(version) {
        version.parse().ok()
    } else {
        None
    }
}

fn is_decimal(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_decimal_integers_count() {
        for (version, value, order) in [
            ("0", Some(0.0), Some(0)),
            ("77", Some(77.0), Some(77)),
            ("007", Some(7.0), Some(7)),
            ("1000000", Some(1e6), Some(1_000_000)),
            (
                "9007199254740993",
                Some(9_007_199_254_740_992.0),
                Some(9_007_199_254_740_993),
            ),
            (
                "18446744073709551615",
                Some(18_446_744_073_709_551_615.0),
                Some(u64::MAX),
            ),
            (
                "18446744073709551616",
                Some(18_446_744_073_709_551_616.0),
                None,
            ),
            (
                "340282366920938463463374607431768211456",
                Some(3.402_823_669_209_385e38),
                None,
            ),
        ] {
            assert_eq!(
                (parse(version), as_u64(version)),
                (value, order),
                "{version}"
            );
        }
        for version in [
            "", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "0x1p4", "1_000", "inf", "nan", "a",
            "١٢",
        ] {
            assert_eq!((parse(version), as_u64(version)), (None, None), "{version}");
        }
        assert_eq!(parse(&"9".repeat(400)), None);
    }

    proptest! {
        #[test]
        fn any_integer_keeps_its_order(version: u64) {
            prop_assert_eq!(as_u64(&version.to_string()), Some(version));
            prop_assert_eq!(parse(&version.to_string()), Some(version as f64));
        }

        #[test]
        fn any_text_is_harmless(version: String) {
            prop_assert_eq!(parse(&version).is_some(), is_decimal(&version));
        }
    }
}
