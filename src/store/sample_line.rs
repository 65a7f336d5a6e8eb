//! [`SampleLine`]: a stored sample, split into labels and value.

use std::borrow::Cow;

use bytes::BytesMut;

use super::page::Page;
use super::row::RowPrefix;
use crate::family::referenced_labels::REFERENCE_MARK;

/// One sample of a row: the prefix of its family, the row's base labels, and a tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleLine<'a> {
    pub(crate) prefix: &'a RowPrefix,
    pub(crate) base_labels: &'a [u8],
    /// The text from the first label after the base labels to the newline.
    pub(crate) tail: &'a [u8],
    pub(crate) page: &'a Page,
    pub(crate) row: usize,
}

/// A stored label: its value is escaped, or is a reference to a shared value.
struct StoredLabel<'a> {
    name: &'a str,
    value: &'a [u8],
}

// === impl SampleLine ===

impl<'a> SampleLine<'a> {
    /// Names and unescaped values of the labels, in the order of the line.
    pub(crate) fn labels(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let parts = [self.prefix.labels(), self.base_labels, self.tail];
        let labels = parts.into_iter().flat_map(stored_labels);
        labels.map(move |label| (label.name, unescape(self.resolve(label.value))))
    }

    /// The value; NaN if the text is not a number, which a store never contains.
    pub(crate) fn value(self) -> f64 {
        let text = self.tail.trim_ascii_end();
        let start = memchr::memrchr(b' ', text).map_or(0, |at| at + 1);
        let number = text.get(start..).map(as_text).unwrap_or_default();
        number.parse().unwrap_or(f64::NAN)
    }

    /// The length of the line with its newline, in bytes.
    pub(crate) fn len(self) -> usize {
        let references = memchr::memchr_iter(REFERENCE_MARK, self.tail);
        let tail = references.fold(self.tail.len(), |len, at| {
            let reference = self.tail.get(at..at + 2).unwrap_or_default();
            len - reference.len() + self.resolve(reference).len()
        });
        self.prefix.len() + self.base_labels.len() + tail
    }

    /// Appends the line with its newline.
    pub(crate) fn write(self, out: &mut BytesMut) {
        let shared = |code| self.page.shared_value(self.row, code);
        self.prefix
            .write_row(out, self.base_labels, self.tail, shared);
    }

    /// The escaped text of a stored value.
    fn resolve(self, value: &'a [u8]) -> &'a [u8] {
        match *value {
            [REFERENCE_MARK, code] => self.page.shared_value(self.row, code),
            _ => value,
        }
    }
}

/// The labels in a part of a line, until the labels or the part end.
fn stored_labels(part: &[u8]) -> impl Iterator<Item = StoredLabel<'_>> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let label = match rest {
            [b'{' | b',', label @ ..] => label,
            label => label,
        };
        let (name, quoted) = split_at_byte(label, memchr::memchr(b'=', label)?)?;
        // The text after the labels, such as `} 1`, contains no `=`.
        let quoted = quoted.strip_prefix(b"\"")?;
        let (value, after) = split_at_byte(quoted, closing_quote(quoted)?)?;
        rest = after;
        let name = as_text(name);
        Some(StoredLabel { name, value })
    })
}

/// The text before and after the byte at a position.
fn split_at_byte(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The position of the first quote that is not escaped.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The value without the escapes of the text formats.
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

/// Converts stored text to a string. A store contains only UTF-8 and references.
fn as_text(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}
