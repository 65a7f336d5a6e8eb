//! [`StoredLabel`]: one label in the stored text of a sample line.

/// A stored label. The value is escaped text, or a reference to a value in the dictionary of the row.
#[derive(Clone, Copy)]
pub(crate) struct StoredLabel<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a [u8],
    /// The whole label, with the leading comma or brace.
    pub(crate) text: &'a [u8],
}

/// The labels at the start of `part`, which is a part of a sample line. The iterator ends before the first text that is
/// not a label.
pub(crate) fn stored_labels(part: &[u8]) -> impl Iterator<Item = StoredLabel<'_>> {
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
        let text = rest.get(..rest.len() - after.len())?;
        rest = after;
        let name = as_text(name);
        Some(StoredLabel { name, value, text })
    })
}

/// Whether `part`, a part of a sample line, has a label with this name.
pub(crate) fn has_label(part: &[u8], name: &str) -> bool {
    stored_labels(part).any(|label| label.name == name)
}

/// Splits a text at the byte with the index `at`, and returns both parts without this byte.
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

/// Converts stored text without references to a string. Such text is always UTF-8.
pub(crate) fn as_text(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}
