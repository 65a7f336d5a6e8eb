//! What a compressed block is the text of, and where it begins.

use std::ops::Range;

use crate::exposition::Format;

/// Where a block begins. Two states of a place are two states of the same rows of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::exposition) struct Place {
    /// The page's number.
    pub(in crate::exposition) page: u64,
    pub(in crate::exposition) column: u32,
    pub(in crate::exposition) row: u8,
    /// The format of the header in front, where there is one.
    pub(in crate::exposition) header: Option<Format>,
}

/// The parts of a block: equal keys at equal places are equal texts, as long as headers do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::exposition) struct BlockKey {
    parts: Vec<PartKey>,
}

/// Some rows of a column. Versions differ between any two states of any two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exposition) struct PartKey {
    pub(in crate::exposition) base: u64,
    pub(in crate::exposition) column: u64,
    /// Of the values that rows share, where the column refers to them.
    pub(in crate::exposition) shared: u64,
    pub(in crate::exposition) rows: Range<u8>,
    pub(in crate::exposition) header: Option<Format>,
}

impl BlockKey {
    pub(super) fn with_capacity(parts: usize) -> Self {
        Self {
            parts: Vec::with_capacity(parts),
        }
    }

    pub(super) fn push(&mut self, part: PartKey) {
        self.parts.push(part);
    }

    /// The highest version: each change of a column takes a higher one than all before it.
    pub(super) fn newest(&self) -> u64 {
        let versions = (self.parts.iter()).map(|part| part.base.max(part.column).max(part.shared));
        versions.max().unwrap_or(0)
    }

    /// Memory it holds, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.parts.capacity() * size_of::<PartKey>()
    }
}
