//! Values that are a number of replicas, or a percentage of all replicas.
//!
//! Kubernetes calls this type [`IntOrString`]. It uses the type for the limits of a rolling update, such as `maxSurge`.
//!
//! [`IntOrString`]: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment

/// A number of replicas, or a string such as `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntOrPercent<'a> {
    /// A number of replicas.
    Int(i32),
    /// A percentage of all replicas: the text from the object, such as `25%`.
    Text(&'a str),
}

/// Converts `value` to a number of replicas. A percentage refers to `replicas`; the result is rounded up if `round_up`
/// is true, otherwise down.
///
/// If `value` is already a number, the result is the same number. A string must consist of an optional sign, digits and
/// one `%`. For any other string, the result is `None`.
pub(crate) fn scaled(value: IntOrPercent<'_>, replicas: i32, round_up: bool) -> Option<f64> {
    match value {
        IntOrPercent::Int(replicas) => Some(f64::from(replicas)),
        IntOrPercent::Text(text) => {
            let share = percent(text)? as f64 * f64::from(replicas) / 100.0;
            Some(if round_up {
                share.ceil()
            } else {
                share.floor()
            })
        }
    }
}

fn percent(text: &str) -> Option<i64> {
    // `i64::from_str` accepts exactly the valid strings: an optional sign, then only ASCII digits.
    text.strip_suffix('%')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentages_round_down_and_up() {
        for (text, replicas, down, up) in [
            ("25%", 10, 2.0, 3.0),
            ("25%", 1, 0.0, 1.0),
            ("50%", 0, 0.0, 0.0),
            ("100%", 7, 7.0, 7.0),
            ("0%", 7, 0.0, 0.0),
            ("150%", 3, 4.0, 5.0),
            ("+25%", 10, 2.0, 3.0),
            ("0025%", 10, 2.0, 3.0),
            ("-25%", 10, -3.0, -2.0),
            ("10%", -5, -1.0, -0.0),
        ] {
            let value = IntOrPercent::Text(text);
            assert_eq!(
                scaled(value, replicas, false),
                Some(down),
                "{text} of {replicas}"
            );
            assert_eq!(
                scaled(value, replicas, true),
                Some(up),
                "{text} of {replicas}"
            );
        }
    }

    #[test]
    fn numbers_stand_for_themselves() {
        for number in [0, 1, -3, i32::MAX, i32::MIN] {
            assert_eq!(
                scaled(IntOrPercent::Int(number), 10, true),
                Some(f64::from(number))
            );
        }
    }

    #[test]
    fn other_texts_have_no_value() {
        for text in [
            "",
            "5",
            "%",
            "+%",
            "-%",
            "25%%",
            "12.5%",
            " 25%",
            "25% ",
            "25 %",
            "٢٥%",
            "abc",
            "1e1%",
            "0x1%",
            "--1%",
            "9223372036854775808%",
        ] {
            assert_eq!(scaled(IntOrPercent::Text(text), 10, false), None, "{text}");
        }
        assert!(scaled(IntOrPercent::Text("9223372036854775807%"), 1, false).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text: String, replicas: i32) {
            let down = scaled(IntOrPercent::Text(&text), replicas, false);
            let up = scaled(IntOrPercent::Text(&text), replicas, true);
            prop_assert!(down <= up);
        }
    }
}
