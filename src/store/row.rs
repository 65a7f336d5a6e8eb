//! Writes the text of a row: the family name, the constant labels and the base labels before every tail of a cell.

use bytes::BytesMut;

use crate::family::referenced_labels::REFERENCE_MARK;
use crate::k8s::write_label_value;

/// The start of every line of a family, up to the base labels.
#[derive(Clone, Debug)]
pub(crate) struct RowPrefix {
    text: Box<[u8]>,
    name_len: usize,
}

impl RowPrefix {
    /// The prefix of a family with constant labels.
    ///
    /// If `has_base_labels` is true, the prefix leaves the braces open for the base labels.
    pub(crate) fn new(family: &str, constants: &[(String, String)], has_base_labels: bool) -> Self {
        let mut text = family.as_bytes().to_vec();
        if has_base_labels || !constants.is_empty() {
            text.push(b'{');
        }
        for (at, (name, value)) in constants.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            write_label_value(&mut text, value);
            text.push(b'"');
        }
        if has_base_labels && !constants.is_empty() {
            text.push(b',');
        }
        Self {
            text: text.into(),
            name_len: family.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The constant labels, with the opening brace and a comma at the end.
    pub(crate) fn labels(&self) -> &[u8] {
        self.text.get(self.name_len..).unwrap_or_default()
    }

    /// Appends the lines of one row: prefix and base labels before every tail of the cell.
    ///
    /// `shared` returns the value of a code in the cell.
    pub(crate) fn write_row<'v>(
        &self,
        out: &mut BytesMut,
        base: &[u8],
        cell: &[u8],
        shared: impl Fn(u8) -> &'v [u8],
    ) {
        let (mut rest, mut begun) = (cell, false);
        // Every raw newline ends a sample, because label values escape newlines.
        while let Some(at) = memchr::memchr2(b'\n', REFERENCE_MARK, rest) {
            if !begun {
                out.extend_from_slice(&self.text);
                out.extend_from_slice(base);
            }
            let (text, after) = rest.split_at(at);
            begun = after.first() == Some(&REFERENCE_MARK);
            if begun {
                out.extend_from_slice(text);
                out.extend_from_slice(after.get(1).map_or(&[], |&code| shared(code)));
                rest = after.get(2..).unwrap_or_default();
            } else {
                let (tail, after) = rest.split_at(at + 1);
                out.extend_from_slice(tail);
                rest = after;
            }
        }
    }
}
