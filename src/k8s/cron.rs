//! Cron schedules, with the same meaning as in the CronJob controller of Kubernetes.
//!
//! The controller uses the standard parser of this [cron library]. Except for two rules, this module accepts the same
//! syntax. It computes the time of the next run. A *run* is a time at which the schedule starts a Job. A schedule has
//! five fields, or is a descriptor such as `@daily` or `@every 1h30m`. The time zone comes from `spec.timeZone` or from
//! a prefix `TZ=`. The two rules that differ from the controller are those of kube-state-metrics. First, 7 also means
//! Sunday. Second, a step above 1 must be smaller than the number of values in the range to which the step applies.
//! Therefore, `*/12` for months is invalid.
//!
//! This module does not use the crates `croner`, `cron` and `cronexpr`, because they accept other syntaxes than the
//! controller. These crates have no `@every`, and have other rules for days, steps or seconds. `croner` is the most
//! similar crate. But if the clock changes, for example for summer time, `croner` moves or merges runs that the
//! controller skips or repeats. With these crates, this module would have to validate and convert every field. A bit
//! mask for each field needs less code. The crate `jiff` handles the difficult part, the time zones.
//!
//! The time zone database is part of the program, so results do not depend on the machine.
//!
//! [cron library]: https://pkg.go.dev/github.com/robfig/cron/v3

mod duration;
mod errors;
mod field;

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, ToSpan};

use self::duration::whole_seconds;
use self::errors::ScheduleError;
use self::field::{DAYS, Field, HOURS, MINUTES, MONTHS, WEEKDAYS};

/// The time zone database that is part of the program. The database caches the zones that were used.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The maximum number of years between two occurrences of the same day of the year. For example, there is no 29
/// February between 2096 and 2104.
const CALENDAR_YEARS: i16 = 8;

/// The calendar, including the weekdays, repeats after this number of years.
const CYCLE_YEARS: i64 = 400;

/// The number of seconds in [`CYCLE_YEARS`] years.
const CYCLE_SECONDS: i64 = 146_097 * SECONDS_PER_DAY;

const SECONDS_PER_DAY: i64 = 86_400;

/// The Unix epoch in UTC.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The length of the period in which the search looks for a run, in seconds. The period begins at the given time.
/// Without this limit, the search could take too long if clock changes skip one run after another.
const SEARCH_SECONDS: i64 = 40 * 366 * SECONDS_PER_DAY;

/// Returns the time of the first run of a schedule after the time `base`. Both times are in Unix seconds.
///
/// Returns `None` if the schedule has no further run, such as a schedule for 30 February. Also returns `None` if `base`
/// is outside of the years from -9999 to 9999. The search takes only microseconds for every schedule.
///
/// # Errors
///
/// Returns the same errors as [`validate`].
pub(crate) fn next_after(
    schedule: &str,
    time_zone: Option<&str>,
    base: i64,
) -> Result<Option<i64>, ScheduleError> {
    Schedule::parse(schedule, time_zone).map(|schedule| schedule.next_after(base))
}

/// Checks that the CronJob controller accepts a schedule and a time zone.
///
/// # Errors
///
/// Returns an error if the schedule or the time zone is not valid.
pub(crate) fn validate(schedule: &str, time_zone: Option<&str>) -> Result<(), ScheduleError> {
    Schedule::parse(schedule, time_zone).map(drop)
}

enum Schedule {
    /// The next run is this number of seconds after the previous run.
    Every(i64),
    /// A run occurs whenever the local time of the time zone matches.
    Clock(Clock, TimeZone),
}

/// The local times at which a schedule has a run.
struct Clock {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

impl Schedule {
    fn parse(text: &str, time_zone: Option<&str>) -> Result<Self, ScheduleError> {
        let (zone, text) = match (time_zone, split_zone(text)) {
            (Some(_), Some(_)) => return Err(ScheduleError::TwoTimeZones),
            // The controller puts `spec.timeZone` before the schedule, and then removes white space around the
            // schedule. So do the same here.
            (Some(name), None) => (zone(name)?, text.trim()),
            (None, Some((name, text))) => (zone(name)?, text.trim()),
            (None, None) => (TimeZone::UTC, text),
        };
        if !text.starts_with('@') {
            return Ok(Self::Clock(Clock::parse(text)?, zone));
        }
        if let Some(interval) = text.strip_prefix("@every ") {
            return match whole_seconds(interval) {
                Some(seconds) if seconds >= 1 => Ok(Self::Every(seconds)),
                _ => Err(ScheduleError::Interval {
                    text: interval.to_owned(),
                }),
            };
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => {
                return Err(ScheduleError::Descriptor {
                    text: text.to_owned(),
                });
            }
        };
        Ok(Self::Clock(Clock::parse(fields)?, zone))
    }

    fn next_after(&self, base: i64) -> Option<i64> {
        match self {
            Self::Every(seconds) => base.checked_add(*seconds),
            Self::Clock(clock, zone) => clock.first_in_zone(zone, base.checked_add(1)?),
        }
    }
}

impl Clock {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut fields = text.split_whitespace();
        let mut next = || fields.next();
        let (Some(minutes), Some(hours), Some(days), Some(months), Some(weekdays), None) =
            (next(), next(), next(), next(), next(), next())
        else {
            return Err(ScheduleError::FieldCount {
                found: text.split_whitespace().count(),
            });
        };
        Ok(Self {
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days: DAYS.parse(days)?,
            months: MONTHS.parse(months)?,
            weekdays: WEEKDAYS.parse(weekdays)?.with_sunday_first(),
        })
    }

    /// The first run in a time zone at or after the time `from`. Both times are in Unix seconds.
    ///
    /// The difference between local time and UTC is constant in the period between two changes of the zone's offset.
    /// The search handles one such period after another. Therefore, a local time that the clock skips is in no period,
    /// and a local time that the clock repeats is in two periods.
    fn first_in_zone(&self, zone: &TimeZone, from: i64) -> Option<i64> {
        let limit = from.saturating_add(SEARCH_SECONDS);
        let mut from = from;
        loop {
            let start = jiff::Timestamp::from_second(from).ok()?;
            let offset = i64::from(zone.to_offset(start).seconds());
            let run = self.first_on_clock(from + offset)? - offset;
            match zone
                .following(start)
                .next()
                .map(|change| change.timestamp().as_second())
            {
                Some(end) if end <= run && end <= limit => from = end,
                Some(end) if end <= run => return None,
                _ => return Some(run),
            }
        }
    }

    /// The first run at or after the local time `from`, as if the offset of the time zone never changed.
    fn first_on_clock(&self, from: i64) -> Option<i64> {
        let from = from + (-from).rem_euclid(60);
        let mut start = EPOCH.checked_add(SignedDuration::from_secs(from)).ok()?;
        let mut shift = 0;
        // `jiff` does not support the year 10000. Near this year, subtract 400 years for the search, because the
        // calendar repeats after 400 years.
        if start.year() > DateTime::MAX.year() - CALENDAR_YEARS - 1 {
            start = start.checked_sub(CYCLE_YEARS.years()).ok()?;
            shift = CYCLE_SECONDS;
        }
        let mut date = start.date();
        let mut minute = number(start.hour()) * 60 + number(start.minute());
        let last_year = date.year() + CALENDAR_YEARS;
        while date.year() <= last_year {
            if !self.months.has(number(date.month())) {
                date = date.last_of_month();
            } else if self.fires_on(date)
                && let Some(minute) = self.first_in_day(minute)
            {
                let midnight = date.to_datetime(Time::midnight()).duration_since(EPOCH);
                return Some(midnight.as_secs() + i64::from(minute) * 60 + shift);
            }
            (date, minute) = (date.tomorrow().ok()?, 0);
        }
        None
    }

    /// Whether the schedule has a run on a date. If the schedule restricts both the day of the month and the day of the
    /// week, one of them must match. Otherwise both must match.
    fn fires_on(&self, date: Date) -> bool {
        let day = self.days.has(number(date.day()));
        let weekday = date.weekday().to_sunday_zero_offset();
        let weekday = self.weekdays.has(number(weekday));
        if self.days.is_unrestricted() || self.weekdays.is_unrestricted() {
            day && weekday
        } else {
            day || weekday
        }
    }

    /// The first matching minute of a day, at or after the minute `from`. Both minutes are numbers of minutes since
    /// midnight.
    fn first_in_day(&self, from: u32) -> Option<u32> {
        let (hour, minute) = (from / 60, from % 60);
        if self.hours.has(hour)
            && let Some(minute) = self.minutes.first_from(minute)
        {
            return Some(hour * 60 + minute);
        }
        Some(self.hours.first_from(hour + 1)? * 60 + self.minutes.first_from(0)?)
    }
}

/// Converts a day, month, hour or minute of `jiff`, which is never negative.
fn number(part: i8) -> u32 {
    part.unsigned_abs().into()
}

/// Splits the time zone from a schedule such as `TZ=Asia/Tokyo 0 9 * * *`.
fn split_zone(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="))?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

/// Finds a time zone by its exact IANA name.
fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    // In Go, `Local` is the time zone of the process. Assume that the controller runs in UTC.
    if name == "Local" {
        return Ok(TimeZone::UTC);
    }
    match ZONES.get(name) {
        // Unlike Go, `jiff` accepts names in lower case, and has a zone with the name `Etc/Unknown`. Refuse both, as Go
        // does.
        Ok(zone) if zone.iana_name() == Some(name) && !zone.is_unknown() => Ok(zone),
        _ => Err(ScheduleError::TimeZone {
            name: name.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
