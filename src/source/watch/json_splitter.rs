//! Cutting answers into objects while their bytes arrive, so that no answer is ever held whole.
//!
//! A list is one JSON object whose `items` may be hundreds of megabytes; a watch is one JSON object
//! per line. Both are cut without being parsed: the objects are decoded by whoever takes them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::{memchr, memchr2};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Cuts a list into its items and keeps the rest of it.
#[derive(Debug, Default)]
pub(super) struct ListSplitter {
    place: Place,
    nesting: Nesting,
    /// What has come of the item that is not complete.
    item: Vec<u8>,
    /// All bytes but the items.
    envelope: Vec<u8>,
}

/// What a list says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListMeta {
    pub(super) version: String,
    /// Token of the next page.
    pub(super) next: Option<String>,
    /// The shard selector that the server applied.
    pub(super) shard: Option<String>,
}

/// Cuts a watch into its lines.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// What has come of the line that is not complete.
    line: Vec<u8>,
}

/// Why bytes are not the answer they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("the answer ends in the middle")]
    Truncated,
    #[error("the answer is not a list of objects")]
    NotAList,
    #[error("the list does not say its resourceVersion")]
    NoVersion,
    #[error("an object of the answer is larger than {} MiB", MAX_OBJECT >> 20)]
    TooLarge,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Envelope,
    /// Between two items.
    Items,
    Item,
}

/// Where in a JSON text we are.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    /// The next byte belongs to an escape sequence.
    escaped: bool,
}

/// No object of a cluster comes near: requests to etcd are limited to about 1.5 MiB.
const MAX_OBJECT: usize = 64 << 20;
const MAX_ENVELOPE: usize = 1 << 20;
/// Larger buffers are given back after use.
const SPARE: usize = 256 << 10;

// === impl ListSplitter ===

impl ListSplitter {
    /// Takes the next bytes and calls `each` with every item they complete.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), SplitError> {
        while !bytes.is_empty() {
            match self.place {
                Place::Envelope => bytes = self.envelope(bytes)?,
                Place::Items => bytes = self.between_items(bytes)?,
                Place::Item => match self.nesting.end_of_value(bytes) {
                    None => {
                        append(&mut self.item, bytes)?;
                        return Ok(());
                    }
                    Some(end) => {
                        let (last, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                        if self.item.is_empty() {
                            each(last);
                        } else {
                            append(&mut self.item, last)?;
                            each(&self.item);
                            recycle(&mut self.item);
                        }
                        self.place = Place::Items;
                        bytes = rest;
                    }
                },
            }
        }
        Ok(())
    }

    /// Ends the list.
    pub(super) fn finish(self) -> Result<ListMeta, SplitError> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Metadata {
            resource_version: Option<String>,
            r#continue: Option<String>,
            shard_info: Option<ShardInfo>,
        }
        #[derive(Deserialize)]
        struct ShardInfo {
            selector: String,
        }
        if self.place != Place::Envelope || self.nesting.depth > 0 || self.nesting.in_string {
            return Err(SplitError::Truncated);
        }
        let list: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_slice(&self.envelope).map_err(|_| SplitError::NotAList)?;
        // An empty list may have `null` for its items, but something else has no items at all.
        let (Some(_), Some(metadata)) = (list.get("items"), list.get("metadata")) else {
            return Err(SplitError::NotAList);
        };
        let metadata: Metadata =
            serde_json::from_str(metadata.get()).map_err(|_| SplitError::NotAList)?;
        let given = |text: &String| !text.is_empty();
        Ok(ListMeta {
            version: (metadata.resource_version.filter(given)).ok_or(SplitError::NoVersion)?,
            next: metadata.r#continue.filter(given),
            shard: metadata.shard_info.map(|info| info.selector),
        })
    }

    /// Takes bytes up to the beginning of the items and returns the others.
    fn envelope<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], SplitError> {
        for (at, &byte) in bytes.iter().enumerate() {
            let opens_items =
                byte == b'[' && self.nesting.is_at(1) && ends_with_items_key(&self.envelope);
            if !self.nesting.is_in_value(byte) {
                return Err(SplitError::NotAList);
            }
            self.nesting.step(byte);
            self.envelope.push(byte);
            if self.envelope.len() > MAX_ENVELOPE {
                return Err(SplitError::NotAList);
            }
            if opens_items {
                self.place = Place::Items;
                self.nesting = Nesting::default();
                return Ok(bytes.get(at + 1..).unwrap_or_default());
            }
        }
        Ok(&[])
    }

    /// Skips to the next item, or to the end of the items, and returns what is behind.
    fn between_items<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], SplitError> {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                b'{' => {
                    self.place = Place::Item;
                    self.nesting = Nesting::default();
                    return Ok(bytes.get(at..).unwrap_or_default());
                }
                b']' => {
                    self.place = Place::Envelope;
                    self.nesting.depth = 1;
                    self.envelope.push(byte);
                    return Ok(bytes.get(at + 1..).unwrap_or_default());
                }
                _ => return Err(SplitError::NotAList),
            }
        }
        Ok(&[])
    }
}

/// Whether the text ends with the key `items` and a colon.
fn ends_with_items_key(text: &[u8]) -> bool {
    let Some(key) = text.trim_ascii_end().strip_suffix(b":") else {
        return false;
    };
    let Some(before) = key.trim_ascii_end().strip_suffix(b"\"items\"") else {
        return false;
    };
    !before.ends_with(b"\\")
}

// === impl LineSplitter ===

impl LineSplitter {
    /// Takes the next bytes and calls `each` with every line they complete, up to an error.
    ///
    /// Empty lines are skipped. A last line without an end is never complete: the stream was cut.
    pub(super) fn feed<E: From<SplitError>>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                if !line.trim_ascii().is_empty() {
                    each(line)?;
                }
                continue;
            }
            append(&mut self.line, line)?;
            let blank = self.line.trim_ascii().is_empty();
            let result = if blank { Ok(()) } else { each(&self.line) };
            recycle(&mut self.line);
            result?;
        }
        Ok(append(&mut self.line, bytes)?)
    }
}

fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SplitError> {
    if buffer.len() + bytes.len() > MAX_OBJECT {
        return Err(SplitError::TooLarge);
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > SPARE {
        buffer.shrink_to(0);
    }
}

// === impl Nesting ===

impl Nesting {
    fn is_at(&self, depth: usize) -> bool {
        self.depth == depth && !self.in_string
    }

    /// Whether `byte` may stand here: a list is one object with nothing around it.
    fn is_in_value(&self, byte: u8) -> bool {
        self.depth > 0 || byte == b'{' || byte.is_ascii_whitespace()
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// The offset behind the value that began at depth 0, where it ends in `bytes`.
    fn end_of_value(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.in_string {
                let rest = bytes.get(at..)?;
                if self.escaped {
                    rest.first()?;
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let found = memchr2(b'"', b'\\', rest)?;
                at += found + 1;
                match rest.get(found) {
                    Some(b'"') => self.in_string = false,
                    _ => self.escaped = true,
                }
                continue;
            }
            let rest = bytes.get(at..)?;
            let found =
                (rest.iter()).position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
            self.step(rest.get(found).copied().unwrap_or_default());
            at += found + 1;
            if self.depth == 0 && !self.in_string {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(json: &str, size: usize) -> Result<(Vec<String>, ListMeta), SplitError> {
        let (mut splitter, mut items) = (ListSplitter::default(), Vec::new());
        for chunk in json.as_bytes().chunks(size) {
            splitter.feed(chunk, |item| {
                items.push(String::from_utf8_lossy(item).into_owned())
            })?;
        }
        Ok((items, splitter.finish()?))
    }

    #[test]
    fn a_list_is_cut_the_same_however_its_bytes_arrive() {
        let tricky = r#"{"a":"}],\"{\\","b":[{"items":[1]},"]"],"c":{"d":[]}}"#;
        let list = format!(
            r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7","continue":"t","remainingItemCount":3}},
                "other":[{{"items":[]}}],"items": [ {{}} , {tricky},{{"x":"é"}} ]}}"#
        );
        for size in 1..=list.len() {
            let (items, meta) = split(&list, size).unwrap();
            assert_eq!(items, ["{}", tricky, r#"{"x":"é"}"#], "chunks of {size}");
            assert_eq!((&*meta.version, meta.next.as_deref()), ("7", Some("t")));
        }
    }

    #[test]
    fn the_version_may_come_behind_the_items_and_items_may_be_null() {
        let behind = r#"{"apiVersion":"a/v1","items":[{"a":1}],"kind":"L","metadata":{"resourceVersion":"9",
            "continue":"","shardInfo":{"selector":"s"}}}"#;
        let (items, meta) = split(behind, 5).unwrap();
        assert_eq!(items, [r#"{"a":1}"#]);
        let shard = Some(String::from("s"));
        assert_eq!(
            meta,
            ListMeta {
                version: "9".into(),
                next: None,
                shard
            }
        );
        let null = r#"{"metadata":{"resourceVersion":"9"},"items":null}"#;
        assert_eq!(split(null, 5).unwrap().0.len(), 0);
    }

    #[test]
    fn what_is_not_a_list_is_never_an_empty_list() {
        for (text, error) in [
            ("", SplitError::NotAList),
            ("{}", SplitError::NotAList),
            ("<html>", SplitError::NotAList),
            (r#"{"items":[]}"#, SplitError::NotAList),
            (
                r#"{"metadata":{"resourceVersion":"1"}}"#,
                SplitError::NotAList,
            ),
            (r#"{"metadata":{},"items":[]}"#, SplitError::NoVersion),
            (
                r#"{"metadata":{"resourceVersion":""},"items":[]}"#,
                SplitError::NoVersion,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"},"items":[1]}"#,
                SplitError::NotAList,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"},"items":{}} x"#,
                SplitError::NotAList,
            ),
        ] {
            assert_eq!(split(text, 4).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_list_cut_anywhere_is_an_error() {
        let list = r#"{"metadata":{"resourceVersion":"1"},"items":[{"a":"b"},{"c":[]}]}"#;
        assert!(split(list, 3).is_ok());
        for end in 0..list.len() {
            assert!(split(list.get(..end).unwrap(), 3).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_json_values_come_back_whole(
            values in prop::collection::vec(any::<(String, Vec<String>)>(), 0..5), size in 1_usize..40
        ) {
            let values: Vec<_> = values.iter()
                .map(|(key, list)| serde_json::json!({ key: { "l": list } }).to_string()).collect();
            let list = format!("{{\"metadata\":{{\"resourceVersion\":\"1\"}},\"items\":[{}]}}", values.join(","));
            prop_assert_eq!(split(&list, size).unwrap().0, values);
        }

        #[test]
        fn any_bytes_are_harmless(bytes: Vec<u8>, size in 1_usize..40) {
            let mut splitter = ListSplitter::default();
            for chunk in bytes.chunks(size) {
                if splitter.feed(chunk, |_| {}).is_err() { break; }
            }
            let _ = splitter.finish();
        }
    }

    #[test]
    fn lines_are_cut_the_same_however_their_bytes_arrive() {
        let text = "{\"a\":1}\n\n{\"b\":2}\r\n{\"cut";
        for size in 1..=text.len() {
            let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                let fed = splitter.feed(chunk, |line| {
                    lines.push(String::from_utf8_lossy(line).trim().to_owned());
                    Ok::<_, SplitError>(())
                });
                fed.unwrap();
            }
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
        }
    }
}
