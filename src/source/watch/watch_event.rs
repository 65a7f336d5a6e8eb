//! [`WatchEvent`]: one line of a watch.
//!
//! Source: [API concepts, "Efficient detection of changes"](https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Status;

/// One line of a watch.
#[derive(Debug)]
pub(super) enum WatchEvent<'a> {
    /// An object was added, modified or deleted.
    Object(EventKind, &'a [u8]),
    /// A bookmark: the server has sent all changes up to a version.
    Bookmark {
        version: String,
        /// The list at the start of the stream is complete.
        ends_list: bool,
        /// A table, if the events are tables.
        object: &'a [u8],
    },
    /// The server ends the watch.
    Error(Status),
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// A line that is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watch sent a line that is not an event")]
pub(super) struct InvalidEvent;

/// The annotation of the bookmark that ends a streaming list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// The start of an event from an API server. The object and a closing brace follow.
const USUAL: [(EventKind, &[u8]); 3] = [
    (EventKind::Modified, br#"{"type":"MODIFIED","object":"#),
    (EventKind::Added, br#"{"type":"ADDED","object":"#),
    (EventKind::Deleted, br#"{"type":"DELETED","object":"#),
];

// === impl WatchEvent ===

impl<'a> WatchEvent<'a> {
    /// Reads a line.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, InvalidEvent> {
        let line = line.trim_ascii();
        for (kind, start) in USUAL {
            // If an event starts in this way, the object need not be parsed twice.
            if let Some(object) = line
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(b"}"))
            {
                return Ok(Self::Object(kind, object));
            }
        }
        Self::parse_any(line)
    }

    fn parse_any(line: &'a [u8]) -> Result<Self, InvalidEvent> {
        #[derive(Deserialize)]
        struct Any<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        let Any { kind, object } = serde_json::from_slice(line).map_err(|_| InvalidEvent)?;
        let bytes = object.get().as_bytes();
        match &*kind {
            "ADDED" => Ok(Self::Object(EventKind::Added, bytes)),
            "MODIFIED" => Ok(Self::Object(EventKind::Modified, bytes)),
            "DELETED" => Ok(Self::Object(EventKind::Deleted, bytes)),
            "BOOKMARK" => {
                let Object { metadata, rows } =
                    serde_json::from_slice(bytes).map_err(|_| InvalidEvent)?;
                let row = rows.and_then(|rows| rows.into_iter().next());
                let annotations = row
                    .map_or(metadata.annotations, |row| row.object.metadata.annotations)
                    .unwrap_or_default();
                Ok(Self::Bookmark {
                    version: metadata.resource_version.unwrap_or_default(),
                    ends_list: annotations
                        .get(INITIAL_END)
                        .is_some_and(|own| own == "true"),
                    object: bytes,
                })
            }
            "ERROR" => Ok(Self::Error(Status::parse(bytes))),
            _ => Err(InvalidEvent),
        }
    }
}

// === impl EventKind ===

impl EventKind {
    pub(super) const ALL: [Self; 5] = [
        Self::Added,
        Self::Modified,
        Self::Deleted,
        Self::Bookmark,
        Self::Error,
    ];

    /// The name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Bookmark => "bookmark",
            Self::Error => "error",
        }
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    /// One row, if the events are tables.
    rows: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Row {
    object: RowObject,
}

#[derive(Deserialize)]
struct RowObject {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// The resource version of an object that does not decode as its kind.
pub(super) fn version_of(object: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Versioned {
        metadata: Version,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        resource_version: String,
    }
    let object: Versioned = serde_json::from_slice(object).ok()?;
    Some(object.metadata.resource_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_line_is_harmless(line: Vec<u8>, kind in "ADDED|MODIFIED|DELETED|BOOKMARK|ERROR|x") {
            let _ = WatchEvent::parse(&line);
            let mut framed = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
            framed.extend_from_slice(&line);
            let _ = WatchEvent::parse(&framed);
            let _ = version_of(&line);
            let _ = Status::parse(&line);
        }
    }

    #[test]
    fn events_are_read_in_any_spelling() {
        for (line, kind, object) in [
            (
                r#"{"type":"ADDED","object":{"a":1}}"#,
                EventKind::Added,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"MODIFIED","object":{"a":1}}"#,
                EventKind::Modified,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"DELETED","object":{"a":1}}"#,
                EventKind::Deleted,
                r#"{"a":1}"#,
            ),
            (
                r#" {"object": {"a":1} ,"type":"ADDED"} "#,
                EventKind::Added,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"DELE\u0054ED","object":{}}"#,
                EventKind::Deleted,
                "{}",
            ),
        ] {
            match WatchEvent::parse(line.as_bytes()) {
                Ok(WatchEvent::Object(own, bytes)) => {
                    assert_eq!((own, bytes), (kind, object.as_bytes()), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn bookmarks_tell_their_version_and_the_end_of_the_first_part() {
        let bookmark = |annotations: &str| {
            let line = format!(
                r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"5"{annotations}}},"spec":{{}}}}}}"#
            );
            match WatchEvent::parse(line.as_bytes()) {
                Ok(WatchEvent::Bookmark {
                    version, ends_list, ..
                }) => (version, ends_list),
                other => panic!("{line}: {other:?}"),
            }
        };
        assert_eq!(bookmark(""), ("5".into(), false));
        let end = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
        assert_eq!(bookmark(end), ("5".into(), true));
    }

    #[test]
    fn other_lines_are_broken() {
        for line in [
            "",
            "{}",
            "x",
            r#"{"type":"ADDED"}"#,
            r#"{"type":"ODD","object":{}}"#,
            r#"{"type":"BOOKMARK","object":{}}"#,
            r#"{"type":"ADDED","object":{"a":1}"#.get(..30).unwrap(),
        ] {
            assert!(WatchEvent::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn the_version_of_any_object_can_be_read() {
        let object = br#"{"metadata":{"name":1,"resourceVersion":"12"},"spec":[]}"#;
        assert_eq!(version_of(object).as_deref(), Some("12"));
        assert_eq!(version_of(b"{}"), None);
    }
}
