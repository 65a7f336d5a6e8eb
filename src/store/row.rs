//! Writes the sample lines of a row. Each line consists of the family name, the constant labels, the base labels, the
//! joined labels, and a *tail*. The tail, which is stored in a cell, is the rest of the line: further labels and the
//! value.

use bytes::BytesMut;

use crate::family::label_text::{LabelSearch, stored_labels};
use crate::family::referenced_labels::REFERENCE_MARK;
use crate::k8s::write_label_value;

/// The start of every line of a family: the text before the base labels.
#[derive(Clone, Debug)]
pub(crate) struct RowPrefix {
    text: Box<[u8]>,
    name_len: usize,
}

/// The labels of a row that precede the labels of its families.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowLabels<'a> {
    pub(crate) base: &'a [u8],
    /// The joined labels, each with a leading comma.
    pub(crate) joined: &'a [u8],
    /// Whether samples of the family may have a label with the same name as a joined label. A sample keeps its own
    /// label, and does not get the joined label.
    pub(crate) own_wins: bool,
}

// === impl RowLabels ===

impl RowLabels<'_> {
    pub(crate) fn len(&self) -> usize {
        self.base.len() + self.joined.len()
    }
}

// === impl RowPrefix ===

impl RowPrefix {
    /// Creates the prefix of a family. `constants` contains the constant labels.
    ///
    /// If `has_base_labels` is true, the prefix ends with the opening brace or a comma, because the base labels follow.
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

    /// The opening brace and the constant labels. A comma follows if the family has base labels.
    pub(crate) fn labels(&self) -> &[u8] {
        self.text.get(self.name_len..).unwrap_or_default()
    }

    /// Appends the lines of one row. Each line consists of the prefix, the labels, and one tail of the cell.
    ///
    /// `shared` looks up a code of the cell in the dictionary, and returns the value.
    pub(crate) fn write_row<'v>(
        &self,
        out: &mut BytesMut,
        labels: RowLabels<'_>,
        cell: &[u8],
        shared: impl Fn(u8) -> &'v [u8],
    ) {
        if labels.joined.is_empty() {
            write_lines(out, cell, shared, |out, rest| {
                out.extend_from_slice(&self.text);
                out.extend_from_slice(labels.base);
                rest
            });
        } else if self.copies_joined(labels.own_wins) {
            write_lines(out, cell, shared, |out, rest| {
                out.extend_from_slice(&self.text);
                out.extend_from_slice(labels.base);
                out.extend_from_slice(labels.joined);
                rest
            });
        } else {
            write_lines(out, cell, shared, |out, rest| {
                self.begin_line(out, labels, rest)
            });
        }
    }

    /// Whether every line contains all joined labels. If `own_wins` is true, a label of a sample may replace a joined
    /// label with the same name.
    pub(crate) fn copies_joined(&self, own_wins: bool) -> bool {
        self.has_open_brace() && !own_wins
    }

    /// Whether the prefix contains the opening brace of the labels.
    pub(crate) fn has_open_brace(&self) -> bool {
        self.text.len() > self.name_len
    }

    /// Appends the start of a line. Omits a joined label if the tail has a label with the same name. Returns the rest
    /// of the tail.
    fn begin_line<'c>(
        &self,
        out: &mut BytesMut,
        labels: RowLabels<'_>,
        rest: &'c [u8],
    ) -> &'c [u8] {
        out.extend_from_slice(&self.text);
        out.extend_from_slice(labels.base);
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let tail = rest.get(..end).unwrap_or_default();
        let start = out.len();
        let mut own = LabelSearch::new(tail);
        for label in stored_labels(labels.joined) {
            if !own.finds(label.name) {
                out.extend_from_slice(label.text);
            }
        }
        if self.has_open_brace() || out.len() == start {
            return rest;
        }
        // The prefix has no brace. If the tail has labels, the tail begins with a brace.
        if let Some(comma) = out.get_mut(start) {
            *comma = b'{';
        }
        match rest.strip_prefix(b"{") {
            Some(after) => {
                out.extend_from_slice(b",");
                after
            }
            None => {
                out.extend_from_slice(b"}");
                rest
            }
        }
    }
}

/// Appends the lines of a cell. `begin` gets the part of the cell that is not written yet, appends the start of a line,
/// and returns the part that must follow.
fn write_lines<'v, 'c>(
    out: &mut BytesMut,
    cell: &'c [u8],
    shared: impl Fn(u8) -> &'v [u8],
    begin: impl Fn(&mut BytesMut, &'c [u8]) -> &'c [u8],
) {
    let (mut rest, mut begun) = (cell, false);
    while !rest.is_empty() {
        if !begun {
            rest = begin(out, rest);
        }
        // Every newline byte ends a sample, because label values escape newlines.
        let Some(at) = memchr::memchr2(b'\n', REFERENCE_MARK, rest) else {
            break;
        };
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
