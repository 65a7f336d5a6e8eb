//! Tests of cron schedules: the times of their runs, in time zones and around clock changes, and the errors for invalid
//! schedules. A run is a time at which a schedule starts a Job.

use super::*;
use proptest::prelude::*;

fn seconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// The first `count` runs after the time `base`, in UTC.
fn runs(schedule: &str, zone: Option<&str>, base: &str, count: usize) -> Vec<String> {
    let mut base = seconds(base);
    let mut runs = Vec::new();
    for _ in 0..count {
        let Some(run) = next_after(schedule, zone, base).unwrap() else {
            break;
        };
        assert!(run > base, "{schedule}");
        runs.push(jiff::Timestamp::from_second(run).unwrap().to_string());
        base = run;
    }
    runs
}

fn next(schedule: &str, zone: Option<&str>, base: &str) -> String {
    runs(schedule, zone, base, 1).pop().unwrap_or_default()
}

#[test]
fn the_next_run_is_strictly_after_the_base() {
    for (schedule, base, want) in [
        (
            "*/5 * * * *",
            "2024-03-05T08:14:59Z",
            "2024-03-05T08:15:00Z",
        ),
        (
            "*/5 * * * *",
            "2024-03-05T08:15:00Z",
            "2024-03-05T08:20:00Z",
        ),
        ("* * * * *", "2024-03-05T08:15:30Z", "2024-03-05T08:16:00Z"),
        (
            "59 23 31 12 *",
            "2024-03-05T08:15:30Z",
            "2024-12-31T23:59:00Z",
        ),
        ("0 0 1 1 *", "1969-12-31T23:59:58Z", "1970-01-01T00:00:00Z"),
        ("0 0 31 * *", "2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z"),
        ("0 0 29 2 *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "1896-03-01T00:00:00Z", "1904-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        (
            "0 9 * * MON-FRI",
            "2024-03-01T09:00:00Z",
            "2024-03-04T09:00:00Z",
        ),
        (
            "0 0 * JAN,jul 0",
            "2024-03-05T00:00:00Z",
            "2024-07-07T00:00:00Z",
        ),
        ("0 0 * * 7", "2024-03-05T00:00:00Z", "2024-03-10T00:00:00Z"),
        (
            "\t15  8 * * * ",
            "2024-03-05T08:14:00Z",
            "2024-03-05T08:15:00Z",
        ),
        ("0 0 1 1 *", "0001-01-01T00:00:00Z", "0002-01-01T00:00:00Z"),
        (
            "0 0 1 1 *",
            "-009998-01-01T00:00:00Z",
            "-009997-01-01T00:00:00Z",
        ),
    ] {
        assert_eq!(next(schedule, None, base), want, "{schedule} after {base}");
    }
}

#[test]
fn two_restricted_day_fields_are_alternatives() {
    // 2025-03-01 is a Saturday.
    for (schedule, want) in [
        ("0 0 15 * */2", "2025-03-02T00:00:00Z"),
        ("0 0 15 * *", "2025-03-15T00:00:00Z"),
        ("0 0 15 * ?", "2025-03-15T00:00:00Z"),
        ("0 0 15 * */1", "2025-03-15T00:00:00Z"),
        ("0 0 15 * 0-7", "2025-03-02T00:00:00Z"),
        ("0 0 * * 1", "2025-03-03T00:00:00Z"),
        ("0 0 ? * 1", "2025-03-03T00:00:00Z"),
        ("0 0 */1 * 1", "2025-03-03T00:00:00Z"),
        ("0 0 */2 * 1", "2025-03-03T00:00:00Z"),
        ("0 0 */5 * 2", "2025-03-04T00:00:00Z"),
        ("0 0 13 * 5", "2025-03-07T00:00:00Z"),
        ("0 0 */30,1-7 * 3", "2025-03-02T00:00:00Z"),
    ] {
        assert_eq!(
            next(schedule, None, "2025-03-01T12:00:00Z"),
            want,
            "{schedule}"
        );
    }
}

#[test]
fn descriptors_and_intervals() {
    let base = "2024-03-05T08:15:30Z";
    for (schedule, want) in [
        ("@yearly", "2025-01-01T00:00:00Z"),
        ("@annually", "2025-01-01T00:00:00Z"),
        ("@monthly", "2024-04-01T00:00:00Z"),
        ("@weekly", "2024-03-10T00:00:00Z"),
        ("@daily", "2024-03-06T00:00:00Z"),
        ("@midnight", "2024-03-06T00:00:00Z"),
        ("@hourly", "2024-03-05T09:00:00Z"),
        ("@every 1h30m", "2024-03-05T09:45:30Z"),
        ("@every 1s", "2024-03-05T08:15:31Z"),
        ("@every 2.9s", "2024-03-05T08:15:32Z"),
        ("TZ=UTC @every 1m", "2024-03-05T08:16:30Z"),
        ("TZ=Asia/Tokyo   @daily ", "2024-03-05T15:00:00Z"),
    ] {
        assert_eq!(next(schedule, None, base), want, "{schedule}");
    }
    assert_eq!(
        next("@every 1m", Some("Asia/Tokyo"), base),
        "2024-03-05T08:16:30Z"
    );
    assert_eq!(
        next(" @daily ", Some("Asia/Tokyo"), base),
        "2024-03-05T15:00:00Z"
    );
}

#[test]
fn zones_come_from_the_object_or_the_schedule() {
    let base = "2024-03-05T08:15:30Z";
    for (schedule, zone, want) in [
        ("0 9 * * *", None, "2024-03-05T09:00:00Z"),
        ("0 9 * * *", Some("Etc/UTC"), "2024-03-05T09:00:00Z"),
        ("0 9 * * *", Some("Local"), "2024-03-05T09:00:00Z"),
        (
            "0 9 * * *",
            Some("America/New_York"),
            "2024-03-05T14:00:00Z",
        ),
        ("0 9 * * *", Some("US/Eastern"), "2024-03-05T14:00:00Z"),
        ("0 9 * * *", Some("Asia/Kathmandu"), "2024-03-06T03:15:00Z"),
        ("TZ=Asia/Tokyo 0 9 * * *", None, "2024-03-06T00:00:00Z"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", None, "2024-03-06T00:00:00Z"),
        ("TZ=Local 0 9 * * *", None, "2024-03-05T09:00:00Z"),
    ] {
        assert_eq!(next(schedule, zone, base), want, "{schedule} in {zone:?}");
    }
}

#[test]
fn a_skipped_time_does_not_fire_that_day() {
    let new_york = Some("America/New_York");
    assert_eq!(
        runs("30 2 * * *", new_york, "2024-03-09T00:00:00Z", 3),
        [
            "2024-03-09T07:30:00Z",
            "2024-03-11T06:30:00Z",
            "2024-03-12T06:30:00Z"
        ]
    );
    assert_eq!(
        runs("*/30 1-3 * * *", new_york, "2024-03-10T05:59:59Z", 5),
        [
            "2024-03-10T06:00:00Z",
            "2024-03-10T06:30:00Z",
            "2024-03-10T07:00:00Z",
            "2024-03-10T07:30:00Z",
            "2024-03-11T05:00:00Z"
        ]
    );
    // The clock skips midnight in the first zone, and a whole day in the second zone.
    assert_eq!(
        runs(
            "0 0 * * *",
            Some("America/Sao_Paulo"),
            "2018-11-03T12:00:00Z",
            1
        ),
        ["2018-11-05T02:00:00Z"]
    );
    assert_eq!(
        runs(
            "0 12 * * *",
            Some("Pacific/Apia"),
            "2011-12-29T00:00:00Z",
            2
        ),
        ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"]
    );
    // In this zone, the clock changes by half an hour.
    assert_eq!(
        runs(
            "15 2 * * *",
            Some("Australia/Lord_Howe"),
            "2024-10-05T00:00:00Z",
            2
        ),
        [
            "2024-10-05T15:45:00Z".replace("05T15:45", "06T15:15"),
            "2024-10-07T15:15:00Z".to_owned()
        ]
    );
}

#[test]
fn a_repeated_time_fires_twice() {
    let new_york = Some("America/New_York");
    assert_eq!(
        runs("30 1 * * *", new_york, "2024-11-02T12:00:00Z", 3),
        [
            "2024-11-03T05:30:00Z",
            "2024-11-03T06:30:00Z",
            "2024-11-04T06:30:00Z"
        ]
    );
    assert_eq!(
        runs("0,45 1 * * *", new_york, "2024-11-03T05:10:00Z", 4),
        [
            "2024-11-03T05:45:00Z",
            "2024-11-03T06:00:00Z",
            "2024-11-03T06:45:00Z",
            "2024-11-04T06:00:00Z"
        ]
    );
    // For the year 2090, the time zone database contains a rule instead of a list of changes.
    assert_eq!(
        runs(
            "30 2 * * *",
            Some("Europe/Berlin"),
            "2090-10-28T12:00:00Z",
            3
        ),
        [
            "2090-10-29T00:30:00Z",
            "2090-10-29T01:30:00Z",
            "2090-10-30T01:30:00Z"
        ]
    );
}

#[test]
fn some_schedules_never_fire() {
    for schedule in [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 feb *",
        ", * * * *",
        "0 0 , * *",
    ] {
        for zone in [None, Some("Europe/Berlin"), Some("Africa/Casablanca")] {
            assert_eq!(
                next_after(schedule, zone, 1_709_626_530),
                Ok(None),
                "{schedule}"
            );
        }
    }
    assert_eq!(next_after("* * * * *", None, i64::MAX), Ok(None));
    assert_eq!(next_after("* * * * *", None, i64::MIN), Ok(None));
    assert_eq!(next_after("@every 1h", None, i64::MAX), Ok(None));
    assert_eq!(
        next_after("0 0 1 1 *", None, seconds("9999-12-30T00:00:00Z")),
        Ok(Some(253_402_300_800))
    );
}

#[test]
fn what_the_controller_refuses_is_invalid() {
    for (schedule, found) in [
        ("", 0),
        (" ", 0),
        ("hello", 1),
        ("* * * *", 4),
        ("0 * * * * *", 6),
        ("0 0 0 1 1 * 2030", 7),
        (" @daily", 1),
    ] {
        assert_eq!(
            validate(schedule, None),
            Err(ScheduleError::FieldCount { found }),
            "{schedule}"
        );
    }
    for schedule in [
        "@",
        "@reboot",
        "@fortnightly",
        "@Daily",
        "@daily ",
        "@every",
        "@every1h",
    ] {
        let text = schedule.to_owned();
        assert_eq!(
            validate(schedule, None),
            Err(ScheduleError::Descriptor { text })
        );
    }
    for text in ["", "0", "-1h", "60", "999999999ns", "1h ", " 1h", "1d"] {
        let error = ScheduleError::Interval {
            text: text.to_owned(),
        };
        assert_eq!(validate(&format!("@every {text}"), None), Err(error));
    }
    for (schedule, field) in [
        ("60 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 L * *", "day of month"),
        ("0 0 1 */12 *", "month"),
        ("0 0 * * 5#3", "day of week"),
    ] {
        let error = validate(schedule, None);
        assert!(
            matches!(&error, Err(ScheduleError::Field { field: f, .. }) if *f == field),
            "{error:?}"
        );
    }
}

#[test]
fn an_unknown_zone_makes_a_schedule_invalid() {
    for name in [
        "",
        "Mars/Olympus_Mons",
        "../UTC",
        "+05:30",
        "europe/berlin",
        "Europe",
        "Europe/Berlin ",
        "local",
        "Etc/Unknown",
        "UTC\0",
        "EST5EDT,M3.2.0,M11.1.0",
    ] {
        let error = Err(ScheduleError::TimeZone {
            name: name.to_owned(),
        });
        assert_eq!(validate("0 9 * * *", Some(name)), error);
    }
    for (schedule, name) in [
        ("TZ= 0 9 * * *", ""),
        ("TZ=Mars/A 0 9 * * *", "Mars/A"),
        ("CRON_TZ=x", "x"),
    ] {
        assert_eq!(
            validate(schedule, None),
            Err(ScheduleError::TimeZone {
                name: name.to_owned()
            })
        );
    }
    assert_eq!(
        validate("TZ=UTC 0 9 * * *", Some("UTC")),
        Err(ScheduleError::TwoTimeZones)
    );
    assert_eq!(
        validate("CRON_TZ=UTC 0 9 * * *", Some("UTC")),
        Err(ScheduleError::TwoTimeZones)
    );
    assert_eq!(
        validate("TZ=UTC", None),
        Err(ScheduleError::FieldCount { found: 0 })
    );
}

#[test]
fn errors_name_the_part_and_the_cure() {
    let text = |schedule, zone| validate(schedule, zone).unwrap_err().to_string();
    assert_eq!(
        text("5,61 * * * *", None),
        "minute field has \"61\"; write numbers from 0 to 59, as in \"*\", \"0-59\", \"*/2\""
    );
    assert!(text("* *", None).contains("2 fields"));
    assert!(text("0 9 * * *", Some("Mars")).contains("\"Mars\""));
}

/// Returns the matching minutes from `from` to `until`. This function checks each minute.
fn brute_force(schedule: &str, zone: &str, from: i64, until: i64) -> Vec<i64> {
    let clock = Clock::parse(schedule).unwrap();
    let zone = super::zone(zone).unwrap();
    (from + 1..=until)
        .filter(|second| {
            let time = jiff::Timestamp::from_second(*second)
                .unwrap()
                .to_zoned(zone.clone());
            time.second() == 0
                && clock.minutes.has(time.minute().unsigned_abs().into())
                && clock.hours.has(time.hour().unsigned_abs().into())
                && clock.months.has(time.month().unsigned_abs().into())
                && clock.fires_on(time.date())
        })
        .collect()
}

#[test]
fn agrees_with_looking_at_every_second_around_clock_changes() {
    for (zone, base) in [
        ("America/New_York", "2024-03-10T00:00:00Z"),
        ("America/New_York", "2024-11-03T00:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T06:00:00Z"),
        ("Australia/Lord_Howe", "2024-10-05T06:00:00Z"),
        ("Pacific/Apia", "2011-12-30T00:00:00Z"),
        ("Africa/Casablanca", "2024-03-09T18:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03T18:00:00Z"),
        ("Europe/Dublin", "1916-10-01T00:00:00Z"),
    ] {
        for schedule in [
            "*/15 0-3 * * *",
            "7/20 * * * *",
            "30 1,2 */2 * 0",
            "0 0 * * *",
        ] {
            let from = seconds(base);
            let until = from + 36 * 3600;
            let mut found = Vec::new();
            let mut last = from;
            while let Ok(Some(run)) = next_after(schedule, Some(zone), last) {
                if run > until {
                    break;
                }
                found.push(run);
                last = run;
            }
            assert_eq!(
                found,
                brute_force(schedule, zone, from, until),
                "{schedule} in {zone} after {base}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_harmless(
        schedule in "((TZ=|CRON_TZ=)(UTC|Asia/Tokyo|x)? )?([0-9*?/,a-z@-]{0,6} ?){0,7}|\\PC*",
        zone in proptest::option::of("UTC|Europe/Berlin|\\PC*"), base: i64,
    ) {
        let result = next_after(&schedule, zone.as_deref(), base);
        prop_assert_eq!(result.is_ok(), validate(&schedule, zone.as_deref()).is_ok());
        if let Ok(Some(next)) = result {
            prop_assert!(next > base);
        }
    }

    #[test]
    fn any_valid_schedule_fires_when_its_fields_match(
        minute in 0..60, hour in 0..24, day in 1..29, month in 1..13, base in -2_000_000_000_i64..200_000_000_000,
    ) {
        let schedule = format!("{minute} {hour} {day} {month} *");
        let next = next_after(&schedule, None, base).unwrap().unwrap();
        let time = jiff::Timestamp::from_second(next).unwrap().to_zoned(TimeZone::UTC);
        prop_assert_eq!(
            (i32::from(time.minute()), i32::from(time.hour()), i32::from(time.day()), i32::from(time.month())),
            (minute, hour, day, month)
        );
        prop_assert!(next > base && next - base <= 366 * SECONDS_PER_DAY);
    }
}
