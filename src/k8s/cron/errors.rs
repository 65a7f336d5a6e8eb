//! The reasons why a schedule is invalid.

/// The reason why the CronJob controller cannot run a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScheduleError {
    /// The schedule does not have five fields.
    #[error("schedule has {found} fields; write five, such as \"*/5 * * * *\"")]
    FieldCount {
        /// The number of fields.
        found: usize,
    },
    /// A field has an invalid word, number, range or step.
    #[error(
        "{field} field has {text:?}; write numbers from {min} to {max}, as in \"*\", \"{min}-{max}\", \"*/2\""
    )]
    Field {
        /// The meaning of the field.
        field: &'static str,
        /// The invalid part of the field.
        text: String,
        /// The minimum of the field.
        min: u32,
        /// The maximum of the field.
        max: u32,
    },
    /// The schedule is a word that begins with `@`, but not a known descriptor.
    #[error(
        "{text:?} is not a schedule; write @hourly, @daily, @weekly, @monthly, @yearly or five fields"
    )]
    Descriptor {
        /// The word.
        text: String,
    },
    /// The interval of `@every` is not a duration, or is shorter than a second.
    #[error("{text:?} is not an interval of a second or more; write one such as \"@every 1h30m\"")]
    Interval {
        /// The text after `@every`.
        text: String,
    },
    /// The time zone is not in the IANA database.
    #[error("time zone {name:?} is unknown; write an IANA name such as \"Europe/Berlin\"")]
    TimeZone {
        /// The name of the zone.
        name: String,
    },
    /// Both the object and the schedule name a time zone.
    #[error("time zone is set twice; remove the time zone at the start of the schedule")]
    TwoTimeZones,
}
