//! Splits JSON objects and lists into the bytes of their values. The bytes are not checked for UTF-8: the decoder
//! checks only the texts that it reads, and an API server can send other bytes in fields that no family reads.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

/// Reads one JSON value after another.
struct Values<'a> {
    rest: &'a [u8],
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the values of the fields `names` of a JSON object. A field is `None` if the object lacks it.
///
/// The result is `None` if the JSON is malformed or is not an object, or if it has one of the fields twice.
pub(crate) fn json_fields<'a, const N: usize>(
    json: &'a [u8],
    names: [&str; N],
) -> Option<[Option<&'a [u8]>; N]> {
    let mut found = [None; N];
    let mut values = Values { rest: json };
    values.skip(b'{')?;
    let mut is_closed = values.skip(b'}').is_some();
    while !is_closed {
        let (Text(name), _) = values.next()?;
        values.skip(b':')?;
        let (IgnoredAny, value) = values.next()?;
        let own = names.iter().position(|own| *own == name);
        if let Some(own) = own.and_then(|at| found.get_mut(at))
            && own.replace(value).is_some()
        {
            return None;
        }
        is_closed = values.is_closed_by(b'}')?;
    }
    values.is_empty().then_some(found)
}

/// Returns the items of a JSON list. The result is `None` if the JSON is malformed, or is not a list of at most `most`
/// items.
pub(crate) fn json_items(json: &[u8], most: usize) -> Option<Vec<&[u8]>> {
    let mut items = Vec::new();
    let mut values = Values { rest: json };
    values.skip(b'[')?;
    let mut is_closed = values.skip(b']').is_some();
    while !is_closed {
        let (IgnoredAny, item) = values.next()?;
        if items.len() == most {
            return None;
        }
        items.push(item);
        is_closed = values.is_closed_by(b']')?;
    }
    values.is_empty().then_some(items)
}

/// Returns the text of a JSON string.
pub(crate) fn json_text(json: &[u8]) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_slice(json).ok()?;
    Some(text)
}

// === impl Values ===

impl<'a> Values<'a> {
    /// Reads the next value, and returns it with its bytes.
    fn next<T: Deserialize<'a>>(&mut self) -> Option<(T, &'a [u8])> {
        self.rest = self.rest.trim_ascii_start();
        let mut values = Deserializer::from_slice(self.rest).into_iter();
        let value = values.next()?.ok()?;
        let (bytes, rest) = self.rest.split_at_checked(values.byte_offset())?;
        self.rest = rest;
        Some((value, bytes))
    }

    /// Skips this byte. Returns `None` if another byte follows.
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.trim_ascii_start().strip_prefix(&[byte])?;
        Some(())
    }

    /// Skips the comma or the bracket after a value. Returns whether it was the bracket `close`.
    fn is_closed_by(&mut self, close: u8) -> Option<bool> {
        match self.skip(close) {
            Some(()) => Some(true),
            None => self.skip(b',').map(|()| false),
        }
    }

    fn is_empty(&self) -> bool {
        self.rest.trim_ascii_start().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_values_are_returned_whatever_their_texts_contain() {
        let json = b" {\"a\" : \"\xff\\ud800}\" ,\"x\":[1e999,{\"\xc0\":0}], \"\\u0062\":-1.5, \"c\":null} ";
        let fields = json_fields(json, ["a", "b", "c", "d"]).unwrap();
        let expected: [Option<&[u8]>; 4] = [
            Some(b"\"\xff\\ud800}\""),
            Some(b"-1.5"),
            Some(b"null"),
            None,
        ];
        assert_eq!(fields, expected);
        let items = json_items(b"[ 1,\"\xff\" , {\"a\":[2]}]", 3).unwrap();
        assert_eq!(items, [&b"1"[..], b"\"\xff\"", b"{\"a\":[2]}"]);
        assert_eq!(json_fields(b"{}", ["a"]), Some([None]));
        assert_eq!(json_items(b"[]", 0), Some(Vec::new()));
        assert_eq!(json_items(b"[1]", 0), None);
    }

    #[test]
    fn malformed_json_has_no_values() {
        for json in [
            "",
            "{",
            "}",
            "[]",
            "1",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":1}}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1,"a":2}"#,
            r#"{a:1}"#,
            r#"{1:1}"#,
            r#"{"a":01}"#,
        ] {
            assert_eq!(json_fields(json.as_bytes(), ["a"]), None, "{json}");
        }
        for json in ["", "[", "{}", "[,]", "[1,]", "[1 2]", "[1]]", "[1],", "[x]"] {
            assert_eq!(json_items(json.as_bytes(), 9), None, "{json}");
        }
    }
}
