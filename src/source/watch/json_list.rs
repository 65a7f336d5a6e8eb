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
use super::representation::Representation;
use super::split_error::SplitError;
use crate::decode::{PARTIAL, json_fields, json_text};

/// Splits a list into its items, and keeps the other fields of the list.
#[derive(Debug, Default)]
pub(super) struct JsonList {
    /// The kind of the items. `None` if the list may have any kind, because the definition of a custom resource chooses
    /// the kind of its lists.
    kind: Option<&'static str>,
    /// The representation of the objects that the request asked for.
    requested: Representation,
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
    /// Creates a splitter for a list whose items have this kind. `None` allows any kind. The list may also have the
    /// representation that was requested.
    pub(super) fn new(kind: Option<&'static str>, requested: Representation) -> Self {
        Self {
            kind,
            requested,
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
        let items = list.get("items").or_else(|| list.get("rows"));
        let metadata = list.get("metadata").ok_or(SplitError::NotAList)?;
        self.check_kind(&list)?;
        // The envelope does not contain the items, so their array must be empty here. The items of an empty list may
        // be `null`. Without this check, a malformed list would count as an empty list, and all objects would be
        // deleted.
        let is_list = match items {
            Some(items) => matches!(items.get(), "[]" | "null"),
            None => is_empty_list(&list, metadata),
        };
        if !is_list {
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
        let kind = json_text(kind.get().as_bytes()).ok_or(SplitError::NotAList)?;
        let items = kind.strip_suffix("List");
        let is_expected = match (&*kind, items, self.kind) {
            (_, Some(PARTIAL), _) if self.requested == Representation::Metadata => true,
            (PARTIAL, ..) | (_, Some(PARTIAL), _) => return Err(SplitError::OnlyMetadata),
            (TABLE, ..) => self.allows_table(),
            // `List` is the generic kind of a list.
            (_, items, Some(expected)) => items.is_some_and(|own| ["", expected].contains(&own)),
            (kind, _, None) => kind != "Status",
        };
        is_expected.then_some(()).ok_or(SplitError::NotAList)
    }

    fn allows_table(&self) -> bool {
        self.requested == Representation::Table
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
            if opens_rows && !self.allows_table() {
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

/// Whether an object without items is an empty list. Some servers omit the items of an empty list. The kind must be that
/// of a list, and the metadata must not be that of an object.
fn is_empty_list(list: &Fields<'_>, metadata: &RawValue) -> bool {
    let kind = list.get("kind");
    let kind = kind.and_then(|kind| json_text(kind.get().as_bytes()));
    let names = json_fields(metadata.get().as_bytes(), ["name", "uid"]);
    kind.is_some_and(|kind| kind.ends_with("List")) && names == Some([None, None])
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
mod tests;
