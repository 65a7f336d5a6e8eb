//! [`JsonList`]: splits a list in JSON into items while its bytes arrive, so that no complete response is in memory.
//!
//! A list is one JSON object, whose `items` may contain hundreds of megabytes. The splitter does not parse the items.
//! The bytes around the items are the *envelope* of the list. If the request asks for a table, the rows of the table
//! are the items.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::json_nesting::Nesting;
use super::list_meta::{ListMeta, ListMetaFields};
use super::oversized::Part;
use super::part_buffer::PartBuffer;
use super::split_error::SplitError;
use super::watch_event::PARTIAL;

/// Splits a list into its items, and keeps the other fields of the list.
#[derive(Debug, Default)]
pub(super) struct JsonList {
    /// The kind of the items. `None` if the list may have any kind, because the definition of a custom resource chooses
    /// the kind of its lists.
    kind: Option<&'static str>,
    /// Whether the request allows a table as the response.
    allows_table: bool,
    position: Position,
    nesting: Nesting,
    /// All bytes of the list except its items.
    envelope: Vec<u8>,
    /// Whether the items have begun.
    has_items: bool,
}

/// An item of a list, or the header of a table.
#[derive(Debug)]
pub(super) enum ListPart<'a> {
    /// The start of a table up to its rows, closed so that it is valid JSON. The rows follow as items.
    TableHeader(Vec<u8>),
    /// An item.
    Object(Part<'a>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Envelope,
    /// Between two items.
    Items,
    Item,
}

/// The fields of a list.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The kind of a table.
const TABLE: &str = "Table";
/// The name of the field with the items of a list, and the name of the field with the rows of a table.
const ITEMS: &[u8] = b"\"items\"";
const ROWS: &[u8] = b"\"rows\"";
/// Maximum size of a list without its items.
const MAX_ENVELOPE: usize = 1 << 20;

// === impl JsonList ===

impl JsonList {
    /// Creates a splitter for a list whose items have this kind. `None` allows any kind. If `allows_table` is true, the
    /// list may also be a table.
    pub(super) fn new(kind: Option<&'static str>, allows_table: bool) -> Self {
        Self {
            kind,
            allows_table,
            ..Self::default()
        }
    }

    /// Accepts the next bytes, and calls `each` with every [`ListPart`] that these bytes complete. `item` contains the
    /// bytes of the incomplete item.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        item: &mut PartBuffer,
        mut each: impl FnMut(ListPart<'_>),
    ) -> Result<(), SplitError> {
        while !bytes.is_empty() {
            match self.position {
                Position::Envelope => bytes = self.envelope(bytes, &mut each)?,
                Position::Items => bytes = self.between_items(bytes)?,
                Position::Item => match self.nesting.end_of_value(bytes) {
                    None => {
                        item.append(bytes);
                        break;
                    }
                    Some(end) => {
                        let (last, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                        item.end(last, |item| each(ListPart::Object(item)));
                        self.position = Position::Items;
                        bytes = rest;
                    }
                },
            }
        }
        Ok(())
    }

    /// Ends the list and returns its metadata.
    pub(super) fn finish(self) -> Result<ListMeta, SplitError> {
        if self.position != Position::Envelope || self.nesting.depth > 0 || self.nesting.in_string {
            return Err(SplitError::Truncated);
        }
        let list: Fields<'_> =
            serde_json::from_slice(&self.envelope).map_err(|_| SplitError::NotAList)?;
        // The items of an empty list may be `null`. An object that is not a list has no items and no rows.
        let items = list.get("items").or_else(|| list.get("rows"));
        let (Some(items), Some(metadata)) = (items, list.get("metadata")) else {
            return Err(SplitError::NotAList);
        };
        self.check_kind(&list)?;
        // The envelope does not contain the items, so their array must be empty here. Without this check, a malformed
        // list would count as an empty list, and all objects would be deleted.
        if !matches!(items.get(), "[]" | "null") {
            return Err(SplitError::NotAList);
        }
        let metadata: ListMetaFields =
            serde_json::from_str(metadata.get()).map_err(|_| SplitError::NotAList)?;
        metadata.checked()
    }

    /// Refuses a list of another kind, which a misconfigured proxy may send. Some servers send no kind.
    fn check_kind(&self, list: &Fields<'_>) -> Result<(), SplitError> {
        let Some(kind) = list.get("kind") else {
            return Ok(());
        };
        let kind = kind.get().trim_matches('"');
        let items = kind.strip_suffix("List");
        let is_expected = match self.kind {
            // `List` is the generic kind of a list.
            Some(expected) => {
                (kind == TABLE && self.allows_table)
                    || items.is_some_and(|own| ["", expected, PARTIAL].contains(&own))
            }
            None => kind != "Status",
        };
        is_expected.then_some(()).ok_or(SplitError::NotAList)
    }

    /// Checks the fields before the items. API servers send the kind first, so an item of another kind is not read.
    fn check_start(&self) -> Result<(), SplitError> {
        let start = [&self.envelope, &b"]}"[..]].concat();
        let start: Fields<'_> = serde_json::from_slice(&start).map_err(|_| SplitError::NotAList)?;
        self.check_kind(&start)
    }

    /// Consumes bytes up to the start of the items, and returns the remaining bytes.
    fn envelope<'a>(
        &mut self,
        bytes: &'a [u8],
        each: &mut impl FnMut(ListPart<'_>),
    ) -> Result<&'a [u8], SplitError> {
        for (at, &byte) in bytes.iter().enumerate() {
            let opens_list = byte == b'[' && self.nesting.is_at(1);
            let opens_items = opens_list && ends_with_key(&self.envelope, ITEMS);
            let opens_rows = opens_list && ends_with_key(&self.envelope, ROWS);
            if !self.nesting.is_in_value(byte) {
                return Err(SplitError::NotAList);
            }
            self.nesting.step(byte);
            self.envelope.push(byte);
            if self.envelope.len() > MAX_ENVELOPE {
                return Err(SplitError::NotAList);
            }
            if opens_rows && !self.allows_table {
                // Without this check, the rows would count as objects without a name, and all objects would be deleted.
                return Err(SplitError::NotAList);
            }
            if opens_items || opens_rows {
                // A second list of items is refused. Otherwise, each list would cause a check of all fields before it.
                if std::mem::replace(&mut self.has_items, true) {
                    return Err(SplitError::NotAList);
                }
                self.check_start()?;
            }
            if opens_rows {
                each(ListPart::TableHeader([&self.envelope, &b"]}"[..]].concat()));
            }
            if opens_items || opens_rows {
                self.position = Position::Items;
                self.nesting = Nesting::default();
                return Ok(bytes.get(at + 1..).unwrap_or_default());
            }
        }
        Ok(&[])
    }

    /// Skips to the next item, or to the end of the items, and returns the remaining bytes.
    fn between_items<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], SplitError> {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                b'{' => {
                    self.position = Position::Item;
                    self.nesting = Nesting::default();
                    return Ok(bytes.get(at..).unwrap_or_default());
                }
                b']' => {
                    self.position = Position::Envelope;
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

/// Whether `text` ends with `key` and a colon.
fn ends_with_key(text: &[u8], key: &[u8]) -> bool {
    let Some(text) = text.trim_ascii_end().strip_suffix(b":") else {
        return false;
    };
    let Some(before) = text.trim_ascii_end().strip_suffix(key) else {
        return false;
    };
    !before.ends_with(b"\\")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::buffer_budget::BufferBudget;
    use super::super::split_error::{MAX_TOKEN, MAX_VERSION};
    use super::*;
    use crate::decode::Encoding;
    use proptest::prelude::*;

    fn buffer(object_limit: Option<usize>) -> PartBuffer {
        let budget = Arc::new(BufferBudget::new(None, object_limit));
        PartBuffer::of_items(Encoding::Json, &budget)
    }

    fn split(json: &str, size: usize) -> Result<(Vec<String>, ListMeta), SplitError> {
        split_limited(json, size, None)
    }

    fn split_limited(
        json: &str,
        size: usize,
        object_limit: Option<usize>,
    ) -> Result<(Vec<String>, ListMeta), SplitError> {
        let (mut splitter, mut items) = (JsonList::new(None, true), Vec::new());
        let mut buffer = buffer(object_limit);
        for chunk in json.as_bytes().chunks(size) {
            splitter.feed(chunk, &mut buffer, |part| {
                items.push(match part {
                    ListPart::Object(Part::Whole(item)) => {
                        String::from_utf8_lossy(item).into_owned()
                    }
                    ListPart::Object(Part::Oversized(object)) => format!("oversized {object}"),
                    ListPart::TableHeader(table) => {
                        format!("header {}", String::from_utf8_lossy(&table))
                    }
                })
            })?;
            assert!(buffer.bytes().len() <= object_limit.unwrap_or(usize::MAX));
        }
        Ok((items, splitter.finish()?))
    }

    #[test]
    fn a_list_of_another_kind_is_refused_before_its_first_item() {
        let read = |expected, fields: &str, after: &str| {
            let list = format!(
                r#"{{{fields}"metadata":{{"resourceVersion":"7"}},"items":[{{"a":1}}]{after}}}"#
            );
            let (mut splitter, mut items) = (JsonList::new(expected, true), 0);
            let fed = splitter.feed(list.as_bytes(), &mut buffer(None), |_| items += 1);
            fed.and_then(|()| splitter.finish())
                .map(|_| items)
                .map_err(|_| items)
        };
        for kind in ["PodList", "List", "PartialObjectMetadataList", "Table"] {
            let kind = format!(r#""kind":"{kind}","#);
            assert_eq!(read(Some("Pod"), &kind, ""), Ok(1));
        }
        assert_eq!(
            read(Some("Pod"), "", ""),
            Ok(1),
            "some servers send no kind"
        );
        assert_eq!(read(None, r#""kind":"WidgetCollection","#, ""), Ok(1));
        for kind in ["NodeList", "Pod", "Status"] {
            let kind = format!(r#""kind":"{kind}","#);
            assert_eq!(read(Some("Pod"), &kind, ""), Err(0));
        }
        assert_eq!(read(None, r#""kind":"Status","#, ""), Err(0));
        assert_eq!(read(Some("Pod"), "", r#","kind":"NodeList""#), Err(1));
    }

    #[test]
    fn a_table_that_was_not_requested_is_refused_before_its_first_row() {
        let row = r#"{"cells":["a"],"object":{"metadata":{"name":"a"}}}"#;
        let rows = format!(r#""metadata":{{"resourceVersion":"7"}},"rows":[{row}]"#);
        let kinds = ["", r#""kind":"Table","#, r#""kind":"PodList","#];
        let tables = kinds.map(|kind| format!("{{{kind}{rows}}}"));
        let late = r#"{"metadata":{"resourceVersion":"7"},"items":[],"kind":"Table"}"#.to_owned();
        for table in tables.into_iter().chain([late]) {
            let (mut splitter, mut items) = (JsonList::new(Some("Pod"), false), 0);
            let fed = splitter.feed(table.as_bytes(), &mut buffer(None), |_| items += 1);
            let split = fed.and_then(|()| splitter.finish());
            assert_eq!(split.unwrap_err(), SplitError::NotAList, "{table}");
            assert_eq!(items, 0, "{table}");
        }
    }

    #[test]
    fn a_second_list_of_items_is_refused() {
        for key in ["items", "rows"] {
            let list = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[],"{key}":[]}}"#);
            assert_eq!(split(&list, 1000).unwrap_err(), SplitError::NotAList);
        }
    }

    #[test]
    fn an_item_above_the_limit_is_skipped_however_its_bytes_arrive() {
        let long = "]}".repeat(100);
        let list = format!(
            r#"{{"items":[{{"a":1}},{{"metadata":{{"name":"a","namespace":"b"}},"d":"{long}"}},{{"b":2}},
                {{"d":"{long}"}}],"metadata":{{"resourceVersion":"7"}}}}"#
        );
        for size in 1..=list.len() {
            let (items, _) = split_limited(&list, size, Some(150)).unwrap();
            let expected = [
                r#"{"a":1}"#,
                "oversized b/a",
                r#"{"b":2}"#,
                "oversized <unnamed>",
            ];
            assert_eq!(items, expected, "chunks of {size}");
        }
    }

    #[test]
    fn an_oversized_item_is_named_if_its_name_is_within_the_limit() {
        let long = "x".repeat(200);
        let start = r#"{"kind":"A","metadata":{"name":"abcdefgh","namespace":"b""#;
        let list = format!(
            r#"{{"items":[{start},"d":"{long}"}}}}],"metadata":{{"resourceVersion":"7"}}}}"#
        );
        for size in 1..=list.len() {
            let (items, _) = split_limited(&list, size, Some(start.len())).unwrap();
            assert_eq!(items, ["oversized b/abcdefgh"], "chunks of {size}");
        }
    }

    #[test]
    fn a_version_or_token_that_no_request_can_hold_is_an_error() {
        let list = |version: usize, token: usize| {
            let (version, token) = ("1".repeat(version), "t".repeat(token));
            let list = format!(
                r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[]}}"#
            );
            split(&list, 1000).map(|_| ())
        };
        assert_eq!(list(MAX_VERSION, MAX_TOKEN), Ok(()));
        assert_eq!(list(MAX_VERSION + 1, 1), Err(SplitError::LongVersion));
        assert_eq!(list(1, MAX_TOKEN + 1), Err(SplitError::LongToken));
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
                remaining: None,
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
                r#"{"kind":"Status","metadata":{"resourceVersion":"9"},"items":[]}"#,
                SplitError::NotAList,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"}}"#,
                SplitError::NotAList,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"},"items":"x"}"#,
                SplitError::NotAList,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"},"items":{"a":1}}"#,
                SplitError::NotAList,
            ),
            (
                r#"{"metadata":{"resourceVersion":"1"},"\u0069tems":[{"a":1}]}"#,
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
    fn the_rows_of_a_table_come_after_its_header_however_its_bytes_arrive() {
        let row = r#"{"cells":["n","Opaque"],"object":{"metadata":{"name":"n"}}}"#;
        let header = r#"{"kind":"Table","metadata":{"resourceVersion":"7","continue":"t"},
            "columnDefinitions":[{"name":"Name","description":"\"rows\":["}],"rows" : ["#;
        let table = format!("{header}{row},{row}]}}");
        for size in 1..=table.len() {
            let (items, meta) = split(&table, size).unwrap();
            let expected = [&*format!("header {header}]}}"), row, row];
            assert_eq!(items, expected, "chunks of {size}");
            assert_eq!((&*meta.version, meta.next.as_deref()), ("7", Some("t")));
        }
        let none = r#"{"metadata":{"resourceVersion":"7"},"rows":null}"#;
        assert_eq!(split(none, 9).unwrap().0.len(), 0);
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
            let (mut splitter, mut buffer) = (JsonList::default(), buffer(None));
            for chunk in bytes.chunks(size) {
                if splitter.feed(chunk, &mut buffer, |_| {}).is_err() { break; }
            }
            let _ = splitter.finish();
        }
    }
}
