//! The text of a row: the family name, constant and base labels in front of every tail of a cell.

use bytes::BytesMut;

use crate::family::dictionary::REFERENCE_MARK;
use crate::k8s::write_label_value;

/// What every line of a family starts with, up to the base labels.
#[derive(Clone, Debug)]
pub(crate) struct RowPrefix(Box<[u8]>);

impl RowPrefix {
    /// The prefix of the family `name` with constant labels.
    ///
    /// With `has_base_labels`, the prefix leaves the braces open for the base labels.
    pub(crate) fn new(name: &str, constants: &[(String, String)], has_base_labels: bool) -> Self {
        let mut text = name.as_bytes().to_vec();
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
        Self(text.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends the lines of one row: prefix and base labels in front of every tail of the cell.
    ///
    /// `shared` says what a code in the cell stands for.
    pub(crate) fn write_row<'v>(
        &self,
        out: &mut BytesMut,
        base: &[u8],
        cell: &[u8],
        shared: impl Fn(u8) -> &'v [u8],
    ) {
        let (mut rest, mut begun) = (cell, false);
        // A raw newline only ever ends a sample: label values escape theirs.
        while let Some(at) = memchr::memchr2(b'\n', REFERENCE_MARK, rest) {
            if !begun {
                out.extend_from_slice(&self.0);
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
