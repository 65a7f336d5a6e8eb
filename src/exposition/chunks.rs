//! The bytes of an exposition, piece by piece.

use bytes::{Bytes, BytesMut};

use super::duplicates::repeated_lines;
use super::{Exposition, Format};

/// A piece is handed out once it holds this much. Larger ones would leave the processor's caches.
const CHUNK: usize = 64 * 1024;

/// The pieces of an [`Exposition`], in order.
///
/// Each is about 64 KiB; the memory of a dropped piece serves a later one.
#[derive(Debug)]
pub struct Chunks {
    exposition: Exposition,
    at: Position,
    buffer: BytesMut,
    done: bool,
}

/// Where in the plan the next row is.
#[derive(Clone, Debug, Default)]
struct Position {
    family: usize,
    source: usize,
    page: usize,
    row: usize,
    /// The header of the current family has been written.
    headed: bool,
    /// Lines of the current family that are left out, and how many lines there were so far.
    repeated: Option<Vec<usize>>,
    line: usize,
}

impl Chunks {
    pub(super) fn new(exposition: Exposition) -> Self {
        Self {
            exposition,
            at: Position::default(),
            buffer: BytesMut::new(),
            done: false,
        }
    }

    /// Writes rows until the buffer is full; says whether any are left.
    fn fill(&mut self) -> bool {
        let Exposition {
            plan,
            snapshots,
            format,
            selection,
        } = &self.exposition;
        let at = &mut self.at;
        while let Some(family) = plan.families().get(at.family) {
            if !selection.has_family(family.name()) {
                at.next_family();
                continue;
            }
            while let Some(source) = family.sources.get(at.source) {
                let slot = plan.slots().get(source.slot);
                let selected =
                    slot.is_some_and(|slot| selection.has_resource(slot.resource().plural()));
                let Some(snapshot) = snapshots.get(source.slot).filter(|_| selected) else {
                    at.next_source();
                    continue;
                };
                let repeated =
                    (at.repeated).get_or_insert_with(|| repeated_lines(family, snapshots));
                for page in snapshot.pages().skip(at.page) {
                    let columns = page.columns();
                    let (Some(base), Some(column)) =
                        (columns.get(source.base), columns.get(source.column))
                    else {
                        break;
                    };
                    if column.bytes() == 0 {
                        at.page += 1;
                        continue;
                    }
                    while at.row < page.len() {
                        if self.buffer.len() >= CHUNK {
                            return true;
                        }
                        let cell = column.cell(at.row);
                        if !cell.is_empty() && selection.has_key(page.key(at.row)) {
                            if !at.headed {
                                self.buffer.extend_from_slice(family.header(*format));
                                at.headed = true;
                            }
                            if repeated.is_empty() {
                                source
                                    .prefix
                                    .write_row(&mut self.buffer, base.cell(at.row), cell);
                            } else {
                                for tail in cell.split_inclusive(|&byte| byte == b'\n') {
                                    if repeated.binary_search(&at.line).is_err() {
                                        let base = base.cell(at.row);
                                        source.prefix.write_row(&mut self.buffer, base, tail);
                                    }
                                    at.line += 1;
                                }
                            }
                        } else if !repeated.is_empty() {
                            at.line += memchr::memchr_iter(b'\n', cell).count();
                        }
                        at.row += 1;
                    }
                    at.page += 1;
                    at.row = 0;
                }
                at.next_source();
            }
            at.next_family();
        }
        false
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        // Takes the memory of dropped pieces again. A row may go beyond the mark, hence the room.
        self.buffer.reserve(CHUNK + CHUNK / 4);
        if !self.fill() {
            self.done = true;
            if self.exposition.format == Format::OpenMetrics {
                self.buffer.extend_from_slice(b"# EOF\n");
            }
        }
        if self.buffer.is_empty() {
            return None;
        }
        Some(self.buffer.split().freeze())
    }
}

impl Position {
    fn next_source(&mut self) {
        self.source += 1;
        self.page = 0;
        self.row = 0;
    }

    fn next_family(&mut self) {
        *self = Self {
            family: self.family + 1,
            ..Self::default()
        };
    }
}
