//! [`TableColumns`] and [`whole_json`]: read a partial object as if it were whole.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The columns of a table that are fields of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableColumns {
    /// The position of the column with the type of a secret.
    kind_of_secret: usize,
}

/// The server sends a table without a column that is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of objects has no column \"Type\"")]
pub(super) struct MissingColumn;

/// A table, with one row per object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table<'a> {
    /// Only the first event of a watch has them.
    #[serde(borrow)]
    column_definitions: Option<Vec<Column<'a>>>,
    #[serde(borrow)]
    rows: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Column<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    cells: Vec<&'a RawValue>,
    #[serde(borrow)]
    object: Partial<'a>,
}

#[derive(Deserialize)]
struct Partial<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

// === impl TableColumns ===

impl TableColumns {
    /// The columns of a table; `None` if it does not define columns.
    pub(super) fn of(table: &[u8]) -> Result<Option<Self>, MissingColumn> {
        let table: Option<Table<'_>> = serde_json::from_slice(table).ok();
        let columns = table.and_then(|table| table.column_definitions);
        let find = |columns: Vec<Column<'_>>| {
            let kind_of_secret = columns.iter().position(|column| column.name == "Type");
            kind_of_secret.map(|kind_of_secret| Self { kind_of_secret })
        };
        columns
            .map(|columns| find(columns).ok_or(MissingColumn))
            .transpose()
    }

    /// The object of a row, as JSON. A row that is not valid is returned unchanged.
    pub(super) fn object<'a>(self, row: &'a [u8]) -> Result<Cow<'a, [u8]>, MissingColumn> {
        let Ok(Row { cells, object }) = serde_json::from_slice(row) else {
            return Ok(Cow::Borrowed(row));
        };
        let own = cells.get(self.kind_of_secret).ok_or(MissingColumn)?;
        Ok(Cow::Owned(object.json(Some(own))))
    }
}

// === impl Partial ===

impl Partial<'_> {
    /// The object with only its metadata and its type.
    fn json(&self, kind_of_secret: Option<&RawValue>) -> Vec<u8> {
        let metadata = self.metadata.map_or("null", RawValue::get);
        let mut json = format!("{{\"metadata\":{metadata}");
        if let Some(text) = kind_of_secret {
            json.push_str(",\"type\":");
            json.push_str(text.get());
        }
        json.push('}');
        json.into_bytes()
    }
}

/// The object of a list item or event that was requested as a partial object. An event with a table may define
/// its `columns`. A whole object, and JSON that is not valid, are returned unchanged.
pub(super) fn whole_json<'a>(
    received: &'a [u8],
    columns: &mut Option<TableColumns>,
) -> Result<Cow<'a, [u8]>, MissingColumn> {
    let kind = serde_json::from_slice::<Partial<'_>>(received);
    let Ok(partial) = kind else {
        return Ok(Cow::Borrowed(received));
    };
    match partial.kind.as_deref() {
        Some("PartialObjectMetadata") => Ok(Cow::Owned(partial.json(None))),
        Some("Table") => {
            if let Some(defined) = TableColumns::of(received)? {
                *columns = Some(defined);
            }
            let table: Option<Table<'a>> = serde_json::from_slice(received).ok();
            let rows = table.and_then(|table| table.rows);
            match (*columns, rows.as_deref()) {
                (Some(columns), Some([row])) => columns.object(row.get().as_bytes()),
                (None, _) => Err(MissingColumn),
                // One event is about one object.
                _ => Ok(Cow::Borrowed(received)),
            }
        }
        _ => Ok(Cow::Borrowed(received)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &str =
        r#"[{"name":"Name"},{"name":"Ty\u0070e","description":"x"},{"name":"Data"}]"#;
    const ROW: &str = r#"{"cells":["a","Opaque",1],"object":{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}}"#;
    const OBJECT: &str = r#"{"metadata":{"name":"a"},"type":"Opaque"}"#;

    fn table(columns: &str, rows: &str) -> String {
        format!(r#"{{"kind":"Table","columnDefinitions":{columns},"rows":[{rows}]}}"#)
    }

    fn restored(
        received: &str,
        columns: &mut Option<TableColumns>,
    ) -> Result<String, MissingColumn> {
        let json = whole_json(received.as_bytes(), columns)?;
        Ok(String::from_utf8(json.into_owned()).unwrap())
    }

    #[test]
    fn a_row_becomes_an_object_with_the_columns_of_the_first_event() {
        let mut columns = None;
        let first = table(COLUMNS, ROW);
        assert_eq!(restored(&first, &mut columns).as_deref(), Ok(OBJECT));
        let next = table("null", ROW);
        assert_eq!(restored(&next, &mut columns).as_deref(), Ok(OBJECT));
        assert_eq!(restored(&next, &mut None), Err(MissingColumn));
    }

    #[test]
    fn a_table_without_the_type_is_an_error() {
        for columns in ["[]", r#"[{"name":"Name"}]"#] {
            assert_eq!(
                restored(&table(columns, ROW), &mut None),
                Err(MissingColumn)
            );
        }
        let short = r#"{"cells":["a"],"object":{"metadata":{}}}"#;
        assert_eq!(
            restored(&table(COLUMNS, short), &mut None),
            Err(MissingColumn)
        );
    }

    #[test]
    fn metadata_loses_its_kind_and_other_json_stays() {
        let metadata = r#"{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}"#;
        let own = r#"{"metadata":{"name":"a"}}"#;
        assert_eq!(restored(metadata, &mut None).as_deref(), Ok(own));
        let (two, none) = (table(COLUMNS, &format!("{ROW},{ROW}")), table(COLUMNS, ""));
        let whole = r#"{"kind":"Secret","metadata":{"name":"a"},"type":"b"}"#;
        for text in [whole, own, "{", "[1]", "", &two, &none] {
            assert_eq!(restored(text, &mut None).as_deref(), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn any_json_is_harmless(row in "[\\[\\]{}\":,a1 ]{0,40}", bytes: Vec<u8>) {
            let mut columns = None;
            let _ = restored(&table(COLUMNS, &row), &mut columns);
            let _ = whole_json(&bytes, &mut columns);
            let _ = TableColumns::of(&bytes);
        }
    }
}
