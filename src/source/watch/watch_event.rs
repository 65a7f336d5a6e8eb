//! [`WatchEvent`]: one event of a watch, which is a line of JSON or a frame of protobuf.
//!
//! If the watch asks for tables, an event contains a table (the columns that `kubectl get` prints) instead of an
//! object. The row of the table contains the metadata of the object.
//!
//! Source: [API concepts, "Efficient detection of changes"](https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube_protobuf::{Envelope, Message};
use serde::Deserialize;

use super::failure::Status;
use super::representation::{ONLY_METADATA, Representation};
use crate::decode::{
    DecodeError, DecodeReason, Encoded, Encoding, PARTIAL, json_fields, json_text,
};

/// One event of a watch: a line of JSON or a frame of protobuf.
#[derive(Debug)]
pub(super) enum WatchEvent<'a> {
    /// An object was added, modified or deleted.
    Object(EventKind, Encoded<'a>),
    /// A bookmark: the server has sent all changes up to a resource version.
    Bookmark {
        version: String,
        /// Whether this bookmark ends the list at the start of the stream.
        ends_list: bool,
        /// The object or the table in the bookmark.
        object: Encoded<'a>,
    },
    /// The error with which the server ends the watch.
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

/// A line or a frame that is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidEvent {
    #[error("the watch sent a line that is not an event")]
    Line,
    #[error("the watch sent a frame that is not an event")]
    Frame,
    #[error("{}", ONLY_METADATA)]
    OnlyMetadata,
}

/// The annotation of the bookmark that ends a streaming list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// The text before the object in an event from an API server. A closing brace follows after the object.
const USUAL: [(EventKind, &[u8]); 3] = [
    (EventKind::Modified, br#"{"type":"MODIFIED","object":"#),
    (EventKind::Added, br#"{"type":"ADDED","object":"#),
    (EventKind::Deleted, br#"{"type":"DELETED","object":"#),
];

// === impl WatchEvent ===

impl<'a> WatchEvent<'a> {
    /// Reads a line or a frame. `requested` is the representation of the objects that the request asked for.
    ///
    /// If this function reads an object with only metadata from a line, it does not check whether this representation
    /// was requested, because the decoder checks the kind.
    pub(super) fn parse(
        event: &'a [u8],
        encoding: Encoding,
        requested: Representation,
    ) -> Result<Self, InvalidEvent> {
        match encoding {
            Encoding::Json => Self::parse_line(event, requested),
            Encoding::Protobuf(message) => Self::parse_frame(event, message, requested),
        }
    }

    /// Whether an object was added. The list at the start of a stream consists of events that add objects.
    pub(super) fn is_added(&self) -> bool {
        matches!(self, Self::Object(EventKind::Added, _))
    }

    fn parse_line(line: &'a [u8], requested: Representation) -> Result<Self, InvalidEvent> {
        let line = line.trim_ascii();
        for (kind, start) in USUAL {
            // The object is between this prefix and the closing brace. So the code finds the object without parsing the
            // event.
            if let Some(object) = line
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(b"}"))
            {
                return Ok(Self::Object(kind, Encoding::Json.object(object)));
            }
        }
        let (kind, object) = parts_of(line).ok_or(InvalidEvent::Line)?;
        Self::new(kind, Encoding::Json.object(object), requested)
    }

    /// Reads a frame. The object of the frame has the fields of `message`.
    fn parse_frame(
        frame: &'a [u8],
        message: &'static Message,
        requested: Representation,
    ) -> Result<Self, InvalidEvent> {
        let event = kube_protobuf::WatchEvent::parse(frame).map_err(|_| InvalidEvent::Frame)?;
        let kind = EventKind::of_wire_name(event.kind()).ok_or(InvalidEvent::Frame)?;
        let object = event.object();
        let object = match kind {
            EventKind::Error => object,
            // The object in any other event has the kind of the resource, or the kind [`PARTIAL`].
            _ => match Envelope::parse(object).map_err(|_| InvalidEvent::Frame)? {
                envelope if envelope.kind() == message.name() => object,
                envelope if envelope.kind() == PARTIAL => {
                    if requested != Representation::Metadata {
                        return Err(InvalidEvent::OnlyMetadata);
                    }
                    envelope.object_as(message).raw()
                }
                _ => return Err(InvalidEvent::Frame),
            },
        };
        Self::new(kind, Encoding::Protobuf(message).object(object), requested)
    }

    fn new(
        kind: EventKind,
        object: Encoded<'a>,
        requested: Representation,
    ) -> Result<Self, InvalidEvent> {
        Ok(match kind {
            EventKind::Added | EventKind::Modified | EventKind::Deleted => {
                Self::Object(kind, object)
            }
            EventKind::Bookmark => {
                let metadata = bookmark_metadata(object, requested)?;
                let annotations = metadata.annotations.unwrap_or_default();
                Self::Bookmark {
                    version: metadata.resource_version.unwrap_or_default(),
                    ends_list: annotations
                        .get(INITIAL_END)
                        .is_some_and(|own| own == "true"),
                    object,
                }
            }
            EventKind::Error => Self::Error(Status::of_event(object.bytes())),
        })
    }
}

// === impl InvalidEvent ===

impl InvalidEvent {
    pub(super) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::Line,
            Encoding::Protobuf(_) => Self::Frame,
        }
    }

    /// Why the object of an event does not decode, if this makes the event invalid. Otherwise only the object is
    /// skipped.
    pub(super) fn of_object(error: &DecodeError, encoding: Encoding) -> Option<Self> {
        if error.is_only_metadata() {
            return Some(Self::OnlyMetadata);
        }
        (error.reason() == DecodeReason::Syntax).then(|| Self::of(encoding))
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

    /// The type of an event with this name in the API.
    pub(super) fn of_wire_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.wire_name() == name)
    }

    /// The name of the type in events of the API.
    fn wire_name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    /// The name of the type in metrics.
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

/// The type and the object of an event, which is a line with these fields in any order.
fn parts_of(line: &[u8]) -> Option<(EventKind, &[u8])> {
    let [kind, object] = json_fields(line, ["type", "object"])?;
    let kind = EventKind::of_wire_name(&json_text(kind?)?)?;
    Some((kind, object?))
}

/// The metadata of a bookmark. If the bookmark contains a table, the annotations are in the row of the table.
fn bookmark_metadata(
    object: Encoded<'_>,
    requested: Representation,
) -> Result<Metadata, InvalidEvent> {
    #[derive(Deserialize)]
    struct Head {
        kind: Option<String>,
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
    let invalid = InvalidEvent::of(object.encoding());
    let mut metadata: Metadata = object.metadata().ok_or(invalid)?;
    if let Encoding::Json = object.encoding() {
        let head = serde_json::from_slice(object.bytes());
        let Head { kind, rows } = head.map_err(|_| invalid)?;
        if kind.as_deref() == Some(PARTIAL) && requested != Representation::Metadata {
            return Err(InvalidEvent::OnlyMetadata);
        }
        if let Some(row) = rows.and_then(|rows| rows.into_iter().next()) {
            metadata.annotations = row.object.metadata.annotations;
        }
    }
    Ok(metadata)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Whether an object that does not decode as its kind is a table.
pub(super) fn is_table(object: Encoded<'_>) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head<'a> {
        #[serde(borrow)]
        api_version: Cow<'a, str>,
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    let Encoding::Json = object.encoding() else {
        return false;
    };
    let head: Option<Head<'_>> = serde_json::from_slice(object.bytes()).ok();
    head.is_some_and(|head| head.kind == "Table" && head.api_version.starts_with("meta.k8s.io/"))
}

/// The resource version of an object that does not decode as its kind.
pub(super) fn version_of(object: Encoded<'_>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        resource_version: String,
    }
    let metadata: Version = object.metadata()?;
    Some(metadata.resource_version)
}

#[cfg(test)]
mod tests;
