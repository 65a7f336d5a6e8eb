//! [`StoredLabel`]: one label in the stored text of a sample line.

use std::collections::HashSet;

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

/// Searches for names among the labels of a part of a sample line. After a few searches, the names are collected in a
/// set, so that the time does not grow with the product of searches and labels.
pub(crate) struct LabelSearch<'a> {
    part: &'a [u8],
    searches: usize,
    names: Option<HashSet<&'a str>>,
}

/// The number of searches before the names are collected. Most samples need fewer searches.
const FEW_SEARCHES: usize = 8;

// === impl LabelSearch ===

impl<'a> LabelSearch<'a> {
    pub(crate) fn new(part: &'a [u8]) -> Self {
        Self {
            part,
            searches: 0,
            names: None,
        }
    }

    /// Whether the part has a label with this name.
    pub(crate) fn finds(&mut self, name: &str) -> bool {
        let mut labels = stored_labels(self.part);
        if self.searches < FEW_SEARCHES {
            self.searches += 1;
            return labels.any(|label| label.name == name);
        }
        let names = || labels.map(|label| label.name).collect();
        self.names.get_or_insert_with(names).contains(name)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_searches_find_the_same_labels() {
        let mut search = LabelSearch::new(b",a=\"1\",b=\"}\",c=\"\"} 1");
        for _ in 0..2 * FEW_SEARCHES {
            let found = ["a", "ab", "c", "d"].map(|name| search.finds(name));
            assert_eq!(found, [true, false, true, false]);
        }
    }
}
