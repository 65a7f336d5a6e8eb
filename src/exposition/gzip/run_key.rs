//! [`RunKey`] and [`RunRevision`]: identify a run of rows in a compressed block, and the state of the run.

use crate::exposition::format::Format;

/// Identifies a run of rows. The key stays the same if the text of the run changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::exposition) struct RunKey {
    pub(in crate::exposition) page: u64,
    pub(in crate::exposition) column: u32,
    pub(in crate::exposition) first_row: u8,
    /// The number of the part, if the run is only a part of a long row. The number is 0 if the run consists of whole
    /// rows.
    pub(in crate::exposition) part: u16,
    /// The format of the header; `None` if the run does not start with the header of the family.
    pub(in crate::exposition) header: Option<Format>,
}

/// Identifies the content of a run by the versions of its columns. If two runs have equal keys and equal revisions,
/// they have the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exposition) struct RunRevision {
    pub(in crate::exposition) base_labels: u64,
    pub(in crate::exposition) samples: u64,
    /// The version of the joined labels; 0 if there are no joined labels.
    pub(in crate::exposition) joined: u64,
    /// The version of the dictionary; 0 if no sample refers to the dictionary.
    pub(in crate::exposition) dictionary: u64,
    pub(in crate::exposition) end_row: u8,
}

#[cfg(test)]
impl RunKey {
    pub(super) fn of(page: u64) -> Self {
        Self {
            page,
            column: 0,
            first_row: 0,
            part: 0,
            header: None,
        }
    }
}

#[cfg(test)]
impl RunRevision {
    pub(super) fn of(samples: u64) -> Self {
        Self {
            base_labels: 0,
            samples,
            joined: 0,
            dictionary: 0,
            end_row: 1,
        }
    }
}
