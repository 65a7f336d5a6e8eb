//! Tests how lists in JSON are split, and which lists are refused.

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
    let (mut splitter, mut items) = (JsonList::new(None, Representation::Table), Vec::new());
    let mut buffer = buffer(object_limit);
    for chunk in json.as_bytes().chunks(size) {
        splitter.feed(chunk, &mut buffer, |part| {
            items.push(match part {
                ListPart::Object(Part::Whole(item)) => String::from_utf8_lossy(item).into_owned(),
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
        let (mut splitter, mut items) = (JsonList::new(expected, Representation::Object), 0);
        let fed = splitter.feed(list.as_bytes(), &mut buffer(None), |_| items += 1);
        fed.and_then(|()| splitter.finish())
            .map(|_| items)
            .map_err(|_| items)
    };
    for kind in ["PodList", "List"] {
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
        let (mut splitter, mut items) = (JsonList::new(Some("Pod"), Representation::Object), 0);
        let fed = splitter.feed(table.as_bytes(), &mut buffer(None), |_| items += 1);
        let split = fed.and_then(|()| splitter.finish());
        assert_eq!(split.unwrap_err(), SplitError::NotAList, "{table}");
        assert_eq!(items, 0, "{table}");
    }
}

#[test]
fn a_list_of_metadata_is_accepted_only_if_it_was_requested() {
    use Representation::{Metadata, Object, Table};
    let split = |fields: [&str; 2], item: &str, kind, requested| {
        let [before, after] = fields;
        let list =
            format!(r#"{{{before}"metadata":{{"resourceVersion":"7"}},"items":[{item}]{after}}}"#);
        let (mut splitter, mut items) = (JsonList::new(kind, requested), 0);
        let fed = splitter.feed(list.as_bytes(), &mut buffer(None), |_| items += 1);
        fed.and_then(|()| splitter.finish()).map(|_| items)
    };
    let item = r#"{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}"#;
    let kind = r#""kind":"PartialObjectMetadataList""#;
    let escaped = kind.replace("Metadata", r"\u004detadata");
    let first = [kind, &escaped].map(|kind| format!("{kind},"));
    let after = format!(",{kind}");
    for (fields, item) in [
        ([&*first[0], ""], item),
        ([&first[0], ""], ""),
        ([&first[1], ""], ""),
        (["", &after], ""),
        (["", &after], item),
    ] {
        for kind in [Some("Pod"), None] {
            assert!(split(fields, item, kind, Metadata).is_ok(), "{fields:?}");
            for requested in [Object, Table] {
                let error = split(fields, item, kind, requested).unwrap_err();
                assert_eq!(error, SplitError::OnlyMetadata, "{fields:?}");
            }
        }
    }
    let whole = [r#""kind":"PodList","#, ""];
    for requested in [Object, Table, Metadata] {
        assert_eq!(split(whole, "{}", Some("Pod"), requested), Ok(1));
    }
    for kind in ["Table", "PartialObjectMetadata", "Status"] {
        let kind = format!(r#""kind":"{kind}","#);
        assert!(split([&kind, ""], "", None, Object).is_err(), "{kind}");
    }
    assert!(split([r#""kind":"Table","#, ""], "", Some("Secret"), Table).is_ok());
}

#[test]
fn a_list_without_the_token_of_its_remaining_objects_is_refused() {
    let list = |fields: &str, items: &str| {
        let list = format!(r#"{{"metadata":{{"resourceVersion":"7"{fields}}},"items":[{items}]}}"#);
        split(&list, 1000).map(drop)
    };
    for items in ["", "{}"] {
        for fields in [
            "",
            r#","remainingItemCount":0"#,
            r#","remainingItemCount":null"#,
            r#","remainingItemCount":-1"#,
            r#","remainingItemCount":3,"continue":"t""#,
        ] {
            assert_eq!(list(fields, items), Ok(()), "{fields}");
        }
        for fields in [
            r#","remainingItemCount":3"#,
            r#","remainingItemCount":1,"continue":"""#,
            r#","remainingItemCount":1,"continue":null"#,
        ] {
            assert_eq!(list(fields, items), Err(SplitError::NoToken), "{fields}");
        }
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
    let list =
        format!(r#"{{"items":[{start},"d":"{long}"}}}}],"metadata":{{"resourceVersion":"7"}}}}"#);
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
fn a_list_without_items_is_empty_if_its_kind_is_that_of_a_list() {
    let split = |kind: Option<&'static str>, list: &str| {
        let mut splitter = JsonList::new(kind, Representation::Object);
        let fed = splitter.feed(list.as_bytes(), &mut buffer(None), |_| {});
        fed.and_then(|()| splitter.finish())
            .map(|meta| meta.version)
    };
    let list = |kind: &str, metadata: &str| format!(r#"{{"kind":"{kind}","metadata":{metadata}}}"#);
    let version = r#"{"resourceVersion":"9"}"#;
    for (kind, name) in [
        (Some("Pod"), "PodList"),
        (Some("Pod"), "List"),
        (None, "WidgetList"),
    ] {
        assert_eq!(split(kind, &list(name, version)), Ok("9".to_owned()));
        assert_eq!(split(kind, &list(name, "{}")), Err(SplitError::NoVersion));
    }
    let object = r#"{"resourceVersion":"9","name":"a"}"#;
    for (kind, name, metadata) in [
        (Some("Pod"), "NodeList", version),
        (Some("Pod"), "Pod", version),
        (None, "Widget", version),
        (None, "AllowList", object),
    ] {
        let error = split(kind, &list(name, metadata)).unwrap_err();
        assert_eq!(error, SplitError::NotAList, "{name}");
    }
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
