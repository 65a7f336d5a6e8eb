//! The format and the level of the log.

use super::flags::Flags;
use super::parse::LogFormat;
use super::reader::Reader;
use super::table;

/// The format and the level of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) format: LogFormat,
    pub(crate) verbosity: i64,
}

// === impl LogOptions ===

impl LogOptions {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            verbosity: reader.value(&table::VERBOSITY),
            format: reader.value(&table::LOG_FORMAT),
        }
    }

    /// Reads the flags. The function does not report problems, because logging has not started.
    /// [`Options::new`](super::Options::new) reports these problems together with the problems of other options.
    pub(crate) fn of(flags: &Flags) -> Self {
        Self::read(&mut Reader::new(flags, None))
    }
}
