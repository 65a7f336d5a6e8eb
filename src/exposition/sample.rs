//! [`StoredSample`]: one sample as the store has it.

use bytes::BytesMut;

use super::family_rows::FamilyRows;

/// One sample of an [`Exposition`](crate::Exposition).
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredSample<'a> {
    page: FamilyRows<'a>,
    row: usize,
    /// The line from the first label after the base labels on.
    tail: &'a [u8],
}

// === impl StoredSample ===

impl<'a> StoredSample<'a> {
    pub(super) fn new(page: FamilyRows<'a>, row: usize, tail: &'a [u8]) -> Self {
        Self { page, row, tail }
    }

    /// Appends the sample as a line of the text formats.
    pub(super) fn write_line(&self, out: &mut BytesMut) {
        self.page.write_lines(self.row, self.tail, out);
    }
}
