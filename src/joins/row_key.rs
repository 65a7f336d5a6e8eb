//! [`RowKey`]: the parts of a row that its joined labels depend on.

use super::reference::FIELD_END;

/// The parts of a row that its joined labels depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowKey<'a> {
    /// `namespace/name`, or `name`.
    pub(crate) key: &'a str,
    /// The cell that [`RowJoins::write_links`](super::RowJoins::write_links) has written.
    pub(crate) links: &'a [u8],
}

// === impl RowKey ===

impl<'a> RowKey<'a> {
    pub(super) fn namespace(self) -> &'a str {
        let parts = self.key.split_once('/');
        parts.map_or("", |(namespace, _)| namespace)
    }

    pub(super) fn node(self) -> &'a [u8] {
        self.fields().next().unwrap_or_default()
    }

    pub(super) fn controller(self) -> &'a [u8] {
        self.fields().nth(1).unwrap_or_default()
    }

    /// The value with this position among the values of the row.
    pub(super) fn own(self, position: usize) -> &'a [u8] {
        self.fields().nth(position + 2).unwrap_or_default()
    }

    /// The maximum length of the joined labels of the row. `own` is the number of values that the row has from its
    /// object. `None` if the length is not limited.
    pub(super) fn max_len(self, own: usize) -> Option<usize> {
        let field = self.fields().nth(own + 2)?;
        std::str::from_utf8(field).ok()?.parse().ok()
    }

    fn fields(self) -> impl Iterator<Item = &'a [u8]> {
        self.links.split(|&byte| byte == FIELD_END)
    }
}
