//! Parses one field of a cron schedule. The result is a bit mask: for each number that the field matches, the bit at
//! this position is 1.

use super::errors::ScheduleError;

/// The numbers and words that are valid in a field of a schedule.
pub(super) struct FieldKind {
    name: &'static str,
    min: u32,
    max: u32,
    /// The words that stand for numbers. The first word stands for `min`.
    words: &'static [&'static str],
}

/// The numbers that a field matches. All numbers are below 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    bits: u64,
    unrestricted: bool,
}

pub(super) const MINUTES: FieldKind = FieldKind {
    name: "minute",
    min: 0,
    max: 59,
    words: &[],
};
pub(super) const HOURS: FieldKind = FieldKind {
    name: "hour",
    min: 0,
    max: 23,
    words: &[],
};
pub(super) const DAYS: FieldKind = FieldKind {
    name: "day of month",
    min: 1,
    max: 31,
    words: &[],
};
pub(super) const MONTHS: FieldKind = FieldKind {
    name: "month",
    min: 1,
    max: 12,
    words: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
pub(super) const WEEKDAYS: FieldKind = FieldKind {
    name: "day of week",
    min: 0,
    max: 7,
    words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl FieldKind {
    /// Parses a field, which is a list of ranges with commas between them. As in the CronJob controller, empty ranges
    /// are ignored. So the field `,` matches no number.
    pub(super) fn parse(&self, text: &str) -> Result<Field, ScheduleError> {
        let mut field = Field {
            bits: 0,
            unrestricted: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let part = self.parse_range(part).ok_or_else(|| ScheduleError::Field {
                field: self.name,
                text: part.to_owned(),
                min: self.min,
                max: self.max,
            })?;
            field.bits |= part.bits;
            field.unrestricted |= part.unrestricted;
        }
        Ok(field)
    }

    /// Parses one range: `*`, `5` or `5-10`, with or without a step such as `/2`.
    fn parse_range(&self, text: &str) -> Option<Field> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first, Some(last)),
            None => (range, None),
        };
        let any = matches!(first, "*" | "?");
        let (first, last) = match last {
            // The CronJob controller ignores the text after `*-`. So do the same here.
            _ if any => (self.min, self.max),
            Some(last) => (self.number(first)?, self.number(last)?),
            None if step.is_some() => (self.number(first)?, self.max),
            None => (self.number(first)?, self.number(first)?),
        };
        let step = step.unwrap_or(1);
        if first < self.min || last > self.max || first > last || step == 0 {
            return None;
        }
        if step > 1 && step > last - first {
            return None;
        }
        let bits = (first..=last)
            .step_by(step as usize)
            .fold(0, |bits, number| bits | 1 << number);
        Some(Field {
            bits,
            unrestricted: any && step == 1,
        })
    }

    fn number(&self, text: &str) -> Option<u32> {
        let word = self
            .words
            .iter()
            .zip(self.min..)
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        word.map_or_else(|| text.parse().ok(), |(_, number)| Some(number))
    }
}

impl Field {
    /// Returns whether the field matches a number. The number must be below 64.
    pub(super) fn has(self, number: u32) -> bool {
        self.first_from(number) == Some(number)
    }

    /// The first number that the field matches, at or after `number`.
    pub(super) fn first_from(self, number: u32) -> Option<u32> {
        let bits = self.bits.checked_shr(number)?;
        (bits != 0).then(|| number + bits.trailing_zeros())
    }

    /// Returns whether the field contains a `*` or `?` without a step.
    pub(super) fn is_unrestricted(self) -> bool {
        self.unrestricted
    }

    /// Replaces the number 7 by 0, because both mean Sunday.
    pub(super) fn with_sunday_first(self) -> Self {
        Self {
            bits: (self.bits & 0x7f) | (self.bits >> 7 & 1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(kind: &FieldKind, text: &str) -> Vec<u32> {
        let field = kind.parse(text).unwrap();
        (0..64).filter(|&number| field.has(number)).collect()
    }

    #[test]
    fn lists_ranges_and_steps() {
        for (text, want) in [
            ("5", &[5][..]),
            ("005", &[5]),
            ("+5", &[5]),
            ("1,16,59", &[1, 16, 59]),
            ("3-6", &[3, 4, 5, 6]),
            ("10-40/15", &[10, 25, 40]),
            ("7/15", &[7, 22, 37, 52]),
            ("58/1", &[58, 59]),
            ("*/20", &[0, 20, 40]),
            ("?/30", &[0, 30]),
            ("*-5/20", &[0, 20, 40]),
            ("*/59", &[0, 59]),
            ("1,,2,", &[1, 2]),
            (",", &[]),
            ("5-5", &[5]),
            ("5-5/1", &[5]),
            (
                "0-30,10-12/2,59",
                &[
                    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                    22, 23, 24, 25, 26, 27, 28, 29, 30, 59,
                ],
            ),
        ] {
            assert_eq!(numbers(&MINUTES, text), want, "{text}");
        }
        for text in ["*", "?", "*/1", "0-59", "*-foo", "*-1-2", "0/1"] {
            assert_eq!(
                numbers(&MINUTES, text),
                (0..60).collect::<Vec<_>>(),
                "{text}"
            );
        }
        assert_eq!(numbers(&DAYS, "*/10"), [1, 11, 21, 31]);
        assert_eq!(numbers(&MONTHS, "jan,MAR-May,12"), [1, 3, 4, 5, 12]);
        assert_eq!(numbers(&WEEKDAYS, "Mon-fri/2"), [1, 3, 5]);
        assert_eq!(
            WEEKDAYS.parse("7").unwrap().with_sunday_first(),
            WEEKDAYS.parse("sun").unwrap()
        );
        assert_eq!(
            WEEKDAYS.parse("5-7").unwrap().with_sunday_first(),
            WEEKDAYS.parse("0,5,6").unwrap()
        );
    }

    #[test]
    fn only_a_bare_star_is_unrestricted() {
        for text in ["*", "?", "*/1", "?/1", "5,*", "*-9"] {
            assert!(DAYS.parse(text).unwrap().is_unrestricted(), "{text}");
        }
        for text in ["*/2", "1-31", "1/1", "5", "?/2", ","] {
            assert!(!DAYS.parse(text).unwrap().is_unrestricted(), "{text}");
        }
    }

    #[test]
    fn refuses_what_the_field_cannot_hold() {
        for text in [
            "60",
            "-5",
            "5-",
            "-",
            "5-70",
            "9-3",
            "1-2-3",
            "*/0",
            "0/0",
            "*/",
            "/5",
            "*/2/3",
            "*/-2",
            "1.5",
            "*5",
            "5*",
            "H",
            "5,H/10",
            "L",
            "mon",
            "99999999999999999999",
            "*/60",
            "*/99999999999999999999",
            "5-9/5",
            "50/10",
            "٥",
            "a",
            "1 2",
            "#",
            "5#2",
            "W",
        ] {
            let error = MINUTES.parse(text);
            assert!(
                matches!(
                    error,
                    Err(ScheduleError::Field {
                        field: "minute",
                        ..
                    })
                ),
                "{text}"
            );
        }
        for (kind, text) in [
            (&HOURS, "24"),
            (&HOURS, "*/24"),
            (&DAYS, "0"),
            (&DAYS, "32"),
            (&DAYS, "L"),
            (&DAYS, "15W"),
            (&MONTHS, "0"),
            (&MONTHS, "13"),
            (&MONTHS, "*/12"),
            (&MONTHS, "mon"),
            (&MONTHS, "january"),
            (&WEEKDAYS, "8"),
            (&WEEKDAYS, "*/8"),
            (&WEEKDAYS, "jan"),
            (&WEEKDAYS, "monday"),
            (&WEEKDAYS, "5#3"),
            (&WEEKDAYS, "5L"),
            (&WEEKDAYS, "fri-sun"),
        ] {
            assert!(kind.parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text in "[0-9*?/,a-z-]{0,12}|\\PC*") {
            for kind in [&MINUTES, &HOURS, &DAYS, &MONTHS, &WEEKDAYS] {
                if let Ok(field) = kind.parse(&text) {
                    let range = kind.min..=kind.max;
                    prop_assert!((0..64).all(|n| !field.has(n) || range.contains(&n)));
                }
            }
        }
    }
}
