//! [`SampleLine`]: a stored sample, split into labels and value.

use std::borrow::Cow;

use bytes::BytesMut;

use super::page::Page;
use super::row::{RowLabels, RowPrefix};
use crate::family::label_text::{LabelSearch, as_text, stored_labels};
use crate::family::referenced_labels::REFERENCE_MARK;

/// One sample of a row: the prefix of its family, the row's base labels, and a tail (the rest of the line).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleLine<'a> {
    pub(crate) prefix: &'a RowPrefix,
    /// The labels of the row that precede the tail.
    pub(crate) labels: RowLabels<'a>,
    /// The text from the first label after the base labels to the newline.
    pub(crate) tail: &'a [u8],
    pub(crate) page: &'a Page,
    pub(crate) row: usize,
}

// === impl SampleLine ===

impl<'a> SampleLine<'a> {
    /// The names and the unescaped values of the labels, in the order of the line.
    pub(crate) fn labels(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let parts = [self.prefix.labels(), self.labels.base];
        let mut own = LabelSearch::new(self.tail);
        let joined = stored_labels(self.labels.joined)
            .filter(move |label| !self.labels.own_wins || !own.finds(label.name));
        let labels = parts.into_iter().flat_map(stored_labels).chain(joined);
        let labels = labels.chain(stored_labels(self.tail));
        labels.map(move |label| (label.name, unescape(self.resolve(label.value))))
    }

    /// The value of the sample. In a store, every value is a number; for any other text, the result is NaN.
    pub(crate) fn value(self) -> f64 {
        let text = self.tail.trim_ascii_end();
        let start = memchr::memrchr(b' ', text).map_or(0, |at| at + 1);
        let number = text.get(start..).map(as_text).unwrap_or_default();
        number.parse().unwrap_or(f64::NAN)
    }

    /// The length of the line with its newline, in bytes.
    pub(crate) fn len(self) -> usize {
        if !self.labels.joined.is_empty() && !self.prefix.copies_joined(self.labels.own_wins) {
            let mut line = BytesMut::new();
            self.write(&mut line);
            return line.len();
        }
        let references = memchr::memchr_iter(REFERENCE_MARK, self.tail);
        let tail = references.fold(self.tail.len(), |len, at| {
            let reference = self.tail.get(at..at + 2).unwrap_or_default();
            len - reference.len() + self.resolve(reference).len()
        });
        self.prefix.len() + self.labels.len() + tail
    }

    /// Appends the line with its newline.
    pub(crate) fn write(self, out: &mut BytesMut) {
        let shared = |code| self.page.shared_value(self.row, code);
        self.prefix.write_row(out, self.labels, self.tail, shared);
    }

    /// The escaped text of a stored value. If the value is a reference, the text is in the dictionary of the row.
    fn resolve(self, value: &'a [u8]) -> &'a [u8] {
        match *value {
            [REFERENCE_MARK, code] => self.page.shared_value(self.row, code),
            _ => value,
        }
    }
}

/// Removes the escapes of the text formats from a label value.
fn unescape(value: &[u8]) -> Cow<'_, str> {
    let value = as_text(value);
    if memchr::memchr(b'\\', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(escaped) => escaped,
                None => '\\',
            },
            c => c,
        });
    }
    Cow::Owned(plain)
}
