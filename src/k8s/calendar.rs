//! The proleptic Gregorian calendar, in whole days from 1970-01-01.
//!
//! The conversions are Howard Hinnant's [algorithms], which count years from 1 March so that the
//! leap day comes last.
//!
//! [algorithms]: https://howardhinnant.github.io/date_algorithms.html

/// Seconds in a day.
pub(super) const SECONDS_PER_DAY: i64 = 86_400;

/// Days in the 400 years after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// Astronomical year: 0 is 1 BC.
    pub(super) year: i64,
    /// Month, 1 to 12.
    pub(super) month: u32,
    /// Day of the month, from 1.
    pub(super) day: u32,
}

impl Date {
    /// The date so many days after 1970-01-01, within some 10^15 years of it.
    pub(super) fn from_days(days: i64) -> Self {
        let days = days + EPOCH;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32,
        }
    }

    /// The days from 1970-01-01 to this date, negative before it.
    pub(super) fn to_days(self) -> i64 {
        let month = i64::from(self.month);
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_PER_ERA + day_of_era - EPOCH
    }

    /// Says whether the calendar has this date.
    pub(super) fn exists(self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
    }
}

/// The number of days in a month, 1 to 12, of a year.
pub(super) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The weekday of a day counted from 1970-01-01; 0 is Sunday.
pub(super) fn weekday(days: i64) -> u32 {
    (days + 4).rem_euclid(7) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff_on_every_day_of_ten_thousand_years() {
        let mut date = jiff::civil::date(0, 1, 1);
        let first = Date {
            year: 0,
            month: 1,
            day: 1,
        }
        .to_days();
        let last = Date {
            year: 9999,
            month: 12,
            day: 31,
        }
        .to_days();
        assert_eq!(
            Date {
                year: 1970,
                month: 1,
                day: 1
            }
            .to_days(),
            0
        );
        for days in first..last {
            let ours = Date::from_days(days);
            assert_eq!(ours.year, i64::from(date.year()));
            assert_eq!(ours.month, u32::from(date.month().unsigned_abs()));
            assert_eq!(ours.day, u32::from(date.day().unsigned_abs()));
            assert_eq!(ours.to_days(), days);
            assert!(ours.exists());
            let day_of_week = date.weekday().to_sunday_zero_offset().unsigned_abs();
            assert_eq!(weekday(days), u32::from(day_of_week));
            let month_end = date.days_in_month().unsigned_abs();
            assert_eq!(days_in_month(ours.year, ours.month), u32::from(month_end));
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn knows_years_before_and_after_those_of_four_digits() {
        let date = |year, month, day| Date { year, month, day };
        assert_eq!(date(0, 1, 1).to_days() - 1, date(-1, 12, 31).to_days());
        assert_eq!(
            Date::from_days(date(-1, 12, 31).to_days()),
            date(-1, 12, 31)
        );
        assert_eq!(
            date(9999, 12, 31).to_days() + 1,
            date(10_000, 1, 1).to_days()
        );
        assert_eq!(
            Date::from_days(date(10_000, 1, 1).to_days()),
            date(10_000, 1, 1)
        );
    }

    #[test]
    fn refuses_dates_the_calendar_lacks() {
        for (year, month, day) in [
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 1, 0),
            (2024, 4, 31),
            (2023, 2, 29),
            (1900, 2, 29),
        ] {
            assert!(!Date { year, month, day }.exists(), "{year}-{month}-{day}");
        }
        assert!(
            Date {
                year: 2000,
                month: 2,
                day: 29
            }
            .exists()
        );
    }
}
