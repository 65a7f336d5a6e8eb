//! [`RowKey`]: the data of a row that determines the joined labels of its samples.
//!
//! A row does not store joined labels that come from other objects. It stores only the names of these objects. From the
//! names, the code finds the objects and their labels.

use super::reference::FIELD_END;

/// The data of a row that determines the joined labels of its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowKey<'a> {
    /// The key of the row's object: `namespace/name`, or `name` for a cluster-scoped object.
    pub(crate) key: &'a str,
    /// The text that [`RowJoins::write_links`](super::RowJoins::write_links) has written: the names of the node and of
    /// the controller, and the values that are joined from the row's own object.
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

    /// The values that are joined from the row's own object. `count` is their number.
    pub(super) fn own(self, count: usize) -> impl Iterator<Item = &'a [u8]> {
        self.fields().skip(2).take(count)
    }

    /// The maximum length of the joined labels of the row; `None` if the length is not limited. `own` is the number of
    /// values that are joined from the row's own object.
    pub(super) fn max_len(self, own: usize) -> Option<usize> {
        let field = self.fields().nth(own + 2)?;
        std::str::from_utf8(field).ok()?.parse().ok()
    }

    fn fields(self) -> impl Iterator<Item = &'a [u8]> {
        self.links.split(|&byte| byte == FIELD_END)
    }
}
