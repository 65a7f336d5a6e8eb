//! Tests how quantities such as `1.5Gi` are parsed and converted to doubles, and how they are rounded.

use super::*;
use proptest::prelude::*;

fn whole(text: &str) -> Option<f64> {
    Quantity::parse(text).unwrap().whole()
}

fn milli(text: &str) -> Option<f64> {
    Quantity::parse(text).unwrap().milli()
}

fn nearest(text: &str) -> Option<f64> {
    Quantity::parse(text).unwrap().nearest()
}

#[test]
fn rounds_up_to_integers_and_thousandths() {
    for (text, as_milli, as_whole) in [
        ("0", 0.0, 0.0),
        ("1", 1.0, 1.0),
        ("100m", 0.1, 1.0),
        ("1n", 0.001, 1.0),
        ("1u", 0.001, 1.0),
        ("0.5m", 0.001, 1.0),
        ("0.0001", 0.001, 1.0),
        ("1001u", 0.002, 1.0),
        ("1500u", 0.002, 1.0),
        ("1.0001", 1.001, 2.0),
        ("1.0005", 1.001, 2.0),
        ("0.1Gi", 107_374_182.4, 107_374_183.0),
        ("1.1Ki", 1126.4, 1127.0),
        ("0.0001Ki", 0.103, 1.0),
        ("1000.5", 1000.5, 1001.0),
        ("1.5", 1.5, 2.0),
        ("-1.5", -1.5, -2.0),
        ("-0.5m", -0.001, -1.0),
        ("-5", -5.0, -5.0),
        ("+5", 5.0, 5.0),
        ("1k", 1e3, 1e3),
        ("1M", 1e6, 1e6),
        ("1G", 1e9, 1e9),
        ("1T", 1e12, 1e12),
        ("1P", 1e15, 1e15),
        ("1E", 1e18, 1e18),
        ("1Ki", 1024.0, 1024.0),
        ("1Mi", 1_048_576.0, 1_048_576.0),
        ("1Gi", 1_073_741_824.0, 1_073_741_824.0),
        ("1Ti", 1_099_511_627_776.0, 1_099_511_627_776.0),
        ("1Pi", 1_125_899_906_842_624.0, 1_125_899_906_842_624.0),
        (
            "1Ei",
            1_152_921_504_606_846_976.0,
            1_152_921_504_606_846_976.0,
        ),
        ("1E3", 1000.0, 1000.0),
        ("1e3", 1000.0, 1000.0),
        ("1e+3", 1000.0, 1000.0),
        ("1e-3", 0.001, 1.0),
        ("12e6", 1.2e7, 1.2e7),
        ("000.5000", 0.5, 1.0),
        (" 5 ", 5.0, 5.0),
        ("\u{a0}5\u{3000}", 5.0, 5.0),
        ("999999999999999999n", 1e9, 1e9),
        ("123456789.123456789", 123_456_789.124, 123_456_790.0),
        (
            "123456789012345.6789",
            123_456_789_012_345.69,
            123_456_789_012_346.0,
        ),
        (
            "9007199254740993",
            9_007_199_254_740_994.0,
            9_007_199_254_740_992.0,
        ),
        (
            "9223372036854775",
            9_223_372_036_854_774.0,
            9_223_372_036_854_776.0,
        ),
        (
            "9223372036854776",
            9_223_372_036_854_776.0,
            9_223_372_036_854_776.0,
        ),
        (
            "-9223372036854775",
            -9_223_372_036_854_774.0,
            -9_223_372_036_854_776.0,
        ),
    ] {
        assert_eq!(milli(text), Some(as_milli), "{text}");
        assert_eq!(whole(text), Some(as_whole), "{text}");
    }
}

#[test]
fn nearest_does_not_round_up() {
    for (text, want) in [
        ("700m", 0.7),
        ("0.1", 0.1),
        ("1n", 1e-9),
        ("-250m", -0.25),
        ("0.1Ki", 102.4),
        ("3.3333333333333333333", 3.333_333_334),
        ("1.5n", 2e-9),
        ("0.0000000001", 1e-9),
        ("1e-2147483648", 1e-9),
        ("-1e-99999999999999999999", -1e-9),
        ("0.0000001Ki", 1.024e-4),
        ("0.0000000001Ki", 1.03e-7),
        ("0", 0.0),
        (".", 0.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("1e308", 1e308),
    ] {
        assert_eq!(nearest(text), Some(want), "{text}");
    }
    assert_eq!(nearest("1e400"), None);
}

#[test]
fn missing_digits_are_zero() {
    for text in [
        "-",
        "+",
        ".",
        "m",
        "Ki",
        "e3",
        "E",
        "-0",
        "+.",
        "-.m",
        ".E5",
        "0.000000000000000000000",
    ] {
        assert_eq!(
            (whole(text), milli(text), nearest(text)),
            (Some(0.0), Some(0.0), Some(0.0)),
            "{text}"
        );
    }
    assert_eq!(
        (milli(".5"), milli("5."), milli("1.Gi")),
        (Some(0.5), Some(5.0), whole("1Gi"))
    );
}

#[test]
fn refuses_what_is_not_a_quantity() {
    for text in [
        "", " ", "K", "1K", "1ki", "1gi", "1Zi", "1B", "1Gb", "1e", "1E+", "1e-", "1e3m", "1e3.5",
        "0x10", "1_000", "1,5", "1 Gi", "- 1", "inf", "nan", "true", "{}", "1.2.3", "--1", "+-1",
        "1-", "1mm", "\t1Gi", "1\n", "١", "1e٣", "e", "Infinity", "1e+-3",
    ] {
        assert!(Quantity::parse(text).is_none(), "{text:?}");
    }
}

#[test]
fn absurd_magnitudes_are_correct_or_absent() {
    let nines = "9".repeat(300);
    let small = format!("0.{}1", "0".repeat(100_000));
    for (text, as_milli, as_whole) in [
        (
            "12345678901234567890",
            Some(12_345_678_901_234_567_890.0),
            Some(12_345_678_901_234_567_890.0),
        ),
        ("1e19", Some(1e19), Some(1e19)),
        ("-1e20", Some(-1e20), Some(-1e20)),
        ("1e300", Some(1e300), Some(1e300)),
        (
            "999Ei",
            Some(999.0 * 1024_f64.powi(6)),
            Some(999.0 * 1024_f64.powi(6)),
        ),
        ("1e400", None, None),
        ("-1e400", None, None),
        ("1e99999999999999999999", None, None),
        ("0e99999999999999999999", Some(0.0), Some(0.0)),
        ("1e-400", Some(0.001), Some(1.0)),
        ("1e-2147483648", Some(0.001), Some(1.0)),
        (&nines, Some(1e300), Some(1e300)),
        (&small, Some(0.001), Some(1.0)),
    ] {
        assert_eq!(milli(text), as_milli, "{text:.40}");
        assert_eq!(whole(text), as_whole, "{text:.40}");
    }
    // The number has 60 digits, so it exceeds 128 bits. It is rounded up only because of its last digit.
    let long = format!("1.{}1", "0".repeat(58));
    assert_eq!(
        (milli(&long), whole(&long), nearest(&long)),
        (Some(1.001), Some(2.0), Some(1.000_000_001))
    );
    let long = format!("9223372036854775.{}1", "0".repeat(58));
    assert_eq!(milli(&long), Some(9_223_372_036_854_776.0));
}

#[test]
fn negative_big_decimals_come_out_one_step_above_their_truncation() {
    for (text, as_milli, as_whole) in [
        // The first two numbers have at most 18 digits and are multiples of 1n, so they are rounded away from zero.
        ("-0.123456789", -0.124, -1.0),
        ("-123456789.987654321", -123_456_789.988, -123_456_790.0),
        ("-0.12345678901234567891", -0.122, 1.0),
        (
            "-12345678901.23456789",
            -12_345_678_901.233,
            -12_345_678_900.0,
        ),
        ("-0.000000000000000001", 0.001, 1.0),
        ("-1e-99999999999999999999", 0.001, 1.0),
        ("-1.1Ki", -1126.4, -1125.0),
        ("-1Ki", -1024.0, -1024.0),
    ] {
        assert_eq!(
            (milli(text), whole(text)),
            (Some(as_milli), Some(as_whole)),
            "{text}"
        );
    }
}

/// Converts a rounded number to digits without trailing zeros, and a power of ten.
fn canonical(rounded: Rounded) -> (String, i64) {
    let (digits, exponent) = match rounded {
        Rounded::Exact(integer) => (integer.to_string(), 0),
        Rounded::Text { digits, exponent } => (digits, exponent),
    };
    let digits = digits.trim_start_matches('0');
    match digits.trim_end_matches('0') {
        "" => (String::new(), 0),
        significant => {
            let zeros = digits.len() - significant.len();
            (
                significant.to_owned(),
                exponent + i64::try_from(zeros).unwrap(),
            )
        }
    }
}

proptest! {
    #[test]
    fn both_ways_of_rounding_agree(
        text in "[+-]?[0-9]{0,24}([.][0-9]{0,24})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[+-]?[0-9]{1,2})",
        places in 0..4_i64,
    ) {
        let Some(quantity) = Quantity::parse(&text) else { return Ok(()) };
        if let Some(fast) = quantity.rounded_up_in_128_bits(places) {
            let slow = quantity.rounded_up_in_decimal(places);
            prop_assert_eq!(canonical(Rounded::Exact(fast)), canonical(slow), "{}", text);
        }
    }

    #[test]
    fn thousandths_read_back(thousandths in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
        let quantity = format!("{thousandths}m");
        prop_assert_eq!(milli(&quantity), Some(thousandths as f64 / 1000.0));
        let magnitude = thousandths.unsigned_abs().div_ceil(1000) as f64;
        prop_assert_eq!(whole(&quantity).map(f64::abs), Some(magnitude));
    }

    #[test]
    fn the_nearest_double_is_that_of_the_standard_library(
        text in "-?[0-9]{1,24}([.][0-9]{1,9})?(e[+]?[0-9]{1,2})?",
    ) {
        prop_assert_eq!(nearest(&text), Some(text.parse::<f64>().unwrap()));
    }

    #[test]
    fn any_text_is_harmless(text in "[0-9.+eEmkKiMG -]{0,40}|\\PC*") {
        if let Some(quantity) = Quantity::parse(&text) {
            let (whole, milli, nearest) = (quantity.whole(), quantity.milli(), quantity.nearest());
            prop_assert!([whole, milli, nearest].into_iter().flatten().all(f64::is_finite));
            if let (Some(whole), Some(milli), Some(nearest)) = (whole, milli, nearest) {
                let rounds_up = !quantity.negative || !quantity.is_big_decimal();
                prop_assert!(!rounds_up || whole.abs() >= nearest.abs() && milli.abs() * (1.0 + 1e-15) >= nearest.abs());
            }
        }
    }
}
