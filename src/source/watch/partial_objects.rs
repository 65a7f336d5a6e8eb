//! [`PartialObjects`]: converts partial objects of the API server to JSON that decodes like whole objects.
//!
//! If the families need only the metadata of an object, the watch requests only the metadata. If they also need the
//! type of a secret, the watch requests *tables*: a row of a table has the metadata of one object, and cells such as
//! the type. The *representation* of a request states whether it asks for metadata, tables or whole objects.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::object_buffer::Overwritten;
use super::representation::Representation;
use crate::decode::{PARTIAL, json_fields, json_items, json_text};

/// The representation that a feed has requested, and what the feed must know to read the responses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialObjects {
    requested: Representation,
    /// The position of the column with the type of a secret, in the tables of the current list or watch.
    type_column: Option<usize>,
    /// The time until which the feed requests whole objects, because a table lacked a column.
    whole_until: Option<Instant>,
    /// Whether an object was lost since the last list, because a table lacked a column.
    has_lost_object: bool,
}

/// The error if a table lacks a column, if its columns are unknown, or if a row lacks the metadata of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MissingColumn;

/// The JSON of an object.
#[derive(Debug)]
pub(super) enum ObjectJson<'a> {
    /// The JSON as the API server sent it.
    Received(&'a [u8]),
    /// JSON that was built from a partial object. When this value is dropped, its memory is overwritten, because
    /// annotations may contain secrets.
    Built(Overwritten),
}

/// An item of a list or the object of an event, with only the fields that the feed reads. It is a whole object, the
/// metadata of an object, a table or a row.
///
/// The fields are JSON that is not checked for UTF-8.
struct Received<'a> {
    kind: Option<Cow<'a, str>>,
    metadata: Option<&'a [u8]>,
    /// The columns of a table. In a watch, only the table of the first event has them.
    column_definitions: Option<&'a [u8]>,
    rows: Option<&'a [u8]>,
    /// The cells of a row.
    cells: Option<&'a [u8]>,
    /// The metadata of a row.
    object: Option<&'a [u8]>,
}

#[derive(Deserialize)]
struct Column<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// How long whole objects are requested after a table lacked a column. After that time, tables are requested again,
/// because a newer API server may have replaced the old one.
const WHOLE_FOR: Duration = Duration::from_secs(3600);
/// Maximum size of the columns of a table, and of the cells of a row. API servers send about 2 KiB.
const MAX_COLUMNS: usize = 64 << 10;

// === impl PartialObjects ===

impl PartialObjects {
    /// Records the representation that is requested for the next list, page of a list, or watch.
    pub(super) fn begin(&mut self, requested: Representation) {
        self.requested = requested;
        self.type_column = None;
    }

    /// The representation that was requested.
    pub(super) fn requested(&self) -> Representation {
        self.requested
    }

    /// Whether whole objects must be requested, because a table lacked a column.
    pub(super) fn need_whole_objects(&self) -> bool {
        self.whole_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether an object was lost since the last list, because a table lacked a column.
    pub(super) fn has_lost_object(&self) -> bool {
        self.has_lost_object
    }

    /// Begins a list. The list also contains the objects that were lost before.
    pub(super) fn begin_list(&mut self) {
        self.has_lost_object = false;
    }

    /// Reads the columns of a table, if it has columns.
    pub(super) fn read_columns(&mut self, table: &[u8]) {
        if self.requested != Representation::Table {
            return;
        }
        if let Some(table) = Received::parse(table) {
            self.type_column = self.type_column_of(&table);
        }
    }

    /// Converts a received object to the JSON of a whole object. Returns whole objects and invalid JSON unchanged.
    ///
    /// # Errors
    ///
    /// Returns an error if a table lacks a column or a row lacks its metadata. After this error, the caller must request
    /// whole objects.
    pub(super) fn json<'a>(&mut self, received: &'a [u8]) -> Result<ObjectJson<'a>, MissingColumn> {
        if self.requested == Representation::Object {
            return Ok(ObjectJson::Received(received));
        }
        let result = self.read(received);
        if result.is_err() {
            self.whole_until = Some(Instant::now() + WHOLE_FOR);
            self.has_lost_object = true;
        }
        result
    }

    fn read<'a>(&mut self, received: &'a [u8]) -> Result<ObjectJson<'a>, MissingColumn> {
        let unchanged = Ok(ObjectJson::Received(received));
        let Some(object) = Received::parse(received) else {
            return unchanged;
        };
        let is_table_requested = self.requested == Representation::Table;
        match (object.kind.as_deref(), object.rows) {
            (Some("Table"), Some(rows)) if is_table_requested => {
                self.type_column = self.type_column_of(&object);
                // An event is about one object, so its table has one row.
                let row = json_items(rows, 1).and_then(|rows| Received::parse(rows.first()?));
                row.map_or(unchanged, |row| self.object_of_row(&row))
            }
            // The decoder refuses this object, because it lacks the type of the secret.
            (Some(PARTIAL), _) if is_table_requested => unchanged,
            (Some(PARTIAL), _) => Ok(object.with_type(None)),
            _ if !is_table_requested => unchanged,
            _ if object.cells.is_some() => self.object_of_row(&object),
            (_, None) if object.metadata.is_none() => Err(MissingColumn),
            _ => unchanged,
        }
    }

    /// The position of the column with the type of a secret. If the table has no columns, the position is the same as
    /// in the previous tables.
    fn type_column_of(&self, table: &Received<'_>) -> Option<usize> {
        table
            .column_definitions
            .map_or(self.type_column, type_column)
    }

    fn object_of_row(&self, row: &Received<'_>) -> Result<ObjectJson<'static>, MissingColumn> {
        let type_column = self.type_column.ok_or(MissingColumn)?;
        let cells = row.cells.filter(|json| json.len() <= MAX_COLUMNS);
        let cells = cells.and_then(|json| json_items(json, MAX_COLUMNS));
        let cells = cells.ok_or(MissingColumn)?;
        let secret_type = *cells.get(type_column).ok_or(MissingColumn)?;
        let object = row.object.and_then(Received::parse).ok_or(MissingColumn)?;
        object.metadata.ok_or(MissingColumn)?;
        Ok(object.with_type(Some(secret_type)))
    }
}

// === impl Received ===

impl<'a> Received<'a> {
    /// Reads the fields of an object. The result is `None` if the JSON is malformed or is not an object.
    fn parse(json: &'a [u8]) -> Option<Self> {
        let names = [
            "kind",
            "metadata",
            "columnDefinitions",
            "rows",
            "cells",
            "object",
        ];
        let fields = json_fields(json, names)?.map(|field| field.filter(|own| *own != b"null"));
        let [kind, metadata, column_definitions, rows, cells, object] = fields;
        let kind = match kind {
            Some(kind) => Some(json_text(kind)?),
            None => None,
        };
        Some(Self {
            kind,
            metadata,
            column_definitions,
            rows,
            cells,
            object,
        })
    }

    /// The JSON of an object that has only its metadata and, if `secret_type` is given, this type.
    fn with_type(&self, secret_type: Option<&[u8]>) -> ObjectJson<'static> {
        let metadata = self.metadata.unwrap_or(b"null");
        let secret_type = secret_type.unwrap_or(b"null");
        let parts = [
            &b"{\"metadata\":"[..],
            metadata,
            b",\"type\":",
            secret_type,
            b"}",
        ];
        ObjectJson::Built(Overwritten::new(parts.concat()))
    }
}

impl AsRef<[u8]> for ObjectJson<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Received(bytes) => bytes,
            Self::Built(bytes) => bytes.as_ref(),
        }
    }
}

/// The position of the column with the type of a secret.
fn type_column(definitions: &[u8]) -> Option<usize> {
    let json = Some(definitions).filter(|json| json.len() <= MAX_COLUMNS)?;
    let columns: Vec<Column<'_>> = serde_json::from_slice(json).ok()?;
    columns.iter().position(|column| column.name == "Type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &str =
        r#"[{"name":"Name"},{"name":"Ty\u0070e","description":"x"},{"name":"Data"}]"#;
    const ROW: &str = r#"{"cells":["a","Opaque",1],"object":{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}}"#;
    const OBJECT: &str = r#"{"metadata":{"name":"a"},"type":"Opaque"}"#;

    fn requested(representation: Representation) -> PartialObjects {
        let mut objects = PartialObjects::default();
        objects.begin(representation);
        objects
    }

    fn table(columns: &str, rows: &str) -> String {
        format!(r#"{{"kind":"Table","columnDefinitions":{columns},"rows":[{rows}]}}"#)
    }

    fn json(objects: &mut PartialObjects, received: &str) -> Result<String, MissingColumn> {
        let json = objects.json(received.as_bytes())?;
        Ok(String::from_utf8(json.as_ref().to_vec()).unwrap())
    }

    #[test]
    fn a_row_becomes_an_object_with_the_columns_of_an_earlier_table() {
        let (first, next) = (table(COLUMNS, ROW), table("null", ROW));
        let mut objects = requested(Representation::Table);
        for received in [&*first, &next, ROW] {
            assert_eq!(json(&mut objects, received).as_deref(), Ok(OBJECT));
        }
        // This item is neither a row nor an object.
        assert_eq!(json(&mut objects, "{}"), Err(MissingColumn));
        // The first event of a watch may be a bookmark, which contains the columns.
        let mut objects = requested(Representation::Table);
        objects.read_columns(table(COLUMNS, "").as_bytes());
        assert_eq!(json(&mut objects, &next).as_deref(), Ok(OBJECT));
        objects.begin(Representation::Table);
        assert_eq!(json(&mut objects, &next), Err(MissingColumn));
    }

    #[tokio::test(start_paused = true)]
    async fn whole_objects_are_needed_for_an_hour_after_a_table_without_the_type() {
        let short = r#"{"cells":["a"],"object":{"metadata":{}}}"#;
        let many = format!(r#"[{}{{"name":"Type"}}]"#, r#"{"name":"x"},"#.repeat(6_000));
        for (columns, row) in [
            ("[]", ROW),
            (r#"[{"name":"Name"}]"#, ROW),
            (COLUMNS, short),
            (&*many, ROW),
            (COLUMNS, "{}"),
            (COLUMNS, r#"{"cells":["a","b",1]}"#),
            (COLUMNS, r#"{"cells":["a","b",1],"object":{}}"#),
        ] {
            let mut objects = requested(Representation::Table);
            assert!(!objects.need_whole_objects());
            assert_eq!(json(&mut objects, &table(columns, row)), Err(MissingColumn));
            assert!(objects.need_whole_objects() && objects.has_lost_object());
            tokio::time::sleep(WHOLE_FOR).await;
            assert!(!objects.need_whole_objects());
        }
    }

    #[test]
    fn metadata_loses_its_kind_and_other_json_stays() {
        let metadata = r#"{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}"#;
        let own = r#"{"metadata":{"name":"a"},"type":null}"#;
        let mut objects = requested(Representation::Metadata);
        assert_eq!(json(&mut objects, metadata).as_deref(), Ok(own));
        let (two, none) = (table(COLUMNS, &format!("{ROW},{ROW}")), table(COLUMNS, ""));
        let whole = r#"{"kind":"Secret","metadata":{"name":"a"},"type":"b"}"#;
        for text in [whole, own, "{", "[1]", "", &two, &none] {
            assert_eq!(json(&mut objects, text).as_deref(), Ok(text));
        }
        let mut objects = requested(Representation::Object);
        assert_eq!(json(&mut objects, metadata).as_deref(), Ok(metadata));
    }

    proptest! {
        #[test]
        fn any_json_is_harmless(row in "[\\[\\]{}\":,a1 ]{0,40}", bytes: Vec<u8>) {
            let mut objects = requested(Representation::Table);
            let _ = json(&mut objects, &table(COLUMNS, &row));
            let _ = objects.json(&bytes);
            objects.read_columns(&bytes);
        }
    }
}
